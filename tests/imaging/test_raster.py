"""PNG and JPEG of every kind that films come in, and of kinds that they should not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from helpers.dx_factory import ramp
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.decode import decode

GREY = (ramp(140, 160) >> 4).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refused(data: bytes, **arguments: Any) -> XrayInterpError:
    with pytest.raises(XrayInterpError) as caught:
        decode(data, **arguments)
    return caught.value


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes, *more: bytes, bits: int = 8, colour: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_grey_in_every_8_bit_mode_is_value_over_255(mode: str):
    film = decode(encoded(Image.fromarray(GREY).convert(mode)), view="PA")
    np.testing.assert_array_equal(film.display, GREY)
    np.testing.assert_allclose(film.pixels, GREY / 255, atol=1e-6)
    assert film.warnings == ()
    assert (film.view, film.view_from, film.spacing_mm) == ("PA", "reader", None)
    assert (film.source.kind, film.source.bits) == ("png", 8)


@given(arrays.arrays(np.uint8, (32, 40)))
@settings(max_examples=30, deadline=None)
def test_any_8_bit_png_is_value_over_255_or_blank(values: np.ndarray):
    data = encoded(Image.fromarray(values))
    if np.ptp(values) == 0:
        assert refused(data).code is Code.BLANK
    else:
        np.testing.assert_array_equal(decode(data).display, values)


def test_a_16_bit_png_is_scaled_by_percentiles():
    film = decode(encoded(Image.fromarray(ramp(140, 160) * 8)))
    low, high = np.percentile(ramp(140, 160), (0.5, 99.5))
    np.testing.assert_allclose(film.pixels, np.clip((ramp(140, 160) - low) / (high - low), 0, 1), atol=1e-5)
    assert film.source.bits == 16


def test_percentiles_are_numpys():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536, (150, 170)).astype(np.uint16)
    low, high = np.percentile(values, (0.5, 99.5))
    film = decode(encoded(Image.fromarray(values)))
    np.testing.assert_allclose(film.pixels, np.clip((values - low) / (high - low), 0, 1), atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_within_its_loss(mode: str):
    film = decode(encoded(Image.fromarray(GREY).convert(mode), "JPEG", quality=95))
    assert np.abs(film.display.astype(int) - GREY).max() <= 6
    assert [w.code for w in film.warnings] == [Code.VIEW_UNKNOWN]
    assert film.source.kind == "jpeg"


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "CMYK")]
)
def test_real_colour_is_warned_of(kind: str, mode: str):
    colour = np.stack([GREY, GREY[:, ::-1], GREY], axis=2)
    film = decode(encoded(Image.fromarray(colour).convert(mode), kind), view="PA")
    assert [w.code for w in film.warnings] == [Code.COLOUR]


def test_transparency_is_laid_over_black():
    alpha = np.full_like(GREY, 255)
    alpha[:70] = 0
    film = decode(encoded(Image.fromarray(np.stack([GREY] * 3 + [alpha], axis=2), "RGBA")))
    assert (film.display[:70] == 0).all()
    np.testing.assert_array_equal(film.display[70:], GREY[70:])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int):
    upright = Image.fromarray(GREY)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    film = decode(encoded(stored, "PNG", exif=exif))
    np.testing.assert_array_equal(film.display, GREY)
    assert (film.source.columns, film.source.rows) == stored.size


def test_big_pictures_come_down_to_1024():
    film = decode(encoded(Image.fromarray((ramp(1300, 2600) >> 4).astype(np.uint8))))
    assert film.shape == (512, 1024)


@pytest.mark.parametrize(("side", "code"), [(31, Code.TOO_SMALL), (32, None), (127, None)])
def test_small_pictures(side: int, code: Code | None):
    data = encoded(Image.fromarray(GREY[:side]))
    if code:
        assert refused(data).code is code
    else:
        assert Code.LOW_RESOLUTION in {w.code for w in decode(data).warnings}


def test_a_strip_is_too_small_on_the_grid():
    assert refused(encoded(Image.fromarray(np.tile(GREY[:40], (1, 40))))).code is Code.TOO_SMALL


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.9])
def test_a_picture_cut_off_is_corrupt(kind: str, fraction: float):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    error = refused(data[: max(20, int(len(data) * fraction))])
    assert error.code is Code.CORRUPT_PIXELS
    assert kind in error.message


def test_bombs_are_refused_by_their_header():
    for side in (9_000, 20_000, 2**31 - 1):
        error = refused(png(side, side, zlib.compress(b"\0" * 1000)))
        assert error.code is Code.TOO_LARGE
        assert "64 million pixels" in error.message


def test_text_that_unpacks_without_end_is_unsafe():
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    error = refused(png(64, 64, zlib.compress(b"\0" + b"\1" * 64) * 64, text))
    assert error.code is Code.UNSAFE_FILE


def test_animations_are_refused():
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    assert refused(encoded(frames[0], save_all=True, append_images=frames[1:])).code is Code.MULTI_FRAME


def test_text_and_exif_do_not_leave_the_file():
    info = PngImagePlugin.PngInfo()
    info.add_text("Patient", "DOE^JANE")
    exif = Image.Exif()
    exif[0x010E] = "DOE^JANE"
    film = decode(encoded(Image.fromarray(GREY), pnginfo=info, exif=exif))
    assert "DOE" not in repr(film)


@pytest.mark.parametrize("data", [b"", b"hello world\n", b"GIF89a" + b"\0" * 50, b"\0" * 200, b"BM" + b"\0" * 200])
def test_anything_else_is_not_an_image(data: bytes):
    error = refused(data, name="scan.txt")
    assert error.code is Code.NOT_AN_IMAGE
    assert error.message == "scan.txt is not a DICOM, PNG or JPEG file."


def test_a_raster_has_no_windows():
    assert refused(encoded(Image.fromarray(GREY)), window=1).code is Code.BAD_OPTION
