"""What held-out normals look like to a detector: the spread of each critical point, and the scale of its maps.

`python -m xrayinterp.anomaly.reference` measures both for the built-in detector and writes them beside it. Maps of all
films are drawn on this one scale, so that they compare.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.progress import track
from torch import Tensor

from ..datasets.films import load_films
from ..errors import Code, XrayInterpError
from ..models.documents import Sha256
from ..training.films import squares
from .localisation import METHODS
from .model import AnomalyModel, load
from .normals import as_images
from .shelf import UNUSUALNESS, find

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP = 0.995
"""A map's strength: this quantile of its values, so that no single pixel decides."""
LIMIT = 0.95
"""The scale ends at this quantile of the strengths of held-out normals' maps."""
FLOOR = 0.5
"""The scale begins at the mean over held-out normals of this quantile of their maps: half of a usual map lies below."""
MAPS = 60
"""Held-out normals whose maps are made, evenly over those there are."""

Five = tuple[float, float, float, float, float]


class Reference(BaseModel):
    """The file NAME.reference.json beside a detector.

    `value` and `direction`: QUANTILES of what each critical point gives the score of held-out normals. `floors` and
    `limits`: by way of localisation, where the scale of its maps begins and ends. `tensors_sha256`: of the detector it
    was measured for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tensors_sha256: Sha256 | None
    films: int = Field(ge=1)
    maps: int = Field(ge=1)
    value: tuple[Five, ...]
    direction: tuple[Five, ...]
    floors: Mapping[str, float]
    limits: Mapping[str, float]


def reference_file(detector: Path) -> Path:
    """Where the reference of a detector's file lies."""
    return detector.with_suffix(".reference.json")


def reference_of(model: AnomalyModel, detector: Path) -> Reference | None:
    """What was measured for a detector; None where nothing was, or for another one of that name.

    Raises:
        XrayInterpError: `bad-manifest` where the file says nonsense.
    """
    path = reference_file(detector)
    if not path.is_file():
        return None
    try:
        found = Reference.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is no reference of a detector: {error}.") from error
    return found if found.tensors_sha256 == model.record.tensors_sha256 else None


def measure(model: AnomalyModel, images: Tensor, ways: Sequence[str] = tuple(METHODS)) -> Reference:
    """The reference by held-out normals (N, 1, d, d) in [0, 1]."""
    parts = np.quantile(model.detector.parts(images).double().numpy(), QUANTILES, axis=0)
    shown = images[np.unique(np.linspace(0, len(images) - 1, min(MAPS, len(images))).round())]
    value, direction = (_points(parts[:, i]) for i in (0, 1))
    scales = {way: _scale(model, shown, way) for way in ways}
    return Reference(
        tensors_sha256=model.record.tensors_sha256,
        films=len(images),
        maps=len(shown),
        value=value,
        direction=direction,
        floors={way: floor for way, (floor, _) in scales.items()},
        limits={way: limit for way, (_, limit) in scales.items()},
    )


def strength(values: np.ndarray) -> float:
    """How strong a map is: its TOP quantile."""
    return float(np.quantile(values, TOP))


def _points(quantiles: np.ndarray) -> tuple[Five, ...]:
    """Quantiles (5, P) point by point."""
    return tuple((float(a), float(b), float(c), float(d), float(e)) for a, b, c, d, e in quantiles.T)


def _scale(model: AnomalyModel, images: Tensor, way: str) -> tuple[float, float]:
    single = track(images.split(1), f"maps by {way}", transient=True)
    maps = [model.detector.maps(one, method=way)[0, 0].numpy() for one in single]
    floor = float(np.mean([np.quantile(one, FLOOR) for one in maps]))
    return floor, float(np.quantile([strength(one) for one in maps], LIMIT))


def main() -> None:
    """Measure the built-in detector on the films without findings of val."""
    path, model = find(UNUSUALNESS), load(UNUSUALNESS)
    films = [film for film in load_films("nih", splits=["val"], min_native_width=128) if film.normal]
    found = measure(model, as_images(squares(films, model.record.detail)))
    reference_file(path).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(f"{reference_file(path)}: from {dict(found.floors)} to {dict(found.limits)}\n")


if __name__ == "__main__":
    main()
