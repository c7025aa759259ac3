"""Which curves a DICOM film is shown and read by: the file's windows, else percentiles; bone white, padding black."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from ..errors import Code, Warned, XrayInterpError
from . import grey
from .picture import blank
from .voi import Values, Voi, inverted, modality_is_table, modality_values, padding, read_vois

Mask = npt.NDArray[np.bool_]


_SAME = "all its pixels have the same value"


@dataclass(frozen=True)
class Curves:
    """`recipe` and `shown` (one object unless another window was chosen), the usable windows, the one shown."""

    recipe: grey.Curve
    shown: grey.Curve
    windows: tuple[str, ...]
    window: int | None
    warnings: tuple[Warned, ...]


def curves_of(dataset: Dataset, stored: grey.Stored, window: int, *, signed: bool) -> Curves:
    """The curves of a monochrome film.

    Raises:
        XrayInterpError: `blank`; `bad-option` where `window` is not one of the usable windows.
    """
    codes = grey.every_value(stored.dtype)
    padded = padding(dataset, codes)
    values = modality_values(dataset, codes, signed=signed)
    vois, unusable = read_vois(dataset, signed=signed)
    monotone = not modality_is_table(dataset) and all(voi.table is None for voi in vois)
    occurring = _counts(stored, padded, extremes_suffice=monotone and bool(vois))
    if grey.spread(values, occurring) == 0:
        raise blank("apart from padding, all its pixels have the same value" if padded.any() else _SAME)
    good = _that_show(vois, values, occurring)
    unusable += len(vois) - len(good)
    check_window(window, len(good))
    if good:
        curves = Curves(good[0][1], good[window][1], tuple(voi.name for voi, _ in good), window, ())
    else:
        percentiles = grey.percentile_curve(values, _counts(stored, padded))
        curves = Curves(percentiles, percentiles, (), None, ())
    low_is_white, warning = inverted(dataset)
    warnings = ((warning,) if warning else ()) + ((_bad_window(unusable, len(good)),) if unusable else ())
    recipe = _finish(curves.recipe, padded, low_is_white)
    shown = recipe if curves.shown is curves.recipe else _finish(curves.shown, padded, low_is_white)
    return replace(curves, recipe=recipe, shown=shown, warnings=warnings)


def colour_curves(stored: grey.Stored, window: int) -> Curves:
    """The curve of a coloured secondary capture reduced to grey: percentiles, since windows are for monochrome."""
    check_window(window, 0)
    counts = grey.tally(stored)
    if np.count_nonzero(counts) < 2:
        raise blank(_SAME)
    curve = grey.percentile_curve(grey.every_value(stored.dtype).astype(np.float64), counts)
    return Curves(curve, curve, (), None, ())


def check_window(window: int, usable: int) -> None:
    """Raises `bad-option` where a display window is asked for that the file does not have; 0 is always allowed."""
    if window != 0 and not 0 <= window < usable:
        hint = "Windows are counted from 0." if usable else "Leave it at 0."
        raise XrayInterpError(
            Code.BAD_OPTION, f"Display window {window} does not exist; the file has {usable or 'none'} usable.", hint
        )


def _counts(stored: grey.Stored, padded: Mask, *, extremes_suffice: bool = False) -> grey.Counts:
    """Pixels a value, padding left out; only the smallest and largest value counted where these suffice."""
    if extremes_suffice and not padded.any():
        return grey.extremes(stored)
    counts = grey.tally(stored)
    counts[padded] = 0
    return counts


def _that_show(vois: tuple[Voi, ...], values: Values, occurring: grey.Counts) -> list[tuple[Voi, grey.Curve]]:
    """The windows under which the film has more than one grey, with their curves."""
    applied = ((voi, voi.apply(values).astype(np.float32)) for voi in vois)
    return [(voi, curve) for voi, curve in applied if grey.spread(curve, occurring) >= grey.ONE_GREY]


def _finish(curve: grey.Curve, padded: Mask, low_is_white: bool) -> grey.Curve:
    turned = 1 - curve if low_is_white else curve
    return np.where(padded, np.float32(0), turned)


def _bad_window(unusable: int, left: int) -> Warned:
    lead = "A display window in the header is" if unusable == 1 else f"{unusable} display windows in the header are"
    instead = "another of its windows was used" if left else "greys were set from the 0.5th to the 99.5th percentile"
    return Warned(Code.BAD_WINDOW, f"{lead} empty, not positive or shows nothing; {instead}.")
