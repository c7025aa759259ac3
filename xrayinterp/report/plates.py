"""Pictures of an explanation, ready to save: its film, its maps, their outlines, the regions of its concepts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..explanation import Explanation, SaliencyMap
from ..imaging.geometry import Frame, frame
from . import pictures, words
from .fonts import REGULAR

LONGEST = 1024
"""Pixels on the long side of a plate."""
_BAR = 340
"""Pixels across the colour bar of a map's picture."""


def film_plate(explanation: Explanation, *, longest: int = LONGEST) -> bytes:
    """PNG of the film, with the border of the model's square where that cuts the film."""
    display, square = _scaled(explanation, longest)
    return pictures.png(pictures.film(display, square))


def overlay_plate(
    explanation: Explanation, saliency: SaliencyMap, *, longest: int = LONGEST, smooth: bool = False
) -> bytes:
    """PNG of the film with a map over it."""
    display, square = _scaled(explanation, longest)
    return pictures.png(pictures.overlaid(display, saliency.values, square, signed=saliency.signed, smooth=smooth))


def outline_plate(
    explanation: Explanation, saliency: SaliencyMap, *, longest: int = LONGEST, share: float = 0.5
) -> bytes:
    """PNG of the film with a map's outlines at `share` of its limit."""
    display, square = _scaled(explanation, longest)
    return pictures.png(pictures.outlined(display, saliency.values, square, share=share))


def region_plate(explanation: Explanation, concept: str, *, longest: int = LONGEST) -> bytes:
    """PNG of the film with the outline of where a concept's units fire."""
    display, square = _scaled(explanation, longest)
    return pictures.png(pictures.region(display, explanation.regions[concept], square))


def model_view_plate(explanation: Explanation, *, longest: int = LONGEST) -> bytes:
    """PNG of the square exactly as the model saw it, its pixels enlarged without smoothing."""
    levels = np.round(np.clip(explanation.model_view, 0, 1) * 255).astype(np.uint8)
    return pictures.png(np.asarray(Image.fromarray(levels).resize((longest, longest), Image.Resampling.NEAREST)))


def bar_plate(saliency: SaliencyMap) -> bytes:
    """PNG of a map's colour bar, without figures."""
    return pictures.png(pictures.colour_bar(signed=saliency.signed, width=512, height=24))


def map_picture(explanation: Explanation, saliency: SaliencyMap, *, smooth: bool = False) -> bytes:
    """PNG of a map over its film with the colour bar, its figures, the method and the disclaimer beneath.

    Args:
        explanation: whose film is drawn.
        saliency: one of its maps.
        smooth: interpolate between the map's cells, which is cosmetic.
    """
    display, square = _scaled(explanation, LONGEST)
    picture = pictures.overlaid(display, saliency.values, square, signed=saliency.signed, smooth=smooth)
    width = max(picture.shape[1], 760)
    plate = Image.new("RGB", (width, picture.shape[0] + 118))
    plate.paste(Image.fromarray(picture), ((width - picture.shape[1]) // 2, 0))
    _caption(plate, picture.shape[0] + 14, explanation, saliency)
    return pictures.png(np.asarray(plate))


def _caption(plate: Image.Image, top: int, explanation: Explanation, saliency: SaliencyMap) -> None:
    """Left: finding and method; model and cells; disclaimer. Right: the colour bar with its figures."""
    write: Callable[..., None] = partial(
        ImageDraw.Draw(plate).text, font=ImageFont.truetype(REGULAR, 18), fill="#d5dbe1"
    )
    licence = f" {words.RESEARCH_ONLY}." if explanation.card.research_only else ""
    finding, method = words.readable(explanation.finding), words.method(saliency.method)
    write((16, top), f"{finding} · {method}")
    write((16, top + 30), f"model {explanation.model} · {words.grid(saliency)}")
    write((16, top + 64), f"{words.DISCLAIMER}{licence}")
    bar = pictures.colour_bar(signed=saliency.signed, width=_BAR, height=16)
    left, right = plate.width - _BAR - 16, plate.width - 16
    plate.paste(Image.fromarray(bar), (left, top + 4))
    low, high = words.scale(saliency, pictures.limit_of(saliency.values))
    write((left, top + 28), low)
    write((right, top + 28), high, anchor="ra")


def _scaled(explanation: Explanation, longest: int) -> tuple[pictures.GreyImage, Frame]:
    film = explanation.radiograph
    return pictures.scaled(film.display, frame(*film.shape, explanation.fit), longest)
