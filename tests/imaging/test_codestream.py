"""The size that code streams state, for every codec that writes them."""

from __future__ import annotations

import io

import pytest
from helpers.dx_factory import RAMP_HTJ2K, dx, ramp, to_bytes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless

from xrayinterp.imaging.codestream import stated_size


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless], ids=lambda s: s.name
)
def test_every_codec_states_its_size(syntax: UID):
    dataset = dcmread(io.BytesIO(to_bytes(dx(ramp(50, 70)), syntax)))
    assert stated_size(get_frame(dataset.PixelData, 0, number_of_frames=1)) == (50, 70)


def test_high_throughput_and_boxed_streams():
    assert stated_size(RAMP_HTJ2K) == (64, 96)
    buffer = io.BytesIO()
    Image.new("L", (70, 50)).save(buffer, "JPEG2000")
    assert stated_size(buffer.getvalue()) == (50, 70)
    buffer = io.BytesIO()
    Image.new("L", (70, 50)).save(buffer, "JPEG", progressive=True, exif=b"Exif\0\0" + b"\0" * 90)
    assert stated_size(buffer.getvalue()) == (50, 70)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51"]))
def test_noise_states_nothing_or_numbers(noise: bytes, start: bytes):
    found = stated_size(start + noise)
    assert found is None or len(found) == 2
