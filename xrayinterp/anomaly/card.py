"""What a fitted detector says of itself: the record in its file. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import Code, XrayInterpError
from ..models.documents import Sha256, Text, read_text
from ..models.layout import DenseNetShape
from ..paths import manifest_dir


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RecipeRecord(_Strict):
    """See `experts.InputRecipe`."""

    channels: Literal[1, 3]
    size: int | None = Field(default=None, ge=32, le=1024)
    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[float, ...] = Field(min_length=1, max_length=3)


class ExpertRecord(_Strict):
    """Which expert it was, and how it is found again: kind "self-supervised" and "random" lie in the file itself."""

    name: str = Field(max_length=200)
    kind: Literal["vgg16", "model", "self-supervised", "random"]
    points: tuple[str, ...] = Field(min_length=1, max_length=32)
    recipe: RecipeRecord
    label_informed: bool | None
    sha256: Sha256 | None = None
    shape: DenseNetShape | None = None


class SettingsRecord(_Strict):
    """See `fitting.Settings`."""

    cloner: Literal["small", "equal"]
    training: tuple[int, ...] = Field(min_length=1, max_length=32)
    scoring: tuple[int, ...] = Field(min_length=1, max_length=32)
    terms: Literal["both", "value", "direction"]
    direction: Literal["image", "position"]
    fusion: Literal["sum", "standardised"]
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    rate: float = Field(gt=0)
    seed: int
    augmentation: Mapping[str, float] | None = None


class NormalsRecord(_Strict):
    """What was called normal: how many films and patients, by which criterion, in a sentence, and a hash of the ids."""

    description: str
    criterion: str
    films: int = Field(ge=1)
    patients: int | None = Field(default=None, ge=1)
    digest: Sha256 | None = None


class CalibrationRecord(_Strict):
    """Scores of held-out normals, their patients as numbers, and who they are."""

    description: str
    criterion: str
    scores: tuple[float, ...] = Field(min_length=1, max_length=100_000)
    patients: tuple[int, ...] = Field(min_length=1, max_length=100_000)

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.scores) != len(self.patients):
            raise ValueError(f"{len(self.scores)} scores of {len(self.patients)} patients")
        return self


class AnomalyRecord(_Strict):
    """The record in a detector's file.

    `detail`: side in pixels to which films are reduced before all else. `balance` is lambda; `value`, `direction` and
    `offset` the weights of the score. `curve` holds the mean loss of every epoch. `threshold`: above it a film is
    stopped, None where the detector stops none. `tensors_sha256`: of what the file holds.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    detail: int = Field(ge=32, le=1024)
    expert: ExpertRecord
    settings: SettingsRecord
    balance: float = Field(ge=0)
    value: tuple[float, ...]
    direction: tuple[float, ...]
    offset: float = 0.0
    normals: NormalsRecord
    calibration: CalibrationRecord
    curve: tuple[float, ...] = ()
    threshold: float | None = None
    measured: Mapping[str, Any] = {}
    provenance: Mapping[str, str] = {}
    tensors_sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        points = len(self.expert.points)
        if not all(0 <= i < points for i in (*self.settings.training, *self.settings.scoring)):
            raise ValueError(f"a critical point beyond the expert's {points}")
        for chosen in (self.settings.training, self.settings.scoring):
            if len(set(chosen)) < len(chosen) or not set(self.settings.training).issuperset(chosen):
                raise ValueError(f"critical points {chosen}: one is named twice, or was never trained")
        if not len(self.value) == len(self.direction) == len(self.settings.scoring):
            raise ValueError("not one weight a critical point")
        recipe = self.expert.recipe
        if len(recipe.mean) != len(recipe.std) or len(recipe.mean) not in (1, recipe.channels):
            raise ValueError("means and deviations differ in number from each other or from the channels")
        if self.expert.kind != "model" and recipe.channels != (3 if self.expert.shape is None else 1):
            raise ValueError(f"{recipe.channels} channels, which the expert does not take")
        if not all(deviation > 0 for deviation in self.expert.recipe.std):
            raise ValueError("a deviation that is not above 0")
        return self


def text_of(name: str) -> Text | None:
    """What people say of a built-in detector: data, licence, limits; None where there is no such manifest."""
    path = manifest_dir() / "anomaly" / f"{name}.yaml"
    return read_text(path) if path.is_file() else None


def record_from(text: str, where: Path) -> AnomalyRecord:
    """The record as a file holds it.

    Raises:
        XrayInterpError: `bad-manifest` where it says nonsense.
    """
    try:
        return AnomalyRecord.model_validate_json(text)
    except ValidationError as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{where} does not hold a detector's record: {error}.") from error
