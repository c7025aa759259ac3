"""A known ramp comes out the same way up and the same grey, however its header and its pixels say it."""

from __future__ import annotations

import io
from itertools import product

import highdicom
import numpy as np
import pytest
from helpers.dx_factory import CR, TOP, Encoding, dx, ramp, table, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from xrayinterp.errors import Code
from xrayinterp.imaging.decode import decode

TRUTH = np.rint(ramp() / TOP * 255)
LOSSLESS = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)
POLARITIES = tuple(product(("MONOCHROME1", "MONOCHROME2"), (None, "IDENTITY", "INVERSE")))


def _name(value: object) -> str:
    return value.name if isinstance(value, UID) else str(value)


@pytest.mark.parametrize("voi", ["none", "one", "two", "zero", "empty", "table"])
@pytest.mark.parametrize(("photometric", "shape"), POLARITIES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("slope", [1, -1])
def test_every_header_shows_the_same_ramp(photometric: str, shape: str | None, signed: bool, slope: int, voi: str):
    film = decode(to_bytes(dx(encoding=Encoding(photometric, shape, signed, slope, voi))))
    expected = TRUTH
    if voi in ("none", "zero", "empty"):
        low, high = np.percentile(ramp(), (0.5, 99.5))
        expected = np.rint(np.clip((ramp() - low) / (high - low), 0, 1) * 255)
    assert np.abs(film.display - expected).max() <= 1
    assert np.abs(film.pixels - expected / 255).max() <= 1 / 255
    assert (Code.BAD_WINDOW in {w.code for w in film.warnings}) == (voi in ("zero", "empty"))
    contradicts = shape is not None and (photometric == "MONOCHROME1") != (shape == "INVERSE")
    assert (Code.POLARITY in {w.code for w in film.warnings}) == contradicts


@pytest.mark.parametrize("syntax", LOSSLESS, ids=_name)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_lossless_syntax_is_bit_equal_to_native(syntax: UID, signed: bool, photometric: str):
    encoding = Encoding(photometric, signed=signed)
    film, native = (decode(to_bytes(dx(encoding=encoding), s)) for s in (syntax, ExplicitVRLittleEndian))
    np.testing.assert_array_equal(film.pixels, native.pixels)
    np.testing.assert_array_equal(film.display, native.display)
    assert np.abs(film.display - TRUTH).max() <= 1


def test_high_throughput_jpeg_2000_is_read():
    film = decode(to_bytes(dx(), HTJ2KLossless))
    np.testing.assert_array_equal(film.pixels, decode(to_bytes(dx())).pixels)
    assert "High-Throughput" in str(film.source.transfer_syntax)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_jpeg_baseline_is_read_within_its_loss(photometric: str):
    film = decode(to_bytes(dx(encoding=Encoding(photometric)), JPEGBaseline8Bit))
    assert np.abs(film.display - TRUTH).max() <= 6
    assert film.source.bits == 8


@settings(max_examples=60, deadline=None)
@given(
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    shape=st.sampled_from([None, "IDENTITY", "INVERSE"]),
    signed=st.booleans(),
    slope=st.sampled_from([1, -1]),
    centre=st.integers(200, 3800),
    width=st.integers(2, 4096),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_agree_with_highdicom(
    photometric: str, shape: str | None, signed: bool, slope: int, centre: int, width: int, function: str
):
    """The reference chain, but for its treatment of LINEAR under a negative slope, where it is up to 2/width off."""
    dataset = dx(
        encoding=Encoding(photometric, shape, signed, slope),
        WindowCenter=centre,
        WindowWidth=width,
        VOILUTFunction=function,
    )
    data = to_bytes(dataset)
    reference = highdicom.imread(io.BytesIO(data)).get_frame(1, apply_voi_transform=None)
    tolerance = 1e-5 if slope > 0 or function == "LINEAR_EXACT" else 3 / width
    if slope < 0 and function == "SIGMOID":
        tolerance = 1e-5
    if np.ptp(reference) >= 1 / 255:
        np.testing.assert_allclose(decode(data).pixels, reference, atol=tolerance)


def test_the_second_window_changes_the_display_and_never_the_recipe():
    data = to_bytes(dx(encoding=Encoding(voi="two")))
    first, second = decode(data, window=0), decode(data, window=1)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.display, second.display)
    assert second.display[0, -1] == 255
    assert second.display[0, 60] > first.display[0, 60]
    assert first.source.windows == ("NORMAL", "HARDER")
    assert (first.source.window, second.source.window) == (0, 1)


def test_a_table_wins_over_a_window_and_the_window_can_still_be_chosen():
    dataset = dx(VOILUTSequence=[table(0, np.rint(np.linspace(0, 1, TOP + 1) ** 2 * 65535).astype(int).tolist(), 16)])
    by_table, by_window = decode(to_bytes(dataset)), decode(to_bytes(dataset), window=1)
    assert np.abs(by_table.display - np.rint((ramp() / TOP) ** 2 * 255)).max() <= 1
    assert np.abs(by_window.display - TRUTH).max() <= 1
    assert by_window.source.windows == ("LUT 1", "NORMAL")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_tables_of_every_depth(bits: int):
    top = (1 << bits) - 1
    data = np.rint(np.linspace(0, top, TOP + 1)).astype(int).tolist()
    film = decode(to_bytes(dx(VOILUTSequence=[table(0, data, bits)])))
    assert np.abs(film.display - TRUTH).max() <= 1


def test_a_table_of_65536_entries_on_16_bit_pixels():
    pixels = np.tile(np.linspace(0, 65535, 96).astype("<u2"), (64, 1))
    dataset = dx(VOILUTSequence=[table(0, range(1 << 16), 16)], BitsStored=16, HighBit=15, PixelData=pixels.tobytes())
    assert np.abs(decode(to_bytes(dataset)).display - np.rint(pixels / 257)).max() <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_modality_table_then_window_and_polarity(photometric: str):
    """highdicom 0.28 forgets the inversion when a modality table meets a VOI table; this chain does not."""
    dataset = dx(encoding=Encoding(photometric, voi="table"), RescaleSlope=None, RescaleIntercept=None)
    dataset.ModalityLUTSequence = [table(0, range(TOP + 1), 16)]
    assert np.abs(decode(to_bytes(dataset)).display - TRUTH).max() <= 1


@pytest.mark.parametrize("data", [[7] * 16, []])
def test_an_unusable_table_falls_back_to_the_window(data: list[int]):
    film = decode(to_bytes(dx(VOILUTSequence=[table(0, data, 16)])))
    assert np.abs(film.display - TRUTH).max() <= 1
    assert Code.BAD_WINDOW in {w.code for w in film.warnings}


@pytest.mark.parametrize("window", [(9000.0, 10.0), (2048.0, -5.0), (2048.0, 1.0), (2048.0, 0.5), (2048.0, 1e12)])
def test_a_window_that_shows_nothing_falls_back_to_percentiles_and_says_so(window: tuple[float, float]):
    film = decode(to_bytes(dx(WindowCenter=window[0], WindowWidth=window[1])))
    np.testing.assert_array_equal(film.display, decode(to_bytes(dx(encoding=Encoding(voi="none")))).display)
    assert Code.BAD_WINDOW in {w.code for w in film.warnings}
    assert film.source.windows == ()


def test_a_header_with_five_thousand_windows_costs_no_more_than_sixteen():
    film = decode(
        to_bytes(dx(WindowCenter=[2048] * 5000, WindowWidth=[4096] * 5000, WindowCenterWidthExplanation=None))
    )
    assert len(film.source.windows) == 16


def test_padding_is_black_and_outside_the_percentiles():
    pixels = ramp().copy()
    pixels[:20] = TOP
    plain = decode(to_bytes(dx(ramp(44), Encoding(voi="none"))))
    film = decode(to_bytes(dx(pixels, Encoding("MONOCHROME1", voi="none"), PixelPaddingValue=0)))
    assert (film.display[:20] == 0).all()
    np.testing.assert_allclose(film.pixels[20:, :-1], plain.pixels[:, :-1], atol=2e-2)


@pytest.mark.parametrize(("value", "limit"), [(4000, 4095), (4095, 4000)])
def test_padding_range_in_either_order(value: int, limit: int):
    film = decode(to_bytes(dx(PixelPaddingValue=value, PixelPaddingRangeLimit=limit)))
    assert (film.display[:, ramp()[0] >= 4000] == 0).all()
    assert (film.display[:, 10:90] > 0).all()


def test_bits_above_bits_stored_are_ignored():
    stored = ramp() | 0xA000
    film = decode(to_bytes(dx(PixelData=stored.astype("<u2").tobytes())))
    assert np.abs(film.display - TRUTH).max() <= 1


def test_twelve_bit_films_with_low_values_are_not_nearly_black():
    film = decode(to_bytes(dx(ramp() // 16, Encoding(voi="none"))))
    assert film.display.mean() > 100


def test_cr_is_read_too():
    film = decode(to_bytes(dx(SOPClassUID=CR, Modality="CR", PresentationIntentType=None)))
    assert film.source.sop_class == "Computed Radiography Image Storage"
