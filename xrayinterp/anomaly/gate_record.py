"""What the input gate's file says of itself, and where it lies. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import Code, Warned, XrayInterpError
from ..models.documents import Sha256, Text
from ..models.registry import builtin_dir
from .card import text_of

NAME, FOLDER = "gate", "gate"
"""The gate lies in a folder of its own below the built-in models."""
WARNING = Warned(
    Code.LOOKS_UNLIKE_CHEST,
    "This does not look like a frontal chest radiograph. Unless it is one, no score on it means anything.",
)
"""What stays with a film that the gate stopped."""


class GateRecord(BaseModel):
    """The file `gate.json` beside the gate's tensors, whose SHA-256 is `sha256`.

    Films are reduced to `detail` pixels and read by `network`, whose weights have the SHA-256 `network_sha256`, at
    `layers`, whose maps are averaged over `grid` x `grid` fields. `noise` is the variance beside the leading
    directions. A film with a score above `threshold` is stopped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    network: str
    network_sha256: Sha256
    layers: tuple[str, ...] = Field(min_length=1, max_length=8)
    detail: int = Field(ge=32, le=512)
    grid: int = Field(ge=1, le=16)
    components: int = Field(ge=1, le=1024)
    noise: float = Field(gt=0)
    threshold: float
    learnt: tuple[str, ...]
    measured: Mapping[str, Any] = {}
    provenance: Mapping[str, str] = {}
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _layers_once(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("a layer is named twice")
        return self

    def to_json(self) -> str:
        """Text of the record."""
        return self.model_dump_json(indent=1) + "\n"


def gate_file() -> Path:
    """Where the built-in gate lies."""
    return builtin_dir() / FOLDER / f"{NAME}.safetensors"


def read_record(weights: Path) -> GateRecord:
    """The record beside a gate's tensors.

    Raises:
        XrayInterpError: `bad-manifest` where there is none or it says nonsense.
    """
    beside = weights.with_suffix(".json")
    try:
        return GateRecord.model_validate_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{beside} is not a gate's record: {error}.") from error


@lru_cache(maxsize=1)
def card() -> Text | None:
    """What people say of the gate: data, licence, limits; None where there is no such manifest."""
    return text_of(NAME)
