"""What the measurements of this package say of each method on a model: the default map, two more, and which fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..models.card import Interval
from .lamps import LampWorth

MEASURED = Path(__file__).parent / "builtin"
"""One JSON file a model, written by `xrayinterp.evaluation.choice`."""

Fault = Literal["class", "weights"]


@dataclass(frozen=True)
class Standing:
    """How the methods stand on one model.

    `default` is the map shown first, chosen on val; `further` the two beside it. `fails` names, for each method that
    ignores the class or the weights, which of the two. `described` says on which films, or that nothing was measured.
    `worth`: what the lamps of the trust strip are worth as judges of maps.
    """

    model: str
    default: str
    further: tuple[str, ...]
    fails: Mapping[str, tuple[Fault, ...]]
    described: str
    measured: bool
    worth: tuple[LampWorth, ...] = ()


@cache
def standing(model: str, sha256: str | None) -> Standing:
    """The standing of the methods on a model with these weights; where it was not measured, the plain choice.

    `sha256` is of the weights, as on the model's card: other weights of the same name were not measured.
    """
    file = MEASURED / f"{model}.json"
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    if record is None or record["settings"]["model_sha256"] != sha256:
        return Standing(
            model,
            "gradcam_signed",
            ("fullgrad_signed", "gradient"),
            {},
            "Methods were not measured on this model.",
            False,
        )
    return Standing(
        model,
        record["default"],
        tuple(record["further"]),
        {name: tuple(faults) for name, faults in record["fails"].items()},
        record["described"],
        True,
        tuple(_worth(one) for one in record.get("worth", ())),
    )


def _worth(one: dict[str, Any]) -> LampWorth:
    return LampWorth(**one | {"auroc": None if one["auroc"] is None else Interval(**one["auroc"])})
