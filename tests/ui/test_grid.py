"""The grid's message: every film once, maps coloured on their own, on a common scale and by rank."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from helpers.fake_explanation import fake_radiograph
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xrayinterp.explanation import SaliencyMap
from xrayinterp.imaging.geometry import frame
from xrayinterp.ui.grid import Cell, Film, grid_message, ranked

FILM = fake_radiograph()
FILMS = [Film(FILM, frame(*FILM.shape))]


def saliency(values: list[list[float]], *, signed: bool = True) -> SaliencyMap:
    return SaliencyMap("gradcam_signed", np.array(values, np.float32), signed, {})


def shades(message: dict, number: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(message["cells"][number]["map"]["shades"]), np.uint8)


def test_on_its_own_scale_each_map_reaches_its_strongest_colour():
    cells = [Cell("a", saliency([[0, 2], [-2, 1]])), Cell("b", saliency([[0, 20], [-20, 10]]))]
    message = grid_message(FILMS, cells)
    np.testing.assert_array_equal(shades(message, 0), [128, 255, 0, 191])
    np.testing.assert_array_equal(shades(message, 0), shades(message, 1))


def test_on_a_common_scale_the_weaker_map_is_paler():
    cells = [Cell("a", saliency([[0, 2], [-2, 1]])), Cell("b", saliency([[0, 20], [-20, 10]]))]
    message = grid_message(FILMS, cells, how="common")
    assert shades(message, 0)[1] == round(255 * (1 + 0.1) / 2)
    assert message["cells"][0]["map"]["high"] == message["cells"][1]["map"]["high"] == "+20 supports"


def test_by_rank_units_do_not_matter_and_the_lower_half_is_clear():
    values = [[0.1, 0.2, 0.3, 0.4], [-0.5, 0.6, 0.7, 0.8]]
    cells = [Cell("a", saliency(values)), Cell("b", saliency((1000 * np.array(values)).tolist()))]
    message = grid_message(FILMS, cells, how="rank")
    np.testing.assert_array_equal(shades(message, 0), shades(message, 1))
    first = shades(message, 0).astype(int) - 128
    assert np.all(np.abs(first[:4]) <= 1)
    assert first[4] < 0 < first[7]


@given(arrays.arrays(np.float32, (5, 4), elements=st.floats(-1e3, 1e3, width=32)))
def test_ranks_keep_signs_and_never_leave_their_range(values: np.ndarray):
    found = ranked(values)
    assert np.all(np.abs(found) <= 1)
    assert np.all(np.sign(found) * np.sign(values) >= 0)
    strongest = np.abs(values) == np.abs(values).max()
    assert np.all(np.abs(found)[strongest] >= np.abs(found).max() - 1e-6)


def test_a_film_is_sent_once_and_a_cell_without_a_map_has_none():
    cells = [Cell("film", None), Cell("map", saliency([[0, 1]]), caution="Careful")]
    message = grid_message(FILMS, cells, columns=2)
    assert len(message["films"]) == 1
    assert message["cells"][0]["map"] is None
    assert message["cells"][1]["alt"].endswith("Careful")
    assert "strongest" in message["cells"][1]["alt"]
    json.dumps(message)


@pytest.mark.parametrize("how", ["own", "common", "rank"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_map_that_is_zero_everywhere_stays_clear(how, signed: bool):
    message = grid_message(FILMS, [Cell("flat", saliency([[0, 0]], signed=signed))], how=how)
    assert set(shades(message, 0).tolist()) <= {0 if not signed else 128}
    assert message["cells"][0]["map"]["high"] == "zero everywhere"


def test_no_cells_are_a_message_too():
    assert grid_message(FILMS, [])["cells"] == []
