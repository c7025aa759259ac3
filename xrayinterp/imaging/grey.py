"""From stored values to grey: a curve over every value that a pixel can hold, applied by one look-up.

A curve is float32 in [0, 1] with 256 or 65536 entries, indexed by the bit pattern of a stored 8- or 16-bit value
(signed or not, in this machine's byte order). One decode thus serves several curves, and statistics come from counts
of values, not from pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Curve = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Stored = npt.NDArray[np.integer]

PERCENTILES = (0.5, 99.5)
ONE_GREY = 1 / 255
"""The smallest span that shows as more than one grey of 8 bits."""

_BLOCK = 1 << 20


def every_value(dtype: np.dtype[np.integer]) -> npt.NDArray[np.int64]:
    """The value of every bit pattern of an 8- or 16-bit integer type: (256,) or (65536,)."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return np.arange(1 << (8 * dtype.itemsize), dtype=unsigned).view(dtype).astype(np.int64)


def tally(stored: Stored) -> Counts:
    """How many pixels hold each bit pattern."""
    flat = _patterns(stored).reshape(-1)
    counts = np.zeros(1 << (8 * stored.dtype.itemsize), dtype=np.int64)
    for start in range(0, flat.size, _BLOCK):
        counts += np.bincount(flat[start : start + _BLOCK], minlength=counts.size)
    return counts


def extremes(stored: Stored) -> Counts:
    """As `tally`, but only the smallest and the largest value are counted, once each: enough for monotone curves."""
    counts = np.zeros(1 << (8 * stored.dtype.itemsize), dtype=np.int64)
    counts[_patterns(np.array([stored.min(), stored.max()]))] = 1
    return counts


def look_up(curve: Curve, stored: Stored) -> npt.NDArray[np.float32]:
    """The curve's value at every pixel: float32, the shape of `stored`."""
    flat = _patterns(stored).reshape(-1)
    out = np.empty(flat.size, dtype=np.float32)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        np.take(curve, block, out=out[start : start + _BLOCK], mode="clip")
    return out.reshape(stored.shape)


def percentile_curve(values: npt.NDArray[np.float64], counts: Counts) -> Curve:
    """Linear between the 0.5th and 99.5th percentile of the counted values, clipped to [0, 1].

    Where these coincide (few pixels differ from the rest) the extremes take their place.

    Args:
        values: what each bit pattern stands for.
        counts: pixels that hold it; at least two different values must be counted.
    """
    present = counts > 0
    order = np.argsort(values[present], kind="stable")
    ranked = values[present][order]
    reached = np.cumsum(counts[present][order])
    low, high = (_percentile(ranked, reached, q) for q in PERCENTILES)
    if low == high:
        low, high = float(ranked[0]), float(ranked[-1])
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)


def spread(curve: npt.NDArray[np.floating], counts: Counts) -> float:
    """Largest minus smallest of the curve over the values that occur; 0 where none does."""
    occurring = curve[counts > 0]
    return float(np.ptp(occurring)) if occurring.size else 0.0


def _percentile(ranked: npt.NDArray[np.float64], reached: Counts, q: float) -> float:
    """As numpy.percentile(..., method="linear") on the sorted values repeated as counted."""
    position = q / 100 * (int(reached[-1]) - 1)
    below = ranked[np.searchsorted(reached, np.floor(position), side="right")]
    above = ranked[np.searchsorted(reached, np.ceil(position), side="right")]
    return float(below + (above - below) * (position - np.floor(position)))


def _patterns(stored: Stored) -> npt.NDArray[np.unsignedinteger]:
    return np.ascontiguousarray(stored).view(np.dtype(f"u{stored.dtype.itemsize}"))
