"""A fitted detector on radiographs: score, percentile and map of one film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..imaging import geometry
from ..imaging.geometry import Fit, FloatImage
from ..imaging.radiograph import Radiograph
from ..models.documents import Text
from ..models.prepare import as_square, on_film, resize
from .calibration import Calibration, Percentile
from .card import AnomalyRecord, text_of
from .distillation import DistillationDetector
from .files import load_detector
from .shelf import BUILTIN, find


@dataclass(frozen=True)
class PointScore:
    """What one critical point gives a score: `layer` by path, from the values and from the direction."""

    layer: str
    value: float
    direction: float


@dataclass(frozen=True)
class Score:
    """How unusual a film is: `score`, its `percentile` among held-out normals, and what each critical point gives.

    The points' parts and `offset`, the same for every film, sum to the score. `stopped`: above the detector's
    threshold; None where it has none.
    """

    score: float
    percentile: Percentile
    points: tuple[PointScore, ...]
    offset: float
    stopped: bool | None


@dataclass(frozen=True, eq=False)
class AnomalyModel:
    """A detector for chest films, its record and the calibration on held-out normals.

    `text` is what people say of a built-in detector, None for any other, whatever its name.
    """

    detector: DistillationDetector
    record: AnomalyRecord
    calibration: Calibration
    text: Text | None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record.name

    @property
    def normal(self) -> str:
        """What "normal" means here, in a sentence."""
        return self.record.normals.description

    @property
    def label_informed(self) -> bool | None:
        """Whether the expert was trained on labels of radiographs; None where unknown."""
        return self.record.expert.label_informed

    def prepare(self, radiograph: Radiograph, fit: Fit = "crop") -> Tensor:
        """The film's square (1, 1, d, d) in [0, 1], reduced to the detail the detector learnt from."""
        return self.prepare_pixels(radiograph.pixels, fit)

    def prepare_pixels(self, pixels: FloatImage, fit: Fit = "crop") -> Tensor:
        """`prepare` for pixels (H, W) in [0, 1], bone white."""
        height, width = pixels.shape
        square = as_square(geometry.cut(pixels, geometry.frame(height, width, fit)))
        return resize(square, self.record.detail).clamp(0, 1)

    def score(self, radiograph: Radiograph, fit: Fit = "crop") -> Score:
        """How unusual a film is."""
        return self.scores(self.prepare(radiograph, fit))[0]

    def scores(self, images: Tensor) -> list[Score]:
        """`score` of prepared squares (N, 1, d, d).

        Raises:
            XrayInterpError: `weights-corrupt` where the detector gives a score that is not finite.
        """
        if not len(images):
            return []
        parts = self.detector.parts(images)
        offset = self.record.offset
        totals = (parts.sum((1, 2)) + offset).tolist()
        return [self._told(total, part, offset) for total, part in zip(totals, parts, strict=True)]

    def map(self, radiograph: Radiograph, fit: Fit = "crop", *, method: str = "gradient", **options: Any) -> FloatImage:
        """Where a film is unusual, (d, d) over the square, absolute; `options` as `localisation.Localisation`."""
        found = self.detector.maps(self.prepare(radiograph, fit), method=method, **options)
        return found[0, 0].numpy()

    def to_display(self, values: FloatImage, radiograph: Radiograph, fit: Fit = "crop") -> FloatImage:
        """A map (d, d) on the film's grid: (H, W), NaN where the detector saw nothing."""
        return on_film(values, geometry.frame(*radiograph.shape, fit), smooth=True)

    def _told(self, total: float, part: Tensor, offset: float) -> Score:
        layers = [self.record.expert.points[i] for i in self.record.settings.scoring]
        points = tuple(PointScore(name, *pair) for name, pair in zip(layers, part.T.tolist(), strict=True))
        percentile = self.calibration.percentile(total)  # refuses what is no number
        threshold = self.record.threshold
        stopped = None if threshold is None else total > threshold
        return Score(total, percentile, points, offset, stopped)


def load(name_or_path: str | Path, *, device: str = "cpu") -> AnomalyModel:
    """A detector by name (see `shelf.names`), or from a file.

    Raises:
        XrayInterpError: `unknown-model`, and those of `files.load_detector`.
    """
    path = find(name_or_path)
    with torch.inference_mode(False):
        detector, record = load_detector(path, device=device)
    calibration = Calibration.of(record.calibration.scores, record.calibration.patients)
    text = text_of(path.stem) if path.resolve().parent == BUILTIN.resolve() else None
    return AnomalyModel(detector, record, calibration, text)
