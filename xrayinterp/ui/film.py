"""A film, its map and a concept's region as the message that the viewer on the page draws: pure, no Streamlit."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.measure import approximate_polygon

from ..anatomy import Anatomy
from ..explanation import SaliencyMap
from ..imaging.geometry import Frame
from ..imaging.radiograph import Radiograph
from ..models.prepare import on_film
from ..models.segmentation import LEFT, RIGHT, Segmentation
from ..report import colours, pictures
from ..report.words import grid, method, readable, scale, small, strongest

FloatImage = npt.NDArray[np.float32]
Line = list[tuple[float, float]]

OUTLINE_SHARE = 0.5
"""Outlines follow this share of the map's limit, as in the report."""


@dataclass(frozen=True)
class Window:
    """A display window: grey values of the film shown black and white, 0 to 255."""

    name: str
    black: int
    white: int


@dataclass(frozen=True)
class Layer:
    """A map that is not about a finding, drawn in the place of the model's: (h, w) >= 0 over its own `square`.

    Its colours run from `floor` to `limit`, the same for every film where that was measured. `outline`: the part of it
    that is set off, (h, w), or None. It is shown at once where the reader just asked for it, as `asked` says.
    """

    values: FloatImage
    square: Frame
    floor: float
    limit: float
    label: str
    alt: str
    outline: npt.NDArray[np.bool_] | None = None
    asked: str = ""


def windows(display: npt.NDArray[np.uint8]) -> tuple[Window, ...]:
    """The film as stored, and three windows from its own grey values: lungs dark, soft tissue bright, contrast."""
    low, dark, middle, high = (int(v) for v in np.percentile(display, (1, 20, 55, 99)))
    return (
        Window("Film as stored", 0, 255),
        _window("Contrast", low, high),
        _window("Lungs", low, max(middle, low + 40)),
        _window("Mediastinum", dark, high),
    )


def viewer_message(
    radiograph: Radiograph,
    square: Frame,
    *,
    saliency: SaliencyMap | None = None,
    finding: str | None = None,
    region: tuple[str, FloatImage] | None = None,
    marks: tuple[str, str] = ("", ""),
    anatomy: Anatomy | None = None,
    layer: Layer | None = None,
) -> dict[str, Any]:
    """Everything the viewer draws, as JSON types.

    Args:
        radiograph: the film.
        square: what the model sees of it.
        saliency: the map on offer; the viewer keeps it hidden until asked.
        finding: what the map is about.
        region: a concept and its signed contributions (h, w) where its units fire.
        marks: side marks at the image's left and right edge; empty where nobody gave the sides.
        anatomy: whose lungs and heart can be outlined; they are hidden until asked.
        layer: a map drawn instead of `saliency`, as the reader asked for it.
    """
    if layer is not None:
        saliency = None
    set_off = None if layer is None or layer.outline is None else layer.outline.astype(np.float32)
    return {
        "film": {
            "id": radiograph.sha256,
            "png": _base64(pictures.png(radiograph.display)),
        },
        "frame": _place(square),
        "map": _layer(layer) if layer else None if saliency is None else _map(saliency, square, finding or ""),
        "region": None if region is None else _outline(np.sign(region[1]), square, 0.5),
        "contour": None if layer is None or set_off is None else _outline(set_off, layer.square, 0.5),
        "anatomy": None if anatomy is None or anatomy.doubt else structures(anatomy.segmentation),
        "presets": [{"name": w.name, "black": w.black, "white": w.white} for w in windows(radiograph.display)],
        "sides": {"left": marks[0], "right": marks[1]},
        "colours": {
            "supports": colours.SUPPORTS,
            "opposes": colours.OPPOSES,
            "lungs": colours.LUNGS,
            "heart": colours.HEART,
        },
        "alt": _alt(radiograph, saliency, finding, region, anatomy) + (f" {layer.alt}" if layer else ""),
    }


def outlines(values: FloatImage, square: Frame, level: float) -> list[Line]:
    """Outlines of a map (h, w) on the film, (x, y), around what lies above `level`, or below a negative one."""
    found = pictures.contours(on_film(values, square, smooth=True), level)
    # positions count from the film's corner, contours from its first pixel's centre
    lines = (approximate_polygon(line + 0.5, 0.5) for line in found)  # type: ignore[no-untyped-call]
    return [[(round(float(x), 1), round(float(y), 1)) for y, x in line] for line in lines]


def structures(segmentation: Segmentation) -> dict[str, list[Line]]:
    """Outlines of lungs and of heart and mediastinum on the film, (x, y)."""
    square, cells = segmentation.square, segmentation.detail
    scale, start = square.side / cells, np.array([square.top, square.left])

    def around(mask: npt.NDArray[np.bool_]) -> list[Line]:
        found = (line for line in pictures.contours(mask.astype(np.float32), 0.5))
        lines = ((line + 0.5) * scale + start for line in found)
        return [
            [(round(float(x), 1), round(float(y), 1)) for y, x in approximate_polygon(line, scale / 2)]  # type: ignore[no-untyped-call]
            for line in lines
        ]

    left, right = (around(segmentation.masks[name]) for name in (LEFT, RIGHT))
    return {"lungs": left + right, "heart": around(segmentation.heart)}


def _map(saliency: SaliencyMap, square: Frame, finding: str) -> dict[str, Any]:
    limit = pictures.limit_of(saliency.values)
    low, high = scale(saliency, limit)
    label = f"{readable(finding)} · {method(saliency.method)} · {grid(saliency)}"
    return _cells(saliency.values, square, limit, signed=saliency.signed) | {"label": label, "low": low, "high": high}


def _layer(layer: Layer) -> dict[str, Any]:
    low = f"{small(layer.floor)} and below" if layer.floor > 0 else "0"
    words = {"label": layer.label, "low": low, "high": f"{small(layer.limit)} and above", "asked": layer.asked}
    cells = _cells(layer.values, layer.square, layer.limit, signed=False, floor=layer.floor)
    return cells | words | {"frame": _place(layer.square)}


def _cells(values: FloatImage, square: Frame, limit: float, *, signed: bool, floor: float = 0.0) -> dict[str, Any]:
    height, width = values.shape
    ramp = np.linspace(-1.0 if signed else 0.0, 1.0, 256)
    level = floor + OUTLINE_SHARE * (limit - floor)
    outline = _outline(values, square, level) if limit > floor else {"supports": [], "opposes": []}
    return {
        "values": _base64(np.ascontiguousarray(values, dtype="<f4").tobytes()),
        "height": height,
        "width": width,
        "signed": signed,
        "floor": floor,
        "peak": limit,
        "palette": _base64(colours.overlay(ramp, 1.0, signed=signed, opacity=1.0).tobytes()),
        **outline,
    }


def _place(square: Frame) -> dict[str, int]:
    return {"left": square.left, "top": square.top, "side": square.side}


def _outline(values: FloatImage, square: Frame, level: float) -> dict[str, list[Line]]:
    return {"supports": outlines(values, square, level), "opposes": outlines(values, square, -level)}


def _alt(
    radiograph: Radiograph,
    saliency: SaliencyMap | None,
    finding: str | None,
    region: tuple[str, FloatImage] | None,
    anatomy: Anatomy | None,
) -> str:
    view = "view not known" if radiograph.view == "unknown" else f"{radiograph.view} view"
    parts = [f"Chest radiograph, {view}, {radiograph.shape[1]} by {radiograph.shape[0]} pixels."]
    if saliency is not None:
        parts.append(f"Map {method(saliency.method)} for {readable(finding or '')}. {strongest(saliency, anatomy)}")
    if region is not None:
        fires = bool(np.any(region[1]))
        parts.append(f"{readable(region[0])}-like units fire {'in the outlined region' if fires else 'nowhere'}.")
    return " ".join(parts)


def _window(name: str, black: int, white: int) -> Window:
    low = min(max(black, 0), 254)
    return Window(name, low, min(max(white, low + 1), 255))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def marks_of(side: str, orientation: tuple[str, str] | None) -> tuple[str, str]:
    """Side marks at the image's left and right edge: the reader's word first, then the header's, else none."""
    if side in _SIDES:
        return _SIDES[side]
    if orientation is None:
        return "", ""
    return _HEADER.get(orientation[0][:1].upper(), ("", ""))


_SIDES: Mapping[str, tuple[str, str]] = {
    "usual": ("R · reader", "L · reader"),
    "mirrored": ("L · reader", "R · reader"),
}
_HEADER: Mapping[str, tuple[str, str]] = {"L": ("R · header", "L · header"), "R": ("L · header", "R · header")}
