"""Exemplars: the films that a unit answers most strongly, cut out around the unit's region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from skimage.measure import find_contours, label

from ..concepts.probes import ProbeFilm, ProbeSet
from ..datasets.films import BoolMask, FloatImage
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit, frame
from ..models.chest_model import ChestModel
from ..operators.taps import feature_maps
from .atlas import Atlas, AtlasRow
from .cells import FACTOR

EXEMPLARS = 5
"""Films a unit."""
MARGIN = 0.1
"""What is kept around a region, as a share of the film's short side."""

Contour = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Exemplar:
    """One film of a unit's strongest.

    Where the film is at hand: `crop`, float32 (h, w) in [0, 1], the part of the film around the unit's largest region;
    `box` its (left, top, width, height) on the film; `region` bool (h, w), where the unit fires in it; `contours` its
    outlines as points (n, 2) of x and y in pixels of the crop; `peak` the highest value of the unit's map. All are None
    or empty where only the film's name is known; `crop` is the whole film where the unit fires nowhere on it.
    """

    film: str
    crop: FloatImage | None = None
    box: tuple[int, int, int, int] | None = None
    region: BoolMask | None = None
    contours: tuple[Contour, ...] = ()
    peak: float | None = None


def exemplars(
    model: ChestModel,
    atlas: Atlas,
    layer: str,
    unit: int,
    probes: ProbeSet | None = None,
    *,
    names: Sequence[str] | None = None,
    fit: Fit = "crop",
    margin: float = MARGIN,
) -> tuple[Exemplar, ...]:
    """The strongest films of a unit, one forward a film; names only without `probes`.

    The region is where the map, drawn up bilinearly by eight, exceeds the unit's threshold, as when it was dissected.

    Args:
        probes: the films the atlas was made of, in whole or in part; films that are not in it are named only.
        names: of the films to show; None takes those that the atlas names.
        fit: how films are cut, as when they were dissected.
        margin: kept around the region, as a share of the film's short side.

    Raises:
        XrayInterpError: `unknown-layer`; `bad-option` for a unit that the atlas does not know or a negative margin.
    """
    if margin < 0:
        raise XrayInterpError(Code.BAD_OPTION, f"A margin of {margin:.3g} cuts into the region.", "Use 0 or more.")
    place = model.layer(layer).path
    row = _row(atlas, layer, unit)
    films = {film.id: film for film in probes.films} if probes is not None else {}
    out = []
    for name in row.exemplars if names is None else names:
        if name not in films:
            out.append(Exemplar(name))
            continue
        pixels = films[name].pixels()
        _, maps = feature_maps(model.module, model.prepare_pixels(pixels, fit), [place])
        out.append(_cut_out(name, pixels, maps[place][0, unit].float().cpu().numpy(), row.threshold, fit, margin))
    return tuple(out)


def strongest_by(
    values: npt.NDArray[np.float64], films: Sequence[ProbeFilm], count: int = EXEMPLARS
) -> tuple[tuple[str, ...], ...]:
    """Names of the films of highest mean, strongest first, for every unit, from means (films, units)."""
    order = np.argsort(-values, axis=0, kind="stable")[:count].T
    return tuple(tuple(films[i].id for i in row) for row in order)


def _row(atlas: Atlas, layer: str, unit: int) -> AtlasRow:
    rows = [row for row in atlas.rows if (row.layer, row.unit) == (layer, unit)]
    if not rows:
        known = sorted({row.layer for row in atlas.rows})
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The atlas of {atlas.model!r} on {atlas.probe!r} has no unit {unit} in {layer!r}.",
            f"It covers {', '.join(known) or 'no layer'}.",
        )
    return rows[0]


def _cut_out(
    name: str, pixels: FloatImage, values: npt.NDArray[np.float32], threshold: float, fit: Fit, margin: float
) -> Exemplar:
    region = _on_film(values, threshold, pixels.shape, fit)
    left, top, width, height = box = _around(region, margin)
    part = (slice(top, top + height), slice(left, left + width))
    inside = np.ascontiguousarray(region[part])
    return Exemplar(name, np.ascontiguousarray(pixels[part]), box, inside, _outlines(inside), float(values.max()))


def _on_film(values: npt.NDArray[np.float32], threshold: float, shape: tuple[int, ...], fit: Fit) -> BoolMask:
    """Where the unit fires, bool on the film's grid: each pixel takes the cell of the drawn-up map under its centre."""
    size = (FACTOR * values.shape[0], FACTOR * values.shape[1])
    fine = F.interpolate(torch.from_numpy(values).double()[None, None], size, mode="bilinear", align_corners=False)
    fires = fine[0, 0].numpy() > threshold
    square = frame(shape[0], shape[1], fit)
    rows, columns = (
        np.floor((np.arange(length) + 0.5 - start) * size[axis] / square.side).astype(np.int64)
        for axis, (length, start) in enumerate(zip(shape, (square.top, square.left), strict=True))
    )
    seen = ((rows >= 0) & (rows < size[0]))[:, None] & ((columns >= 0) & (columns < size[1]))[None, :]
    drawn: BoolMask = seen & fires[np.clip(rows, 0, size[0] - 1)][:, np.clip(columns, 0, size[1] - 1)]
    return drawn


def _around(region: BoolMask, margin: float) -> tuple[int, int, int, int]:
    """The box (left, top, width, height) around the largest connected part, with margin; the whole film without one."""
    height, width = region.shape
    parts = label(region, connectivity=1)  # type: ignore[no-untyped-call]
    if not parts.any():
        return 0, 0, width, height
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    rows, columns = np.nonzero(parts == largest)
    extra = round(margin * min(height, width))
    top, left = max(int(rows.min()) - extra, 0), max(int(columns.min()) - extra, 0)
    bottom, right = min(int(rows.max()) + 1 + extra, height), min(int(columns.max()) + 1 + extra, width)
    return left, top, right - left, bottom - top


def _outlines(region: BoolMask) -> tuple[Contour, ...]:
    """Closed outlines of a region, points (n, 2) of x and y in pixels, pixel centres at half-integers."""
    padded = np.pad(region.astype(np.float64), 1)
    lines: list[Contour] = find_contours(padded, 0.5)  # type: ignore[no-untyped-call]
    return tuple(np.ascontiguousarray(line[:, ::-1] - 0.5) for line in lines)
