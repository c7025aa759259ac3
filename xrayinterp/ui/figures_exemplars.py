"""A unit's region on a piece of film as a picture. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from ..dissection.exemplars import Exemplar

HEIGHT, WIDEST = 168, 260
LINE, HALO = (0x7F, 0xD4, 0xDE), (0, 0, 0)


def exemplar_picture(exemplar: Exemplar, height: int = HEIGHT, widest: int = WIDEST) -> npt.NDArray[np.uint8]:
    """The crop drawn `height` pixels tall, or less where it would be wider than `widest`; outlines on dark seams.

    Returns:
        (h, w, 3) uint8.

    Raises:
        ValueError: where the exemplar has no crop.
    """
    if exemplar.crop is None:
        raise ValueError(f"Film {exemplar.film} is not at hand.")
    tall, wide = exemplar.crop.shape
    zoom = min(height / tall, widest / wide)
    size = max(round(wide * zoom), 1), max(round(tall * zoom), 1)
    grey = Image.fromarray(np.clip(exemplar.crop * 255 + 0.5, 0, 255).astype(np.uint8))
    picture = grey.resize(size, Image.Resampling.LANCZOS).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for line in exemplar.contours:
        points = [(float(x) * zoom, float(y) * zoom) for x, y in line]
        for colour, width in ((HALO, 4), (LINE, 2)):
            pen.line(points, fill=colour, width=width, joint="curve")
    return np.asarray(picture)
