"""The two documents behind a model: the manifest people wrote of it and the record beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..errors import Code, XrayInterpError
from .card import GLOBAL, ZONES, Calibration, FindingMetrics, OperatingPoint
from .layout import DenseNetShape

METADATA_KEY = "xrayinterp"
"""Key of a safetensors header under which a record may travel with its weights."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Task = Literal["findings", "severity"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Strict):
    """What people say of a model; see `card.Card`."""

    title: str
    summary: str = ""
    data: str = "not stated"
    licence: str = "not stated"
    research_only: bool = True
    limits: tuple[str, ...] = ()


def _shape(shape: DenseNetShape) -> DenseNetShape:
    wide = max(shape.growth, shape.stem, *shape.blocks, 16 * shape.bottleneck)
    narrow = min(shape.growth, shape.stem, shape.bottleneck, *shape.blocks)
    if not (2 <= len(shape.blocks) <= 6 and narrow >= 1 and wide <= 256):
        raise ValueError("2 to 6 blocks, each size from 1 to 256 (bottleneck 16)")
    return shape


class Structure(_Strict):
    """What a network is: its size, its outputs, its input (a square of `size` pixels in [-scale, scale]).

    `slots` names the columns of the head the weights were trained with, "" for those that never were; it is empty where
    the head has just the findings.
    """

    architecture: DenseNetShape
    findings: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1, max_length=200)
    slots: tuple[str, ...] = Field(default=(), max_length=200)
    size: int = Field(ge=32, le=2048)
    scale: float = Field(gt=0)
    detail: int | None = Field(default=None, ge=16)
    task: Task = "findings"

    @property
    def columns(self) -> tuple[str, ...]:
        """The head's columns by name: the slots, or the findings where those are all."""
        return self.slots or self.findings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _shape(self.architecture)
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("two findings bear the same name")
        if self.slots and tuple(s for s in self.slots if s) != self.findings:
            raise ValueError("the named slots are not the findings")
        if self.task == "severity" and self.findings not in (ZONES, (*ZONES, GLOBAL)):
            raise ValueError(f"the outputs of a severity model are {', '.join(ZONES)} and, if it has one, {GLOBAL}")
        return self


class Origin(_Strict):
    """The file that weights were converted from; `published` tells a published SHA-256 from one recorded at fetch."""

    file: str
    url: str | None = None
    sha256: Sha256
    published: bool


def _as_interval(metrics: Any) -> Any:
    if isinstance(metrics, Mapping) and isinstance(metrics.get("auroc"), list | tuple):
        return {**metrics, "auroc": dict(zip(("value", "low", "high"), metrics["auroc"], strict=True))}
    return metrics


class Record(Structure):
    """The file `<name>.json` beside `<name>.safetensors`: structure, SHA-256 of the weights, what was measured."""

    sha256: Sha256 | None = None
    operating_points: Mapping[str, OperatingPoint] = {}
    calibrations: Mapping[str, Calibration] = {}
    metrics: Mapping[str, Annotated[FindingMetrics, BeforeValidator(_as_interval)]] = {}
    tested_on: str = ""
    measured: Mapping[str, Any] = {}
    origin: Origin | None = None
    text: Text | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        named = {*self.operating_points, *self.calibrations, *self.metrics}
        if strangers := sorted(named - set(self.findings)):
            raise ValueError(f"figures for what is no finding: {', '.join(strangers)}")
        return self

    def to_json(self) -> str:
        """Text of the record; intervals as [value, low, high].

        Raises:
            XrayInterpError: `bad-manifest` where a figure is not finite.
        """
        raw = self.model_dump(exclude_none=False)
        raw["metrics"] = {
            finding: {**raw["metrics"][finding], "auroc": m.auroc and [m.auroc.value, m.auroc.low, m.auroc.high]}
            for finding, m in self.metrics.items()
        }
        try:
            return json.dumps(raw, indent=1, allow_nan=False, default=_plain) + "\n"
        except (TypeError, ValueError) as error:
            raise XrayInterpError(
                Code.BAD_MANIFEST, f"A figure of the record is not a finite number: {error}."
            ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


class Remote(_Strict):
    """Weights that torchxrayvision publishes: where they are, what they are, and at which sigmoid they flag."""

    url: str
    file: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    sha256: Sha256 | None
    architecture: DenseNetShape
    size: int
    scale: float
    slots: tuple[str, ...]
    thresholds: Mapping[str, Annotated[float, Field(gt=0, lt=1)]]
    thresholds_from: str

    @property
    def structure(self) -> Structure:
        """The network once its untrained outputs are cut."""
        return Structure(
            architecture=self.architecture,
            findings=tuple(slot for slot in self.slots if slot),
            slots=self.slots,
            size=self.size,
            scale=self.scale,
        )


class Manifest(Text):
    """A file of `data_manifests/models`; `rank` orders the list of models."""

    kind: Literal["builtin", "torchxrayvision"]
    rank: int
    weights: Remote | None = None

    @model_validator(mode="after")
    def _remote(self) -> Self:
        if (self.weights is None) != (self.kind == "builtin"):
            raise ValueError("`weights` belongs to kind torchxrayvision, and only to it")
        return self


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`, validated.

    Raises:
        XrayInterpError: `bad-manifest`, naming the field.
    """
    return _manifest(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _manifest(path: Path, _changed: int) -> Manifest:
    try:
        return Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a model manifest: {error}.") from error


def read_text(path: Path) -> Text:
    """A YAML file that says no more than `Text` does, validated.

    Raises:
        XrayInterpError: `bad-manifest`, naming the field.
    """
    try:
        return Text.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a model's text: {error}.") from error


def read_record(weights: Path) -> Record | None:
    """The record of a safetensors file: `<name>.json` beside it, else its own header; None where there is neither.

    Raises:
        XrayInterpError: `bad-manifest` where there is one that says nonsense; `weights-corrupt` for a broken header.
    """
    beside = weights.with_suffix(".json")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else _header_text(weights)
    if text is None:
        return None
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        where = beside if beside.is_file() else f"the header of {weights}"
        raise XrayInterpError(Code.BAD_MANIFEST, f"{where} is not a model record: {error}.") from error


def _header_text(weights: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    if not weights.is_file():
        return None
    try:
        with safe_open(weights, framework="numpy") as opened:
            text: str | None = (opened.metadata() or {}).get(METADATA_KEY)
    except SafetensorError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{weights} is not a whole safetensors file: {error}.") from error
    return text
