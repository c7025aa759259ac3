"""How alike two maps of one size are: by ranks, which no scaling changes, and by local structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float64]
Map = npt.NDArray[np.floating]

WINDOW = 7
"""Side of the window of SSIM."""

FLAT = 1e-6
"""A map whose values differ by less than this share of the largest magnitude is constant."""

BY_MAGNITUDE = frozenset(
    {
        "gradient",
        "smoothgrad",
        "deconvnet",
        "guided_backprop",
        "guided_gradcam",
        "pathway_gradient",
        "prunegrad",
        "prunegrad_pgd",
    }
)
"""Methods whose map is a gradient at the input: its sign says which way a pixel acts, its magnitude where it matters.

All other maps are read by value: the highest values are what speaks for the target.
"""


@dataclass(frozen=True)
class Similarity:
    """Two maps compared: `ssim` (window 7), Spearman's rho of the values and of the magnitudes; 1 is equal.

    None where it is not measurable: a constant map has no ranks, a map under 7 cells no window.
    """

    ssim: float | None
    spearman: float | None
    spearman_abs: float | None


def as_read(method: str, values: Tensor) -> Map:
    """The map (..., h, w) as it is read: the larger, the more the place counts."""
    plain: Map = values.detach().float().cpu().numpy()
    return np.abs(plain) if method in BY_MAGNITUDE else plain


class Likeness:
    """One map (h, w) to be compared with many: what comparing needs of it is computed once."""

    def __init__(self, values: Map) -> None:
        self._values = values
        self._ranked = _Ranked.of(values)
        self._ranked_abs = _Ranked.of(np.abs(values)) if values.min() < 0 else self._ranked

    def to(self, other: Map) -> Similarity:
        """Compare this map with another one of its size in all ways."""
        plain, signed = _Ranked.of(other), other.min() < 0
        magnitudes = _Ranked.of(np.abs(other)) if signed else plain
        return Similarity(ssim(self._values, other), _rho(self._ranked, plain), _rho(self._ranked_abs, magnitudes))


def similarity(a: Map, b: Map) -> Similarity:
    """Two maps (h, w) of one size compared in all ways."""
    return Likeness(a).to(b)


def spearman(a: Map, b: Map) -> float | None:
    """Spearman's rank correlation over positions, -1 to 1; None where one of the maps is constant or not finite."""
    return _rho(_Ranked.of(a), _Ranked.of(b))


def ssim(a: Map, b: Map) -> float | None:
    """Structural similarity (Wang et al. 2004), window 7, of the maps divided by their largest magnitude.

    The range is 2 where one of the maps has negative values, else 1. None where one is constant or under 7 cells.
    """
    if min(a.shape) < WINDOW or constant(a) or constant(b):
        return None
    from skimage.metrics import structural_similarity

    first, second = (m.astype(np.float64) / np.abs(m).max() for m in (a, b))
    spread = 2.0 if min(first.min(), second.min()) < 0 else 1.0
    value: float = structural_similarity(first, second, win_size=WINDOW, data_range=spread)  # type: ignore[no-untyped-call]
    return float(value)


def constant(values: Map) -> bool:
    """True for a map that marks nothing: all values equal, or one of them not finite."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return True
    return high - low <= FLAT * max(abs(low), abs(high))


def ranks(values: Map) -> Floats:
    """Ranks from 0 of the flattened values, equal ones sharing their mean rank."""
    flat = values.ravel()
    order = flat.argsort()
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=flat.size)
    ranked = np.empty(flat.size)
    ranked[order] = np.repeat(starts + (counts - 1) / 2, counts)
    return ranked


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Ranks about their mean, and the sum of their squares."""

    centred: Floats
    power: float

    @classmethod
    def of(cls, values: Map) -> _Ranked | None:
        """None for a map without ranks."""
        if constant(values):
            return None
        centred = ranks(values)
        centred -= centred.mean()
        return cls(centred, float(centred @ centred))


def _rho(a: _Ranked | None, b: _Ranked | None) -> float | None:
    if a is None or b is None:
        return None
    # the root of a product, not a product of roots: a map compared with itself then gives exactly 1
    return float(a.centred @ b.centred / np.sqrt(a.power * b.power))


def mean_of(values: list[float | None]) -> float | None:
    """Mean of what was measurable; None where nothing was."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def mean_likeness(rhos: list[float | None]) -> float:
    """Mean likeness of a map to others, of which one that marks nothing (None) has no likeness: 0.

    A map clipped at 0 vanishes where nothing speaks for its target, which is an answer, and no likeness.
    """
    return sum(rho or 0.0 for rho in rhos) / len(rhos)
