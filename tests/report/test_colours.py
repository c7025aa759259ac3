from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.report import colours


def luminance(colour: str) -> float:
    channels = np.array(colours.rgb(colour)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_cividis_rises_from_dark_blue_to_yellow() -> None:
    ramp = colours.cividis(np.linspace(0, 1, 64)).astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(ramp) > 0).all()
    assert colours.cividis(np.array([0.0, 1.0])).tolist() == [[0, 0x20, 0x4C], [0xFF, 0xE9, 0x45]]


def test_diverging_is_orange_above_and_blue_below_zero() -> None:
    (red, _, blue), (red2, _, blue2) = colours.diverging(np.array([0.8, -0.8])).astype(int)
    assert red > blue + 80
    assert blue2 > red2 + 80


@pytest.mark.parametrize("colour", [colours.SUPPORTS_PRINT, colours.OPPOSES_PRINT, colours.UNNAMED_PRINT])
def test_print_colours_stand_out_from_paper(colour: str) -> None:
    assert contrast(colour, "#ffffff") >= 3


@pytest.mark.parametrize("colour", [colours.SUPPORTS, colours.OPPOSES, colours.FRAME])
def test_screen_colours_stand_out_from_the_dark_room(colour: str) -> None:
    assert contrast(colour, "#0b0e11") >= 7


def test_overlay_is_transparent_at_zero_and_where_the_model_saw_nothing() -> None:
    layer = colours.overlay(np.array([0.0, np.nan, 1.0, -1.0]), 1.0, signed=True, opacity=0.5)
    assert layer[:, 3].tolist() == [0, 0, 128, 128]


def test_an_unsigned_map_hides_what_is_below_zero() -> None:
    assert colours.overlay(np.array([-1.0]), 1.0, signed=False)[0, 3] == 0


@given(st.floats(-5, 5), st.floats(0.1, 5))
def test_overlay_alpha_depends_on_size_alone(value: float, limit: float) -> None:
    plus, minus = colours.overlay(np.array([value, -value]), limit, signed=True)
    assert plus[3] == minus[3]
    assert plus[3] == round(255 * 0.75 * min(1.0, abs(value) / limit))
