"""The whole room in one call: bytes to Radiograph, in this process; `reader.read` does the same in a child."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import Code, Warned, XrayInterpError
from . import grey
from .curves import check_window
from .dicom import read_dicom
from .limits import LIMITS, Limits, check_file_size, check_short_side
from .picture import Picture, blank
from .radiograph import Kind, Radiograph
from .raster import read_raster
from .view import check_view

LONG_SIDE = 1024
"""Longest side of `Radiograph.display` and `.pixels`."""
LOW_RESOLUTION = 128
"""Short sides below this many pixels are warned of."""

_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (128, b"DICM", "dicom"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
)
_STRIP = 128
"""Rows of the grid scaled at a time."""
_HASHING = ThreadPoolExecutor(1, thread_name_prefix="sha256")


def decode(
    data: bytes, *, name: str | None = None, view: str | None = None, window: int = 0, limits: Limits = LIMITS
) -> Radiograph:
    """A frontal chest film from the bytes of a DICOM, PNG or JPEG file.

    Args:
        data: the file's bytes; its extension plays no part.
        name: the file's name as the caller gave it, for messages.
        view: "PA" or "AP" as a reader confirmed it; overrides the header.
        window: index of the display window; it never changes `Radiograph.pixels`.
        limits: caps on the file.

    Raises:
        XrayInterpError: the reason of the refusal.
    """
    confirmed = check_view(view)
    check_file_size(len(data), limits)
    kind = sniff(data, name)
    digest = _hashing(data)
    if kind == "dicom":
        picture = read_dicom(data, view=confirmed, window=window, limits=limits)
    else:
        check_window(window, 0)
        picture = read_raster(data, kind, view=confirmed, limits=limits)
    return _radiograph(picture, digest.result(), limits)


def _hashing(data: bytes) -> Future[str]:
    """SHA-256 in hexadecimal, computed beside the decoding: neither holds the interpreter's lock for long."""
    try:
        return _HASHING.submit(lambda: hashlib.sha256(data).hexdigest())
    except RuntimeError:  # no room for a thread's stack
        raise MemoryError from None


def sniff(data: bytes, name: str | None = None) -> Kind:
    """The file's format by its first bytes.

    Raises:
        XrayInterpError: `not-an-image` for any but DICOM, PNG and JPEG.
    """
    for offset, magic, kind in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return kind
    hint = "Choose a radiograph in one of these formats." if data else "The file is empty."
    raise XrayInterpError(Code.NOT_AN_IMAGE, f"{name or 'The file'} is not a DICOM, PNG or JPEG file.", hint)


def grid(rows: int, columns: int, aspect: float) -> tuple[int, int]:
    """Height and width of the grid of square pixels, at most `LONG_SIDE` long and nowhere finer than the file.

    `aspect` is row spacing over column spacing: above 1 the film is taller than its pixels say.
    """
    height, width = rows * max(aspect, 1.0), columns * max(1 / aspect, 1.0)
    scale = min(1.0, LONG_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(pixels: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Bilinear, half-pixel centres, antialiased where it shrinks: (H, W) to (height, width)."""
    if pixels.shape == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def scaled(
    curve: npt.NDArray[np.float32], stored: npt.NDArray[np.integer], height: int, width: int
) -> npt.NDArray[np.float32]:
    """`resize(look_up(curve, stored))`, strip by strip: a whole film of float32 would not stay in the cache."""
    rows = stored.shape[0]
    out = np.empty((height, width), dtype=np.float32)
    scale = rows / height
    reach = int(np.ceil(max(scale, 1.0))) + 1  # rows beyond a strip that its filter weighs
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        first, last = max(0, int(top * scale) - reach), min(rows, int(np.ceil(bottom * scale)) + reach)
        strip = Image.fromarray(grey.look_up(curve, stored[first:last]))
        box = (0, top * scale - first, stored.shape[1], bottom * scale - first)
        out[top:bottom] = np.asarray(strip.resize((width, bottom - top), Image.Resampling.BILINEAR, box))
    return out


def _radiograph(picture: Picture, sha256: str, limits: Limits) -> Radiograph:
    rows, columns = picture.stored.shape
    height, width = grid(rows, columns, picture.size.aspect)
    check_short_side(height, width, limits)
    pixels = np.clip(scaled(picture.recipe, picture.stored, height, width), 0, 1)
    shown = pixels
    if picture.shown is not picture.recipe:
        shown = scaled(picture.shown, picture.stored, height, width)
    display = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    if display.min() == display.max() or np.ptp(pixels) < grey.ONE_GREY:
        raise blank("it shows a single grey")
    spacing = picture.size.at_detector
    return Radiograph(
        display=display,
        pixels=pixels,
        view=picture.view,
        view_from=picture.view_from,
        spacing_mm=(spacing[0] * (rows / height), spacing[1] * (columns / width)) if spacing else None,
        warnings=picture.warnings + _resolution(rows, columns),
        sha256=sha256,
        source=picture.source,
    )


def _resolution(rows: int, columns: int) -> tuple[Warned, ...]:
    if min(rows, columns) >= LOW_RESOLUTION:
        return ()
    said = f"The picture has only {columns} x {rows} pixels; small findings cannot be seen in it."
    return (Warned(Code.LOW_RESOLUTION, said),)
