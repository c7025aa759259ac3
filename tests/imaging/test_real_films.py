"""Real radiographs: all are read, and read as any other PNG or JPEG reader would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.dx_factory import Encoding, dx, to_bytes
from PIL import Image

from xrayinterp.errors import Code
from xrayinterp.imaging import reader

pytestmark = pytest.mark.data


def some(data_root: Path, count: int = 8) -> list[Path]:
    return [
        path
        for source in ("nih", "cohen", "hannover", "kermany")
        for path in sorted((data_root / source).glob("*.jpg"))[:count]
    ]


def test_real_films_are_read(data_root: Path):
    paths = some(data_root)
    assert paths
    for path in paths:
        film = reader.read(path)
        np.testing.assert_allclose(film.pixels, np.asarray(Image.open(path).convert("L")) / 255, atol=1e-6)
        assert {warned.code for warned in film.warnings} <= {Code.VIEW_UNKNOWN, Code.LOW_RESOLUTION}


def test_a_real_film_survives_every_polarity_as_dicom(data_root: Path):
    for path in some(data_root, 2):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        twelve_bits = np.rint(grey / 255 * 4095).astype(np.uint16)
        for encoding in (Encoding(), Encoding("MONOCHROME1"), Encoding("MONOCHROME1", "INVERSE", True, -1)):
            film = reader.read(to_bytes(dx(twelve_bits, encoding)))
            assert np.abs(film.display.astype(int) - grey).max() <= 1
