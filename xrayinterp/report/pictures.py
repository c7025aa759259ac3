"""Films and maps as pictures: the film, a map over it, a map as outlines, a concept's region, a colour bar."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from skimage.measure import find_contours

from ..imaging.geometry import FloatImage, Frame
from ..models.prepare import on_film
from . import colours

GreyImage = npt.NDArray[np.uint8]
ColourImage = npt.NDArray[np.uint8]
Polyline = npt.NDArray[np.float64]


def limit_of(values: FloatImage) -> float:
    """The value drawn in the strongest colour: the 99.5th percentile of |values|, NaN left out; 0 for an empty map.

    Where the percentile is 0 (a map with very few cells lit), the largest |value| is taken.
    """
    sizes = np.abs(values[np.isfinite(values)])
    if sizes.size == 0:
        return 0.0
    return float(np.percentile(sizes, 99.5)) or float(sizes.max())


def film(display: GreyImage, square: Frame | None = None) -> ColourImage:
    """The film (H, W) as a colour picture (H, W, 3), with the border of the model's square where that cuts the film."""
    picture = np.repeat(display[..., None], 3, axis=-1)
    return picture if square is None else _with_frame(picture, square)


def overlaid(
    display: GreyImage, values: FloatImage, square: Frame, *, signed: bool, smooth: bool = False, opacity: float = 0.75
) -> ColourImage:
    """The film with a map over it, (H, W, 3): orange supports, blue opposes, transparent at zero.

    Args:
        display: film (H, W).
        values: map (h, w) over the model's square, unnormalised.
        square: the model's square on the film.
        signed: False draws an unsigned map in cividis.
        smooth: interpolate between the map's cells, which is cosmetic.
        opacity: of the strongest colour, in [0, 1].
    """
    limit = limit_of(values)
    picture = film(display)
    if limit > 0:
        layer = colours.overlay(on_film(values, square, smooth=smooth), limit, signed=signed, opacity=opacity)
        alpha = layer[..., 3:].astype(np.float32) / 255
        picture = np.round(picture * (1 - alpha) + layer[..., :3] * alpha).astype(np.uint8)
    return _with_frame(picture, square)


def outlined(display: GreyImage, values: FloatImage, square: Frame, *, share: float = 0.5) -> ColourImage:
    """The film with the map's outlines at `share` of its limit: orange, solid, supports; blue, dashed, opposes.

    The outlines follow the interpolated map. The film stays readable beneath them, (H, W, 3).
    """
    return draw_outlines(film(display), values, square, share=share)


def draw_outlines(picture: ColourImage, values: FloatImage, square: Frame, *, share: float = 0.5) -> ColourImage:
    """`outlined` on a picture (H, W, 3) that exists already, such as an overlay."""
    limit = limit_of(values)
    if limit > 0:
        full = on_film(values, square, smooth=True)
        width = max(2, round(max(full.shape) / 220))
        for level, colour in ((share * limit, colours.SUPPORTS), (-share * limit, colours.OPPOSES)):
            picture = _with_lines(picture, contours(full, level), colour, width, dashed=level < 0)
    return _with_frame(picture, square)


def region(display: GreyImage, values: FloatImage, square: Frame) -> ColourImage:
    """The film with the outline of a concept's region: wherever its units fire, whatever their sign, (H, W, 3).

    `values` (h, w) are the signed contributions of the units where they fire, 0 elsewhere. A part that supports is
    drawn orange and solid, a part that opposes blue and dashed.
    """
    picture = film(display)
    width = max(2, round(max(display.shape) / 220))
    for fires, colour in ((values > 0, colours.SUPPORTS), (values < 0, colours.OPPOSES)):
        full = np.nan_to_num(on_film(fires.astype(np.float32), square))
        picture = _with_lines(picture, contours(full, 0.5), colour, width, dashed=colour == colours.OPPOSES)
    return _with_frame(picture, square)


def colour_bar(*, signed: bool, width: int = 256, height: int = 12) -> ColourImage:
    """The scale of `overlaid` on mid-grey, as it looks on a film, (height, width, 3): -limit or 0 to limit."""
    share = np.linspace(-1.0 if signed else 0.0, 1.0, width)
    layer = np.repeat(colours.overlay(share, 1.0, signed=signed)[None], height, axis=0)
    alpha = layer[..., 3:].astype(np.float32) / 255
    return np.round(128 * (1 - alpha) + layer[..., :3] * alpha).astype(np.uint8)


def scaled(display: GreyImage, square: Frame, longest: int) -> tuple[GreyImage, Frame]:
    """The film with `longest` pixels on its long side, and the model's square on it (to half a pixel).

    Lines and cells drawn afterwards are as fine as the picture allows, however few pixels the film has.
    """
    height, width = display.shape
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = np.asarray(Image.fromarray(display).resize(size, Image.Resampling.LANCZOS))
    top, left, side = (round(length * scale) for length in (square.top, square.left, square.side))
    return picture, Frame(top, left, max(1, side), *picture.shape)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """A picture (H, W) or (H, W, 3) as the bytes of a PNG; the same picture gives the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def contours(full: FloatImage, level: float) -> list[Polyline]:
    """Closed contours at `level` as (n, 2) of y, x in pixel centres; what touches the border is closed along it."""
    filled = np.where(np.isfinite(full), full, 0.0) * (1 if level > 0 else -1)
    lines: list[Polyline] = find_contours(np.pad(filled, 1), abs(level))  # type: ignore[no-untyped-call]
    return [line - 1 for line in lines if len(line) > 3]


def _with_lines(
    picture: ColourImage, lines: Sequence[Polyline], colour: str, width: int, *, dashed: bool
) -> ColourImage:
    if not lines:
        return picture
    image = Image.fromarray(picture)
    # drawn at twice the size and reduced, since Pillow's lines have hard edges
    layer = Image.new("RGBA", (2 * image.width, 2 * image.height))
    draw = ImageDraw.Draw(layer)
    for line in lines:
        points = [(2 * float(x) + 1, 2 * float(y) + 1) for y, x in line]
        # a dark casing keeps the line visible on bright bone and on black air alike
        draw.line(points, fill=(0, 0, 0, 200), width=2 * width + 4, joint="curve")
        for part in _dashes(points, length=8.0 * width) if dashed else [points]:
            draw.line(part, fill=(*colours.rgb(colour), 255), width=2 * width, joint="curve")
    image.paste(layer.convert("RGB").resize(image.size), mask=layer.getchannel("A").resize(image.size))
    return np.asarray(image)


def _dashes(points: Sequence[tuple[float, float]], length: float) -> list[list[tuple[float, float]]]:
    """Every other stretch of about `length` pixels along a line."""
    parts: list[list[tuple[float, float]]] = []
    run, last_on = 0.0, False
    for before, after in pairwise(points):
        on = int(run // length) % 2 == 0
        if on and last_on:
            parts[-1].append(after)
        elif on:
            parts.append([before, after])
        run += float(np.hypot(after[0] - before[0], after[1] - before[1]))
        last_on = on
    return parts


def _with_frame(picture: ColourImage, square: Frame) -> ColourImage:
    """The picture with the border of the model's square, where the square cuts the film."""
    if not square.cuts:
        return picture
    image = Image.fromarray(picture)
    width = max(1, round(max(picture.shape[:2]) / 400))
    box = (square.left, square.top, square.left + square.side - 1, square.top + square.side - 1)
    ImageDraw.Draw(image).rectangle(box, outline=colours.rgb(colours.FRAME), width=width)
    return np.asarray(image)
