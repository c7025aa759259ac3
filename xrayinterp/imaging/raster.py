"""PNG and JPEG to a Picture, by Pillow."""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import Code, XrayInterpError
from . import grey
from .limits import Limits, check_pixels, check_short_side
from .picture import Picture, blank, colour_warning, to_grey
from .radiograph import Source, View
from .spacing import PixelSize
from .view import view_unknown

Raster = Literal["png", "jpeg"]

_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 2, "PA": 2, "I;16": 2, "I;16B": 2, "I": 4, "RGB": 3, "RGBA": 4, "CMYK": 4}


def read_raster(data: bytes, kind: Raster, *, view: View | None, limits: Limits) -> Picture:
    """A grey picture of 8 bits (value/255) or 16 bits (percentiles) from a PNG or JPEG file.

    EXIF orientation is applied, transparency is laid over black, colour becomes grey with a warning.

    Raises:
        XrayInterpError: `too-large`, `too-small`, `unsafe-file`, `multi-frame`, `corrupt-pixels`, `blank`.
    """
    image = _open(data, kind, limits)
    columns, rows, mode = *image.size, image.mode
    stored, coloured = _pixels(image, kind)
    counts = grey.tally(stored)
    if np.count_nonzero(counts) < 2:
        raise blank("all its pixels have the same value")
    values = grey.every_value(stored.dtype).astype(np.float64)
    bits = 8 * stored.dtype.itemsize
    curve = (values / 255).astype(np.float32) if bits == 8 else grey.percentile_curve(values, counts)
    found = ((colour_warning(),) if coloured else ()) + (() if view else (view_unknown(),))
    return Picture(
        stored=stored,
        recipe=curve,
        shown=curve,
        view=view or "unknown",
        view_from="reader" if view else "missing",
        size=PixelSize(None, 1.0, None),
        source=Source(kind=kind, rows=rows, columns=columns, bits=bits, photometric=mode),
        warnings=found,
    )


def _open(data: bytes, kind: Raster, limits: Limits) -> Image.Image:
    """The file's header read and its claims checked; no pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own cap, below, is stricter
            image = Image.open(io.BytesIO(data), formats=[kind.upper()])
    except Image.DecompressionBombError:
        raise XrayInterpError(
            Code.TOO_LARGE,
            f"The header claims a picture beyond the limit of {limits.pixels // 1_000_000} million pixels.",
            "Export the radiograph at its native resolution.",
        ) from None
    except UnidentifiedImageError:
        raise _damaged(kind) from None
    except ValueError:  # Pillow's guard against compressed text and colour profiles that unpack without end
        raise XrayInterpError(
            Code.UNSAFE_FILE,
            f"The {kind.upper()} file carries text or a profile that unpacks beyond Pillow's limit.",
            "Save the picture again without metadata.",
        ) from None
    except (OSError, SyntaxError):
        raise _damaged(kind) from None
    check_pixels(image.height, image.width, _BYTES.get(image.mode, 4), 1, limits)
    check_short_side(image.height, image.width, limits)
    if kind == "png" and getattr(image, "n_frames", 1) > 1:
        raise XrayInterpError(
            Code.MULTI_FRAME, "The PNG file is an animation; one film is one image.", "Save a single image."
        )
    return image


def _pixels(image: Image.Image, kind: Raster) -> tuple[npt.NDArray[np.unsignedinteger], bool]:
    try:
        image.load()
        image = _upright(image)
        if image.mode.startswith("I"):
            return np.clip(np.asarray(image), 0, 65535).astype(np.uint16), False
        return _as_grey(image)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError):  # what Pillow's codecs raise on damaged data
        raise _damaged(kind) from None


def _as_grey(image: Image.Image) -> tuple[npt.NDArray[np.unsignedinteger], bool]:
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L")), False
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return to_grey(np.asarray(image.convert("RGB")))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF raises many types; the pixels do not depend on it
        return image


def _damaged(kind: Raster) -> XrayInterpError:
    return XrayInterpError(
        Code.CORRUPT_PIXELS,
        f"The {kind.upper()} file is cut off or damaged.",
        "Save or download it again as an 8-bit or 16-bit grey PNG.",
    )
