"""How well maps find outlined anomalies: pixel AUROC and per-region overlap, exact, with draws over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import Code, XrayInterpError
from ..training.measure import auroc, patient_weights

Floats = npt.NDArray[np.floating]
BoolMask = npt.NDArray[np.bool_]

LIMIT = 0.3
"""False positive rate up to which per-region overlap is integrated."""
LEVELS = 2048
"""Equally filled levels into which maps are sorted where patients are resampled; figures themselves are exact."""


@dataclass(frozen=True, eq=False)
class Outlined:
    """Maps (N, H, W), higher = more unusual, and masks (N, H, W) of what is unusual; none of them empty.

    Where `counted` (N, H, W) is False a pixel counts neither way; None counts all.
    """

    maps: Floats
    masks: BoolMask
    counted: BoolMask | None = None

    def __post_init__(self) -> None:
        if self.maps.ndim != 3 or self.maps.shape != self.masks.shape or not len(self.maps):
            raise XrayInterpError(Code.BAD_DATA, f"Maps {self.maps.shape} do not fit masks {self.masks.shape}.")
        if not np.isfinite(self.maps).all():
            raise XrayInterpError(Code.BAD_DATA, "A map holds values that are no numbers.", "Fit the detector again.")
        if not self._known.any(where=self.masks) or self.masks[self._known].all():
            raise XrayInterpError(Code.BAD_DATA, "All pixels that count are of one kind.", "Use films with outlines.")

    @property
    def _known(self) -> BoolMask:
        return np.ones_like(self.masks) if self.counted is None else self.counted

    @cached_property
    def flat(self) -> tuple[Floats, npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """Of every pixel that counts, highest value first: value, 1 inside, share of its region (0 outside), film."""
        shares = np.stack([_shares(mask & known) for mask, known in zip(self.masks, self._known, strict=True)])
        film = np.broadcast_to(np.arange(len(self.maps))[:, None, None], self.maps.shape)
        values = self.maps[self._known]
        order = np.argsort(-values)
        inside = self.masks[self._known].astype(np.float64)
        return values[order], inside[order], shares[self._known][order], film[self._known][order]


def pixel_auroc(outlined: Outlined) -> float:
    """Area under the ROC curve of all pixels together, ties counted half."""
    values, inside, _, _ = outlined.flat
    return float(auroc(inside, values)[0])


def region_overlap(outlined: Outlined, *, limit: float = LIMIT) -> float:
    """PRO: mean share of a connected region found, integrated over the false positive rate up to `limit`, over `limit`.

    Regions are 8-connected. A perfect map has 1, a map without information `limit` / 2. Source: Bergmann et al. 2021,
    IJCV 129.
    """
    values, inside, shares, _ = outlined.flat
    ends = np.flatnonzero(np.r_[np.diff(values) != 0, True])
    found, false = (np.cumsum(part)[ends][None] for part in (shares, 1 - inside))
    return float(_area(found, false, limit)[0])


def draws(
    outlined: Outlined, patients: Sequence[str], *, resamples: int, seed: int = 0, limit: float = LIMIT
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixel AUROC and per-region overlap (B,) each, of resamples of patients (N,), all films of one together."""
    values, inside, shares, film = outlined.flat
    cuts = np.unique(values[np.arange(1, LEVELS) * len(values) // LEVELS])
    at = film * LEVELS + np.searchsorted(cuts, values, side="right")
    size = len(outlined.maps) * LEVELS
    positive, negative, share = (
        np.bincount(at, weights=part, minlength=size).reshape(-1, LEVELS) for part in (inside, 1 - inside, shares)
    )
    weights = patient_weights(patients, resamples, seed)
    up, down = weights @ positive, weights @ negative
    labels = np.repeat([1.0, 0.0], LEVELS)
    areas = auroc(labels, np.tile(np.arange(LEVELS), 2), np.c_[up, down])
    found, false = (np.cumsum(part[:, ::-1], 1) for part in (weights @ share, down))
    return areas, _area(found, false, limit)


def _shares(mask: BoolMask) -> npt.NDArray[np.float64]:
    """One over the pixels of its region, 0 outside: each region sums to 1."""
    regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(regions.ravel(), minlength=count + 1).astype(np.float64)
    per_region = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=np.arange(count + 1) > 0)
    return np.asarray(per_region[regions])


def _area(found: Floats, false: Floats, limit: float) -> npt.NDArray[np.float64]:
    """Area (B,) under found over false, cumulative counts (B, K) each from the highest value down, both taken to 1."""
    start = np.zeros((len(found), 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        y, x = np.c_[start, found / found[:, -1:]], np.c_[start, false / false[:, -1:]]
    left, right = x[:, :-1], x[:, 1:]
    low, rise = y[:, :-1], np.diff(y, axis=1)
    part = np.clip(limit - left, 0, right - left)
    share = np.divide(part, right - left, out=np.zeros_like(part), where=right > left)
    return np.asarray((part * (low + rise * share / 2)).sum(1) / limit)
