"""Which DICOM files are read, warned of or refused, by their headers: the table of bad inputs, row by row."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from helpers.dx_factory import CR, Encoding, dx, ramp, to_bytes
from pydicom.data import get_testdata_file
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    SecondaryCaptureImageStorage,
)

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.decode import decode


def refused(data: bytes, **arguments: Any) -> XrayInterpError:
    with pytest.raises(XrayInterpError) as caught:
        decode(data, **arguments)
    return caught.value


def warned(**attributes: Any) -> list[Code]:
    return [warning.code for warning in decode(to_bytes(dx(ramp(128, 160), **attributes))).warnings]


def peer(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(str(path)).read_bytes()


def as_radiograph(name: str, **attributes: Any) -> bytes:
    """One of pydicom's own files under the header of a CR film."""
    dataset = pydicom.dcmread(io.BytesIO(peer(name)))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CR
    dataset.Modality = "CR"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_a_plain_film_has_no_warnings():
    film = decode(to_bytes(dx(ramp(128, 160))))
    assert film.warnings == ()
    assert (film.view, film.view_from, film.spacing_mm) == ("PA", "header", (0.2, 0.2))
    assert film.source.orientation == ("L", "F")
    assert film.source.laterality == "U"
    assert film.pixels.dtype == np.float32
    assert film.display.dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("CT_small.dcm", Code.NOT_A_RADIOGRAPH, "This is a CT image; only CR/DX chest radiographs are supported."),
        ("MR_small.dcm", Code.NOT_A_RADIOGRAPH, "This is an MR image;"),
        ("MR_truncated.dcm", Code.NOT_A_RADIOGRAPH, "This is an MR image;"),
        ("liver_1frame.dcm", Code.NOT_A_RADIOGRAPH, "This is a Segmentation;"),
        ("rtdose_1frame.dcm", Code.NOT_A_RADIOGRAPH, "This is an RT Dose;"),
        ("examples_ybr_color.dcm", Code.NOT_A_RADIOGRAPH, "This is an Ultrasound Multi-frame image;"),
        ("rtplan.dcm", Code.NO_PIXELS, "This is an RT Plan without pixel data"),
        ("waveform_ecg.dcm", Code.NO_PIXELS, "This is a 12-lead ECG Waveform without pixel data"),
        ("test-SR.dcm", Code.NO_PIXELS, "SR without pixel data"),
        ("reportsi.dcm", Code.NO_PIXELS, "SR without pixel data"),
        ("badVR.dcm", Code.NOT_A_RADIOGRAPH, "only CR/DX"),
        ("no_meta.dcm", Code.NOT_AN_IMAGE, "is not a DICOM, PNG or JPEG file."),
        ("ExplVR_BigEndNoMeta.dcm", Code.NOT_AN_IMAGE, "is not a DICOM, PNG or JPEG file."),
        ("dicomdirtests/DICOMDIR", Code.NO_PIXELS, "This is a Media Storage Directory without pixel data"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", Code.NOT_A_RADIOGRAPH, "only CR/DX"),
        ("JPGExtended.dcm", Code.NOT_A_RADIOGRAPH, "only CR/DX"),
        ("SC_rgb_rle_2frame.dcm", Code.MULTI_FRAME, "2 frames"),
        ("SC_rgb_rle_32bit.dcm", Code.CORRUPT_PIXELS, "Bits Allocated (0028,0100) is 32"),
        ("JPEGLSNearLossless_08.dcm", Code.TOO_SMALL, "10 x 45 pixels"),
    ],
)
def test_pydicoms_own_files(name: str, code: Code, words: str):
    error = refused(peer(name), name="scan.dcm")
    assert error.code is code
    assert words in error.message


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("MR_truncated.dcm", Code.CORRUPT_PIXELS, "expected 8192 bytes, found 8130"),
        ("badVR.dcm", Code.CORRUPT_PIXELS, "Number of Frames (0028,0008)"),
        ("JPGExtended.dcm", Code.DECODER_MISSING, "JPEG Extended"),
        ("examples_ybr_color.dcm", Code.MULTI_FRAME, "30 frames"),
        ("SC_rgb_jpeg_gdcm.dcm", Code.COLOUR, "in colour (RGB)"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", Code.CORRUPT_PIXELS, "claims 3722445056 x 1024"),
    ],
)
def test_pydicoms_own_files_under_a_radiographs_header(name: str, code: Code, words: str):
    error = refused(as_radiograph(name))
    assert error.code is code
    assert words in error.message


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "examples_overlay.dcm",
        "image_dfl.dcm",
    ],
)
def test_pydicoms_grey_files_decode(name: str):
    film = decode(as_radiograph(name), view="PA")
    assert np.ptp(film.display) > 100


def test_equal_pixels_in_six_syntaxes_give_equal_films():
    names = ("", "_bigendian", "_implicit", "_RLE", "_jp2klossless", "_jpeg_ls_lossless")
    films = [decode(as_radiograph(f"MR_small{name}.dcm"), view="PA") for name in names]
    for film in films[1:]:
        np.testing.assert_array_equal(film.pixels, films[0].pixels)


@pytest.mark.parametrize(
    "name", ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm", "examples_rgb_color.dcm", "SC_rgb_jpeg_dcmtk.dcm"]
)
def test_colour_secondary_captures_become_grey_with_a_warning(name: str):
    dataset = pydicom.dcmread(io.BytesIO(peer(name)))
    dataset.SOPClassUID, dataset.Modality = SecondaryCaptureImageStorage, "OT"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    film = decode(buffer.getvalue())
    assert {Code.COLOUR, Code.SECONDARY_CAPTURE, Code.VIEW_UNKNOWN} <= {w.code for w in film.warnings}
    assert film.display.ndim == 2


def test_a_palette_becomes_grey():
    film = decode(as_radiograph("examples_palette.dcm", SOPClassUID=SecondaryCaptureImageStorage, Modality="OT"))
    assert film.source.photometric == "PALETTE COLOR"
    assert Code.COLOUR in {w.code for w in film.warnings}


def test_equal_channels_are_no_colour():
    grey = (ramp(128, 160) >> 4).astype(np.uint8)
    film = decode(
        to_bytes(
            dx(
                grey,
                SOPClassUID=SecondaryCaptureImageStorage,
                Modality="OT",
                PhotometricInterpretation="RGB",
                SamplesPerPixel=3,
                PlanarConfiguration=0,
                BitsAllocated=8,
                BitsStored=8,
                HighBit=7,
                PixelData=np.repeat(grey[..., None], 3, axis=2).tobytes(),
            )
        )
    )
    assert [w.code for w in film.warnings] == [Code.SECONDARY_CAPTURE]


@pytest.mark.parametrize("position", ["LATERAL", "LL", "RL", "LLD", "RLD", "Lateral ", "LAT", "LEFT LATERAL", "RAO"])
def test_views_that_are_not_frontal_are_refused_unless_the_reader_says_otherwise(position: str):
    data = to_bytes(dx(ViewPosition=position))
    error = refused(data)
    assert error.code is Code.VIEW_NOT_SUPPORTED
    assert "only frontal views (PA, AP) are supported" in error.message
    film = decode(data, view="AP")
    assert (film.view, film.view_from) == ("AP", "reader")


@pytest.mark.parametrize(
    ("position", "reader", "view", "view_from"),
    [
        ("PA", None, "PA", "header"),
        ("AP", None, "AP", "header"),
        ("ap ", None, "AP", "header"),
        ("", None, "unknown", "missing"),
        ("FRONTAL", None, "unknown", "missing"),
        ("PA", "AP", "AP", "reader"),
        ("", "PA", "PA", "reader"),
        ("", "unknown", "unknown", "missing"),
    ],
)
def test_the_view_comes_from_the_reader_then_the_header(position: str, reader: str | None, view: str, view_from: str):
    film = decode(to_bytes(dx(ViewPosition=position)), view=reader)
    assert (film.view, film.view_from) == (view, view_from)
    assert (Code.VIEW_UNKNOWN in {w.code for w in film.warnings}) == (view == "unknown")


@pytest.mark.parametrize(
    ("value", "scheme", "view"),
    [("272479007", "SCT", "PA"), ("399348003", "SCT", "AP"), ("R-10214", "SRT", "PA"), ("R-10206", "SRT", "AP")],
)
def test_a_coded_view_stands_in_for_view_position(value: str, scheme: str, view: str):
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "view"
    assert decode(to_bytes(dx(ViewPosition=None, ViewCodeSequence=[item]))).view == view
    item.CodeValue, item.CodingSchemeDesignator = "399198007", "SCT"
    assert refused(to_bytes(dx(ViewPosition=None, ViewCodeSequence=[item]))).code is Code.VIEW_NOT_SUPPORTED


@pytest.mark.parametrize("position", ["X", "FRONTAL", "CHEST"])
def test_a_word_for_the_view_that_says_nothing_does_not_hide_what_the_header_says_elsewhere(position: str):
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399198007", "SCT", "right lateral"
    assert refused(to_bytes(dx(ViewPosition=position, ViewCodeSequence=[item]))).code is Code.VIEW_NOT_SUPPORTED
    sideways = to_bytes(dx(ViewPosition=position, PatientOrientation=["A", "F"]))
    assert refused(sideways).code is Code.VIEW_NOT_SUPPORTED
    item.CodeValue = "399348003"
    assert decode(to_bytes(dx(ViewPosition=position, ViewCodeSequence=[item]))).view == "AP"


def test_a_reader_who_cannot_tell_the_view_leaves_a_warning():
    film = decode(to_bytes(dx(ramp(128, 160)))).with_view("unknown")
    assert (film.view, film.view_from) == ("unknown", "reader")
    assert [warned.code for warned in film.warnings] == [Code.VIEW_UNKNOWN]
    assert [w.code for w in film.with_view("unknown").warnings] == [Code.VIEW_UNKNOWN]
    assert film.with_view("PA").warnings == ()


def test_an_unknown_word_for_the_view_is_wrong_use():
    assert refused(to_bytes(dx()), view="sideways").code is Code.BAD_OPTION


@pytest.mark.parametrize(
    ("orientation", "words"),
    [(["R", "F"], "mirrored"), (["F", "R"], "upright"), (["R", "H"], "upright"), (["A", "F"], "lateral")],
)
def test_orientation_that_is_not_upright_is_warned_of(orientation: list[str], words: str):
    film = decode(to_bytes(dx(ramp(128, 160), PatientOrientation=orientation)))
    assert [w.code for w in film.warnings] == [Code.ORIENTATION]
    assert words in film.warnings[0].message
    assert film.source.orientation == tuple(orientation)


def test_an_orientation_seen_from_the_side_counts_as_lateral_where_no_view_is_given():
    assert refused(to_bytes(dx(ViewPosition=None, PatientOrientation=["P", "F"]))).code is Code.VIEW_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, Code.FOR_PROCESSING),
        ({"PresentationIntentType": "FOR PROCESSING"}, Code.FOR_PROCESSING),
        ({"BurnedInAnnotation": "YES"}, Code.BURNT_IN),
        ({"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}, Code.SECONDARY_CAPTURE),
        ({"ImagerPixelSpacing": None}, Code.NO_SPACING),
        ({"ImagerPixelSpacing": [0.1, 900]}, Code.NO_SPACING),
        ({"BodyPartExamined": "ABDOMEN"}, Code.BODY_PART),
        ({"BodyPartExamined": "SMITH JOHN"}, Code.BODY_PART),
        ({"PatientOrientation": ["R", "F"]}, Code.ORIENTATION),
        ({"WindowWidth": 0}, Code.BAD_WINDOW),
        ({"ViewPosition": ""}, Code.VIEW_UNKNOWN),
        ({"PresentationLUTShape": "INVERSE"}, Code.POLARITY),
    ],
)
def test_reservations_are_warnings_that_stay_with_the_film(attributes: dict[str, Any], code: Code):
    assert warned(**attributes) == [code]


@pytest.mark.parametrize("part", ["CHEST", "Chest", "THORAX", "CHEST PA", "", None])
def test_the_chest_by_other_names_is_not_warned_of(part: str | None):
    assert warned(BodyPartExamined=part) == []


@pytest.mark.parametrize(
    ("attributes", "code", "words"),
    [
        ({"PixelData": None}, Code.NO_PIXELS, "This is a Digital X-Ray image without pixel data"),
        ({"SOPClassUID": CTImageStorage}, Code.NOT_A_RADIOGRAPH, "This is a CT image;"),
        ({"SOPClassUID": "1.2.3.4"}, Code.NOT_A_RADIOGRAPH, "a DICOM object of an unknown class"),
        ({"Modality": "CT"}, Code.NOT_A_RADIOGRAPH, "This is a CT image;"),
        ({"Modality": "US"}, Code.NOT_A_RADIOGRAPH, "This is an ultrasound image;"),
        ({"Modality": "ZZ"}, Code.NOT_A_RADIOGRAPH, "an image of another modality"),
        ({"Rows": None}, Code.CORRUPT_PIXELS, "header lacks Rows (0028,0010)"),
        ({"Rows": 0}, Code.CORRUPT_PIXELS, "Rows (0028,0010) is 0; it must be between 1 and 65535"),
        ({"PhotometricInterpretation": None}, Code.CORRUPT_PIXELS, "lacks Photometric Interpretation (0028,0004)"),
        ({"PhotometricInterpretation": "HSV"}, Code.CORRUPT_PIXELS, "Photometric Interpretation (0028,0004)"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, Code.COLOUR, "in colour (RGB)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Code.COLOUR, "in colour (PALETTE COLOR)"),
        ({"SamplesPerPixel": 3}, Code.CORRUPT_PIXELS, "3 samples per pixel"),
        ({"SamplesPerPixel": None}, Code.CORRUPT_PIXELS, "lacks Samples per Pixel (0028,0002)"),
        ({"BitsAllocated": 32}, Code.CORRUPT_PIXELS, "Bits Allocated (0028,0100) is 32"),
        ({"BitsStored": 17}, Code.CORRUPT_PIXELS, "Bits Stored (0028,0101) is 17"),
        ({"PixelRepresentation": 2}, Code.CORRUPT_PIXELS, "Pixel Representation (0028,0103) is 2"),
        ({"PixelData": b"\0" * 100}, Code.CORRUPT_PIXELS, "expected 12288 bytes, found 100"),
        ({"NumberOfFrames": 2}, Code.MULTI_FRAME, "2 frames"),
        ({"NumberOfFrames": 100_000}, Code.TOO_LARGE, "100000 frames"),
        ({"Rows": 30_000, "Columns": 30_000}, Code.TOO_LARGE, "30000 x 30000 pixels"),
        ({"RescaleSlope": 0}, Code.CORRUPT_PIXELS, "Rescale Slope (0028,1053) is 0"),
        ({"PixelData": b"\7\0" * 96 * 64}, Code.BLANK, "all its pixels have the same value"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, Code.BLANK, "apart from padding"),
        ({"Rows": 20}, Code.TOO_SMALL, "96 x 20 pixels"),
        ({"ViewPosition": "LL"}, Code.VIEW_NOT_SUPPORTED, "LL, a lateral view"),
    ],
)
def test_headers_that_are_refused(attributes: dict[str, Any], code: Code, words: str):
    error = refused(to_bytes(dx(**attributes)))
    assert error.code is code
    assert words in error.message
    assert error.hint


def test_a_syntax_without_decoder_names_it():
    error = refused(to_bytes(dx(), MPEG2MPML))
    assert error.code is Code.DECODER_MISSING
    assert "MPEG2 Main Profile" in error.message
    assert "uncompressed" in error.hint


def test_twelve_bit_jpeg_names_the_extra_that_reads_it():
    error = refused(to_bytes(dx(), JPEGExtended12Bit))
    assert error.code is Code.DECODER_MISSING
    assert "xrayinterp[gpl-decoders]" in error.hint


def test_a_missing_plugin_gives_its_pip_line(monkeypatch: pytest.MonkeyPatch):
    data = to_bytes(dx(), JPEG2000Lossless)
    monkeypatch.setattr("xrayinterp.imaging.decoders._plugins", lambda uid: ())
    error = refused(data)
    assert error.code is Code.DECODER_MISSING
    assert error.message == "The pixels are stored as JPEG 2000 (Lossless Only), which cannot be decoded here."
    assert error.hint == "Run: pip install pylibjpeg pylibjpeg-openjpeg"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless])
def test_a_file_cut_off_anywhere_is_refused(syntax: Any):
    data = to_bytes(dx(), syntax)
    for length in (0, 100, 131, 132, 140, 200, 350, 500, len(data) // 2, len(data) - 200):
        error = refused(data[:length])
        expected = {Code.NOT_AN_IMAGE} if length < 132 else {Code.CORRUPT_PIXELS, Code.NO_PIXELS}
        assert error.code in expected, length


@pytest.mark.parametrize(
    ("attributes", "spacing", "shape", "magnification"),
    [
        ({}, (0.2, 0.2), (128, 160), None),
        ({"EstimatedRadiographicMagnificationFactor": 1.1}, (0.2, 0.2), (128, 160), 1.1),
        ({"ImagerPixelSpacing": [0.4, 0.2]}, (0.2, 0.2), (256, 160), None),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.1), (128, 320), None),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.3, 0.3]}, None, (128, 160), None),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.4, 0.2]}, None, (256, 160), None),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [2, 1]}, None, (256, 160), None),
        ({"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": [0.5, 0.5]}, (0.5, 0.5), (128, 160), None),
        ({"ImagerPixelSpacing": [0, 0]}, None, (128, 160), None),
        ({"ImagerPixelSpacing": [0.1, 9.0]}, None, (128, 160), None),
    ],
)
def test_spacing_at_the_detector_and_square_pixels(
    attributes: dict[str, Any],
    spacing: tuple[float, float] | None,
    shape: tuple[int, int],
    magnification: float | None,
):
    film = decode(to_bytes(dx(ramp(128, 160), **attributes)))
    assert film.shape == shape
    assert film.spacing_mm == (spacing if spacing is None else pytest.approx(spacing))
    assert film.source.magnification == magnification


def test_calibrated_spacing_is_taken_to_the_detector():
    calibrated = {"ImagerPixelSpacing": None, "PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "GEOMETRY"}
    without = decode(to_bytes(dx(**calibrated)))
    with_factor = decode(to_bytes(dx(**calibrated, EstimatedRadiographicMagnificationFactor=1.25)))
    assert without.spacing_mm is None
    assert with_factor.spacing_mm == pytest.approx((0.25, 0.25))


def test_large_films_come_down_to_1024_and_their_spacing_with_them():
    film = decode(to_bytes(dx(ramp(1500, 2048))))
    assert film.shape == (750, 1024)
    assert film.spacing_mm == pytest.approx((0.4, 0.4))
    assert (film.source.rows, film.source.columns) == (1500, 2048)
    np.testing.assert_allclose(
        film.pixels[0, 1:-1], (ramp(1, 2048)[0].reshape(1024, 2).mean(1) / 4095)[1:-1], atol=1e-3
    )


def test_reducing_is_antialiased():
    stripes = np.tile(np.array([0, 4095], dtype=np.uint16), (1536, 1500))
    film = decode(to_bytes(dx(stripes)))
    assert film.pixels[:, 4:-4].std() < 0.06


def test_a_window_that_is_not_there_is_wrong_use():
    for window in (1, -1, 7):
        assert refused(to_bytes(dx()), window=window).code is Code.BAD_OPTION


def test_no_window_at_all_needs_no_warning():
    film = decode(to_bytes(dx(ramp(128, 160), Encoding(voi="none"))))
    assert film.warnings == ()
    assert (film.source.windows, film.source.window) == ((), None)
