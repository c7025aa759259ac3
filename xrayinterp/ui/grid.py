"""Films and maps side by side as the message that the grid on the page draws: pure, no Streamlit."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from ..explanation import SaliencyMap
from ..imaging.geometry import Frame
from ..imaging.radiograph import Radiograph
from ..report import colours, pictures
from ..report.words import ENDS, scale, strongest

Scale = Literal["own", "common", "rank"]
SCALES: dict[Scale, str] = {
    "own": "Each map on its own scale",
    "common": "One scale for all, same units",
    "rank": "One scale for all, by rank",
}
FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Film:
    """A film of the grid and the square of it that the model sees."""

    radiograph: Radiograph
    square: Frame


@dataclass(frozen=True)
class Cell:
    """One picture: the number of its film, a map over it or none, and the words under it.

    `marked` draws a frame around it; `caution` is set off from the note. `ends`: what a negative and a positive value
    mean, where not "opposes" and "supports".
    """

    title: str
    saliency: SaliencyMap | None
    note: str = ""
    caution: str = ""
    film: int = 0
    marked: bool = False
    ends: tuple[str, str] | None = None


def grid_message(
    films: Sequence[Film], cells: Sequence[Cell], *, how: Scale = "own", columns: int = 4
) -> dict[str, Any]:
    """Everything the grid draws, as JSON types.

    Args:
        films: each is sent once.
        cells: pictures in their order.
        how: `own` colours each map up to its own limit; `common` all up to the largest limit, which only says
            something for maps of one unit; `rank` by the rank of |value| within its map, whatever its unit.
        columns: pictures in a row, where there is room.
    """
    limits = [0.0 if cell.saliency is None else pictures.limit_of(cell.saliency.values) for cell in cells]
    shared = max(limits, default=0.0)
    return {
        "films": [_film(film) for film in films],
        "cells": [
            _cell(cell, how, shared if how == "common" else limit) for cell, limit in zip(cells, limits, strict=True)
        ],
        "palettes": {"signed": _palette(signed=True), "unsigned": _palette(signed=False)},
        "columns": columns,
    }


def ranked(values: FloatImage) -> FloatImage:
    """Ranks of |values| within the map, with their signs: 0 up to the median, 1 at the strongest cell."""
    sizes = np.abs(values)
    share = np.asarray(rankdata(sizes)).reshape(sizes.shape) / sizes.size
    return np.asarray(np.sign(values) * np.clip(2 * share - 1, 0, 1), dtype=np.float32)


def _film(film: Film) -> dict[str, Any]:
    square = film.square
    return {
        "id": film.radiograph.sha256,
        "png": _base64(pictures.png(film.radiograph.display)),
        "frame": {"left": square.left, "top": square.top, "side": square.side},
    }


def _cell(cell: Cell, how: Scale, limit: float) -> dict[str, Any]:
    where = "Without a map." if cell.saliency is None else strongest(cell.saliency)
    words = " ".join(part for part in (f"{cell.title}.", where, cell.note, cell.caution) if part)
    return {
        "film": cell.film,
        "map": None if cell.saliency is None else _map(cell.saliency, how, limit, cell.ends),
        "title": cell.title,
        "note": cell.note,
        "caution": cell.caution,
        "marked": cell.marked,
        "alt": words,
    }


def _map(saliency: SaliencyMap, how: Scale, limit: float, ends: tuple[str, str] | None) -> dict[str, Any]:
    low, high = scale(saliency, limit, ends or ENDS)
    if how == "rank" and limit > 0:
        saliency, limit = replace(saliency, values=ranked(saliency.values)), 1.0
        low, high = ends or ENDS if saliency.signed else ("median", "strongest")
    height, width = saliency.values.shape
    share = np.zeros_like(saliency.values) if limit == 0 else saliency.values / limit
    share = (np.clip(share, -1, 1) + 1) / 2 if saliency.signed else np.clip(share, 0, 1)
    return {
        "shades": _base64(np.round(255 * share).astype(np.uint8).tobytes()),
        "height": height,
        "width": width,
        "signed": saliency.signed,
        "low": low,
        "high": high,
    }


def _palette(*, signed: bool) -> str:
    ramp = np.linspace(-1.0 if signed else 0.0, 1.0, 256)
    return _base64(colours.overlay(ramp, 1.0, signed=signed, opacity=1.0).tobytes())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
