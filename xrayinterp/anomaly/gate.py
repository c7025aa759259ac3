"""The input gate: does this look like a frontal chest film at all?

A Gaussian over features of all frontal films, whatever they show: f is the vector of a network's rectified maps at some
layers, averaged over a coarse grid and standardised; with the leading directions u_i of variance l_i and one variance
s^2 beside them, the score is (sum_i (u_i . f)^2 / l_i + |f - sum_i (u_i . f) u_i|^2 / s^2) / D.
Source: probabilistic principal components, Tipping & Bishop 1999. No picture of anything else was learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..imaging import geometry
from ..imaging.geometry import FloatImage
from ..imaging.radiograph import Radiograph
from ..models.prepare import as_square, resize
from ..models.storage import read_weights
from ..models.zoo import load_model
from ..operators.batching import BATCH
from .experts import Expert, model_expert
from .gate_record import WARNING, GateRecord, gate_file, read_record


@dataclass(frozen=True)
class Judgement:
    """What the gate says of a film: its `score`, higher is less like a frontal chest film, and the `threshold`."""

    score: float
    threshold: float

    @property
    def stopped(self) -> bool:
        """Whether the film does not look like a frontal chest film; a score that is no number stops as well."""
        return not self.score <= self.threshold


@dataclass(frozen=True, eq=False)
class Gaussian:
    """`mean` and `scale` (D,) standardise features; `directions` (K, D) are orthonormal, of variances (K,)."""

    mean: Tensor
    scale: Tensor
    directions: Tensor
    variances: Tensor
    noise: float

    def scores(self, features: Tensor) -> Tensor:
        """How far features (N, D) are from the mean, squared and in units of the variance, over D: (N,)."""
        z = (features - self.mean) / self.scale
        along = z @ self.directions.T
        beside = (z.square().sum(1) - along.square().sum(1)).clamp(min=0)
        return ((along.square() / self.variances).sum(1) + beside / self.noise) / z.shape[1]


@dataclass(frozen=True, eq=False)
class Gate:
    """The gate, ready to judge; `expert` is listened to at the record's layers."""

    expert: Expert
    gaussian: Gaussian
    record: GateRecord

    def prepare(self, pixels: FloatImage) -> Tensor:
        """The centre square of a film (H, W) in [0, 1], bone white, as (1, 1, detail, detail)."""
        square = as_square(geometry.cut(pixels, geometry.frame(*pixels.shape)))
        return resize(square, self.record.detail).clamp(0, 1)

    def scores(self, images: Tensor) -> Tensor:
        """Scores (N,) of prepared squares (N, 1, detail, detail)."""
        if not len(images):
            return torch.empty(0)
        return self.gaussian.scores(features(self.expert, images, self.record.grid))

    def judge(self, radiograph: Radiograph) -> Judgement:
        """Whether a film looks like a frontal chest film; the gate sees its centre square, about one forward."""
        return Judgement(float(self.scores(self.prepare(radiograph.pixels))[0]), self.record.threshold)

    def warned(self, radiograph: Radiograph) -> Radiograph:
        """The film, with the warning `looks-unlike-chest` where the gate stops it."""
        return with_warning(radiograph, self.judge(radiograph))


def features(expert: Expert, images: Tensor, grid: int) -> Tensor:
    """Maps of images (N, 1, S, S) at an expert's points, averaged over grid x grid fields: (N, D), float32."""
    parts = []
    for some in images.split(BATCH):
        maps = expert.maps(some)
        parts.append(torch.cat([F.adaptive_avg_pool2d(found, grid).flatten(1) for found in maps], 1))
    return torch.cat(parts)


def listening_expert(network: str, layers: tuple[str, ...], detail: int) -> Expert:
    """A chest model listened to at some of its layers, on films of `detail` pixels.

    Raises:
        XrayInterpError: those of `load_model`; `unknown-layer`.
    """
    model = load_model(network)
    expert = model_expert(model, size=detail)
    return expert.only([expert.points.index(model.layer(name).path) for name in layers])


def load_gate() -> Gate | None:
    """The built-in gate, read once; None where this installation has none.

    Raises:
        XrayInterpError: `weights-corrupt`, `weights-hash`, `bad-manifest` where its file or its network is damaged.
    """
    path = gate_file()
    return _loaded(path, path.stat().st_mtime_ns) if path.is_file() else None


def judge(radiograph: Radiograph) -> Judgement | None:
    """What the built-in gate says of a film; None where there is none.

    Raises:
        XrayInterpError: as `load_gate`.
    """
    gate = load_gate()
    return None if gate is None else gate.judge(radiograph)


def with_warning(radiograph: Radiograph, judgement: Judgement | None) -> Radiograph:
    """The film, with the warning `looks-unlike-chest` before all others where the gate stopped it."""
    if judgement is None or not judgement.stopped or WARNING in radiograph.warnings:
        return radiograph
    return replace(radiograph, warnings=(WARNING, *radiograph.warnings))


def load_from(path: Path) -> Gate:
    """A gate from its file.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, `bad-manifest`; `weights-hash` where the file or the
            network is not the one of its record.
    """
    record = read_record(path)
    stored = read_weights(path, record.sha256)
    expert = listening_expert(record.network, record.layers, record.detail)
    if expert.sha256 != record.network_sha256:
        raise XrayInterpError(
            Code.WEIGHTS_HASH,
            f"{path} was fitted to another {record.network!r} than the one here: SHA-256 {record.network_sha256}, "
            f"here {expert.sha256}.",
            "Fit the gate again.",
        )
    return Gate(expert, _gaussian(stored, record, path), record)


def _gaussian(stored: dict[str, Tensor], record: GateRecord, path: Path) -> Gaussian:
    try:
        mean, scale, directions, variances = (stored[n] for n in ("mean", "scale", "directions", "variances"))
    except KeyError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} lacks the tensor {error}.") from error
    width = len(mean)
    fits = mean.shape == scale.shape and directions.shape == (record.components, width)
    if not fits or variances.shape != (record.components,) or not bool((scale > 0).all() and (variances > 0).all()):
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The tensors of {path} do not fit each other.")
    return Gaussian(mean, scale, directions, variances, record.noise)


@lru_cache(maxsize=2)
def _loaded(path: Path, _changed: int) -> Gate:
    return load_from(path)
