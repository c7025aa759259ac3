"""Marks on films: boxes, outlines and run lengths against forms that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from xrayinterp.datasets.regions import Box, MaskFile, Polygon, RunLengths, decode_runs, encode_runs, pack_runs, union
from xrayinterp.errors import Code, XrayInterpError

MASKS = arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(MASKS)
def test_run_lengths_give_back_the_mask(mask: np.ndarray) -> None:
    counts = encode_runs(mask)
    for form in (counts, pack_runs(counts)):
        assert np.array_equal(decode_runs(form, *mask.shape), mask)


@given(MASKS)
def test_runs_go_down_the_columns_background_first(mask: np.ndarray) -> None:
    drawn: list[bool] = []
    for place, run in enumerate(encode_runs(mask)):
        drawn += [place % 2 == 1] * run
    height = mask.shape[0]
    assert all(drawn[x * height + y] == mask[y, x] for y in range(height) for x in range(mask.shape[1]))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_packed_counts_are_text_of_six_bit_characters(counts: list[int]) -> None:
    packed = pack_runs(counts)
    assert set(packed) <= {chr(48 + value) for value in range(64)}
    assert decode_runs(packed, 1, sum(counts)).sum() == sum(counts[1::2])


@pytest.mark.parametrize(("text", "height", "width"), [("PVWX6", 2320, 2828), ("nefl3", 2022, 2021)])
def test_empty_masks_as_pycocotools_writes_them(text: str, height: int, width: int) -> None:
    assert not decode_runs(text, height, width).any()
    assert pack_runs([height * width]) == text


@pytest.mark.parametrize(
    ("counts", "said"), [([3, 4], "fill 7 of 6"), ([7, -1], "fill 6 of 6"), ("\x7f", "no character")]
)
def test_run_lengths_that_do_not_fit_are_refused(counts: list[int] | str, said: str) -> None:
    with pytest.raises(XrayInterpError, match=said) as caught:
        decode_runs(counts, 2, 3)
    assert caught.value.code is Code.BAD_DATA


def test_a_box_holds_the_pixels_whose_centres_are_in_it() -> None:
    assert np.argwhere(Box(1, 2, 2, 1).mask((4, 5))).tolist() == [[2, 1], [2, 2]]
    assert (
        Box(1.4, 2.6, 2.2, 1.0).mask((4, 5)).sum() == 3
    )  # centres 1.5 to 3.5 in 1.4 to 3.6, row 3.5 alone in 2.6 to 3.6
    assert Box(-3, -3, 20, 20).mask((4, 5)).all()


@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 8), st.integers(1, 8))
def test_whole_boxes_have_their_area_and_an_outline_of_their_pixels_is_the_same(x: int, y: int, w: int, h: int) -> None:
    mask = Box(x, y, w, h).mask((16, 16))
    assert mask.sum() == w * h
    right, bottom = x + w - 1, y + h - 1
    assert np.array_equal(Polygon(((x, y), (right, y), (right, bottom), (x, bottom))).mask((16, 16)), mask)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box(0, 0, 5, 4), True), (Box(0, 0, 5.4, 4), True), (Box(0, 0, 6, 4), False), (Box(-1, 0, 2, 2), False),
        (Box(4, 3, 1, 2), False), (Box(1, 1, 0, 2), False), (Box(1, 1, 2, -2), False),
        (Box(float("nan"), 0, 1, 1), False), (Box(0, 0, float("inf"), 1), False),
    ],
)  # fmt: skip
def test_boxes_that_leave_the_film_are_told_from_those_inside(box: Box, inside: bool) -> None:
    assert box.inside((4, 5)) is inside


def test_points_and_lines_are_drawn_as_such() -> None:
    assert np.argwhere(Polygon(((3, 1),)).mask((4, 5))).tolist() == [[1, 3]]
    assert Polygon(((0, 2), (4, 2))).mask((4, 5))[2].all()


@given(st.integers(1, 7), st.integers(0, 6), st.integers(0, 6), st.integers(1, 6), st.integers(1, 6))
def test_a_coarser_grid_takes_the_pixel_under_each_centre(scale: int, x: int, y: int, w: int, h: int) -> None:
    box, fine = Box(x, y, w, h), Box(x * scale, y * scale, w * scale, h * scale)
    assert np.array_equal(union([fine], (12 * scale, 12 * scale), (12, 12)), box.mask((12, 12)))


def test_a_union_is_the_sum_of_its_regions() -> None:
    both = union([Box(0, 0, 2, 2), Box(1, 1, 3, 2)], (5, 5), (5, 5))
    assert both.sum() == 4 + 6 - 1
    assert not union([], (5, 5), (3, 3)).any()


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "LA", "P", "I;16"])
def test_a_mask_picture_is_read_in_any_mode(tmp_path: Path, mode: str) -> None:
    values = np.zeros((5, 6), dtype=np.uint8)
    values[1:3, 2:5] = 255
    path = tmp_path / "mask.png"
    made = Image.fromarray(values.astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(values).convert(mode)
    made.save(path)
    assert np.array_equal(MaskFile(path).mask((5, 6)), values > 0)


def test_what_is_transparent_is_not_drawn(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 255, dtype=np.uint8)
    pixels[:2, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert MaskFile(tmp_path / "m.png").mask((4, 4)).any(axis=1).tolist() == [False, False, True, True]


def test_masks_of_another_size_gone_or_broken_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(np.zeros((4, 5), dtype=np.uint8)).save(path)
    wrong = (
        (MaskFile(path), Code.BAD_DATA, "5 x 4 pixels where 7 x 6 belong"),
        (MaskFile(path, Box(0, 0, 4, 4)), Code.BAD_DATA, "5 x 4 pixels where 4 x 4 belong"),
        (MaskFile(path, Box(3, 0, 5, 4)), Code.BAD_DATA, "5 x 4 pixels"),
        (RunLengths(3, 3, (9,)), Code.BAD_DATA, "3 x 3 pixels where 7 x 6 belong"),
        (MaskFile(tmp_path / "gone.png"), Code.DATA_MISSING, "gone"),
    )
    for region, code, said in wrong:
        with pytest.raises(XrayInterpError, match=said) as caught:
            region.mask((6, 7))
        assert caught.value.code is code
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(XrayInterpError) as caught:
        MaskFile(path).mask((4, 5))
    assert caught.value.code is Code.CORRUPT_PIXELS
