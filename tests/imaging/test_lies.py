"""Whatever a file says, reading it ends in a sound film or in a typed refusal."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.dx_factory import Encoding, dx, to_bytes
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging import reader
from xrayinterp.imaging.decode import decode
from xrayinterp.imaging.radiograph import Radiograph

BASE = {
    syntax: to_bytes(dx(), syntax)
    for syntax in (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1)
}
numbers = st.one_of(st.none(), st.sampled_from([0, -1, 1e-30, 1e30, -1e30, 0.5, 1, 4096]), st.floats(-1e4, 1e4))
pairs = st.one_of(st.none(), st.lists(st.floats(-10, 10), min_size=0, max_size=3))
words = st.one_of(
    st.none(),
    st.sampled_from(["", "MONOCHROME1", "RGB", "PALETTE COLOR", "INVERSE", "YES", "PA", "LL", "SIGMOID", "CHEST"]),
    st.text("ABC \\^_1", max_size=16),
)
LIES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("Rows", "Columns"), st.integers(0, 65535)),
    **dict.fromkeys(("SamplesPerPixel", "PixelRepresentation", "PlanarConfiguration"), st.integers(0, 4)),
    "BitsAllocated": st.sampled_from([1, 8, 12, 16, 32, 64]),
    **dict.fromkeys(("BitsStored", "HighBit"), st.integers(0, 64)),
    "NumberOfFrames": st.one_of(st.none(), st.integers(-2, 2**31 - 1)),
    **dict.fromkeys(
        ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "EstimatedRadiographicMagnificationFactor"),
        numbers,
    ),
    **dict.fromkeys(("ImagerPixelSpacing", "PixelSpacing"), pairs),
    "PixelAspectRatio": st.lists(st.integers(-5, 5), min_size=0, max_size=3),
    **dict.fromkeys(("PixelPaddingValue", "PixelPaddingRangeLimit"), st.integers(0, 32767)),
    **dict.fromkeys(
        (
            "PhotometricInterpretation",
            "PresentationLUTShape",
            "PresentationIntentType",
            "Modality",
            "ViewPosition",
            "BodyPartExamined",
            "BurnedInAnnotation",
            "VOILUTFunction",
            "ImageLaterality",
        ),
        words,
    ),
}


def read_or_refuse(data: bytes, read: Callable[[bytes], Radiograph] = decode) -> None:
    """A film with values where they belong, or an error that is not our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            film = read(data)
        except XrayInterpError as error:
            assert error.code is not Code.INTERNAL
            return
    assert isinstance(film, Radiograph)
    assert film.pixels.shape == film.display.shape
    assert max(film.shape) <= 1024
    assert np.isfinite(film.pixels).all()
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1
    assert film.display.min() < film.display.max()
    assert film.spacing_mm is None or all(0 < spacing < 1000 for spacing in film.spacing_mm)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lies=st.dictionaries(st.sampled_from(sorted(LIES)), st.none(), min_size=1, max_size=4).flatmap(
        lambda chosen: st.fixed_dictionaries({keyword: LIES[keyword] for keyword in chosen})
    ),
    encoding=st.builds(
        Encoding, signed=st.booleans(), slope=st.sampled_from([1, -1]), voi=st.sampled_from(["none", "one", "table"])
    ),
)
@example(lies={"WindowWidth": 1e30, "WindowCenter": 1e30}, encoding=Encoding())
@example(lies={"RescaleSlope": 1e30}, encoding=Encoding(voi="table"))
@example(lies={"RescaleSlope": 1e-30}, encoding=Encoding(voi="none"))
def test_header_lies(lies: dict[str, Any], encoding: Encoding):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = to_bytes(dx(encoding=encoding, **lies))
    read_or_refuse(data)


@settings(max_examples=150, deadline=None)
@given(
    syntax=st.sampled_from(list(BASE)),
    changes=st.lists(st.tuples(st.integers(128, 1400), st.integers(0, 255)), min_size=1, max_size=6),
    length=st.one_of(st.none(), st.integers(132, 3000)),
)
def test_changed_bytes(syntax: Any, changes: list[tuple[int, int]], length: int | None):
    data = bytearray(BASE[syntax])
    for at, value in changes:
        data[at % len(data)] = value
    read_or_refuse(bytes(data[:length]), reader.read)


@settings(max_examples=60, deadline=None)
@given(
    prefix=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM"]), rest=st.binary(max_size=400)
)
def test_noise_behind_a_known_mark(prefix: bytes, rest: bytes):
    with pytest.raises(XrayInterpError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decode(prefix + rest)
    assert caught.value.code is not Code.INTERNAL
