"""Fill what a map marks and see what becomes of the score: deletion curves, and maps of the same shape as rivals.

`deletion_curve` gives one map's curve, most relevant first (MoRF) or least relevant first (LeRF), as data sets need it;
`scores_after` runs any number of deletions in batches. Scores are signed logits; a drop is the score of the untouched
film minus the score after filling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attribution.fills import filled
from ..attribution.target import Target
from ..models.chest_model import ChestModel
from ..operators.batching import batched
from ..operators.lean import Lean
from .similarity import Map

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Shares of the film that are filled."""

Fill = Literal["blur", "mean"]
FILLS: tuple[Fill, ...] = ("blur", "mean")


RIVALS = 20
"""Maps of the same shape that a map is compared with."""

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Deletion:
    """Flat positions of an (H, W) film to be filled, and with what."""

    positions: Positions
    fill: Fill


@dataclass(frozen=True)
class DeletionCurve:
    """Scores after filling each fraction of the film; `start` is the score of the untouched film.

    `area`: mean drop of the score under the curve from 0 to the largest fraction, by trapezia. Most relevant first
    (`most`) a faithful map has a large area, least relevant first (`least`) a small one.
    """

    fractions: tuple[float, ...]
    scores: tuple[float, ...]
    start: float
    fill: Fill
    first: Literal["most", "least"]

    @property
    def drops(self) -> tuple[float, ...]:
        """How far the score fell, fraction by fraction."""
        return tuple(self.start - score for score in self.scores)

    @property
    def area(self) -> float:
        """Mean drop from 0 to the largest fraction, in logits."""
        return mean_height((0.0, *self.fractions), (0.0, *self.drops))


def deletion_curve(
    model: nn.Module | ChestModel,
    x: Tensor,
    values: Map | Tensor,
    target: Target,
    *,
    fractions: Sequence[float] = FRACTIONS,
    fill: Fill = "blur",
    first: Literal["most", "least"] = "most",
    seed: int = 0,
) -> DeletionCurve:
    """The curve of one map on one film, in len(fractions) + 1 forwards run in batches.

    Args:
        model: any module with (N, classes) outputs in eval mode, or a ChestModel.
        x: one film (1, C, H, W).
        values: the map as it is read (`similarity.as_read`), (h, w); drawn up to (H, W) bilinearly.
        target: the logit and its sign.
        fractions: shares of the film to fill, ascending.
        fill: `blur` (the film blurred) or `mean` (its mean grey).
        first: fill the highest values first, or the lowest.
        seed: of the order among equal values.
    """
    ranked = by_value(at_size(values, x), seed=seed)
    ranked = ranked if first == "most" else ranked[::-1]
    deletions = [Deletion(ranked[: round(share * len(ranked))], fill) for share in (0.0, *fractions)]
    start, *scores = scores_after(model, x, deletions, target)
    return DeletionCurve(tuple(fractions), tuple(scores), start, fill, first)


def scores_after(
    model: nn.Module | ChestModel, x: Tensor, deletions: Iterable[Deletion], target: Target
) -> Iterator[float]:
    """The target's score of the film x (1, C, H, W) after each deletion, in order; drawn lazily, run in batches."""
    module = model.module if isinstance(model, ChestModel) else model
    fillings = {fill: filling(x, fill).flatten(1) for fill in FILLS}

    def score(samples: Tensor) -> Tensor:
        with Lean(), torch.inference_mode():
            logits: Tensor = module(samples)
        return torch.stack([target.score(row[None]) for row in logits])

    def samples() -> Iterator[Tensor]:
        for deletion in deletions:
            film = x[0].flatten(1).clone()
            where = torch.from_numpy(deletion.positions.copy()).to(x.device)
            film[:, where] = fillings[deletion.fill][:, where]
            yield film.view(x.shape[1:])

    return (float(value) for value in batched(score, samples()))


def filling(x: Tensor, fill: Fill) -> Tensor:
    """What takes the place of a film x (1, C, H, W): (C, H, W), blurred with the border repeated, or its mean."""
    return filled(x, fill)[0]


def at_size(values: Map | Tensor, x: Tensor) -> Map:
    """A map (h, w) drawn up bilinearly to the film's (H, W)."""
    plain = values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    grid = plain.detach().float().cpu()[None, None]
    full: Map = F.interpolate(grid, x.shape[-2:], mode="bilinear", align_corners=False)[0, 0].numpy()
    return full


def by_value(values: Map, *, seed: int = 0) -> Positions:
    """Flat positions from the highest value to the lowest, equal values in random order."""
    shuffled = np.random.default_rng(seed).permutation(values.size)
    return np.asarray(shuffled[np.argsort(-values.ravel()[shuffled])])


def highest(values: Map, share: float, *, seed: int = 0) -> Positions:
    """Flat positions of the highest `share` of a map, in no order: the first of `by_value` without its sorting."""
    count = round(share * values.size)
    if not 0 < count < values.size:
        return by_value(values, seed=seed)[:count]
    shuffled = np.random.default_rng(seed).permutation(values.size)
    return np.asarray(shuffled[np.argpartition(-values.ravel()[shuffled], count - 1)[:count]])


def moved(values: Map, count: int, *, seed: int = 0) -> list[Map]:
    """`count` maps of the same shape elsewhere: mirrored, turned, then rolled round by a quarter to three quarters."""
    square = values.shape[0] == values.shape[1]
    turns = range(4) if square else (0, 2)
    copies = [np.rot90(side, turn) for side in (values, values[:, ::-1]) for turn in turns][1:]
    draws = np.random.default_rng(seed)
    while len(copies) < count:
        down, right = (int(draws.integers(max(1, n // 4), max(1, 3 * n // 4) + 1)) for n in values.shape)
        copies.append(np.roll(values, (down, right), (0, 1)))
    return [np.ascontiguousarray(copy) for copy in copies[:count]]


def mean_height(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Mean of a piecewise linear curve over its range."""
    return float(np.trapezoid(ys, xs) / (xs[-1] - xs[0]))
