"""How a path finder goes about its search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, NoReturn

from ..errors import Code, XrayInterpError
from .pathway_masks import Quota


@dataclass(frozen=True)
class Search:
    """How a finder goes about it; each reads what concerns it.

    `quota`: see Quota. `seed`: of `random` and of random gates. `steps`: points of the midpoint rule of `integrated`,
    and `sites` the ReLU sites that it integrates (None: all), the others being scored by Taylor. `rounds`: of removal
    and scoring again, in `iterative` and `greedy`. `gates`: where `distillation_guided` starts; `attempts`: how
    often it draws random gates, each time with a tenth of the penalty; `iterations`, `rate`,
    `momentum` and `penalty` are those of its descent, and `agreement` says what must stay: the softmax over
    all outputs, as published, or each output's own sigmoid, for networks whose findings occur together.

    Raises:
        XrayInterpError: `bad-option` for a value that cannot be.
    """

    quota: Quota = "global"
    seed: int = 0
    steps: int = 10
    sites: tuple[int, ...] | None = None
    rounds: int = 5
    gates: Literal["ones", "random"] = "ones"
    iterations: int = 1000
    attempts: int = 100
    rate: float = 0.01
    momentum: float = 0.9
    penalty: float = 0.01
    agreement: Literal["softmax", "sigmoid"] = "softmax"

    def __post_init__(self) -> None:
        allowed: Mapping[str, tuple[str, ...]] = {
            "quota": ("global", "layer"),
            "gates": ("ones", "random"),
            "agreement": ("softmax", "sigmoid"),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in allowed and value not in allowed[field.name]:
                refuse(field.name, value, " or ".join(allowed[field.name]))
            if field.name in ("steps", "rounds", "iterations", "attempts") and value < 1:
                refuse(field.name, value, "1 or more")
            if field.name in ("rate", "penalty") and value <= 0:
                refuse(field.name, value, "more than 0")
        if not 0 <= self.momentum < 1:
            refuse("momentum", self.momentum, "from 0 to below 1")


def refuse(name: str, value: object, allowed: str) -> NoReturn:
    """Raise `bad-option` for an option's value."""
    raise XrayInterpError(Code.BAD_OPTION, f"Option {name!r} of a pathway is {value!r}.", f"Allowed: {allowed}.")
