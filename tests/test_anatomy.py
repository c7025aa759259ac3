from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.anatomy import (
    Parts,
    anatomy_of,
    cardiothoracic,
    doubt,
    parts_of,
    place_map,
    place_point,
    place_region,
    shares_of,
)
from xrayinterp.anatomy.maps import covered, on_cells, strongest_part
from xrayinterp.datasets.phantom import Planted, phantom
from xrayinterp.imaging.geometry import Frame, frame
from xrayinterp.models.segmentation import DETAIL, HEART, LEFT, RIGHT, STRUCTURES, Segmentation, on_grid

SIDE = 256


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def chest(**masks: np.ndarray) -> Segmentation:
    """Lungs of 150 rows at columns 40 to 112 and 144 to 216, a heart of 90 columns that overlaps the right one more."""
    usual = {LEFT: box(40, 190, 40, 112), RIGHT: box(40, 190, 144, 216), HEART: box(90, 200, 100, 190)}
    names = {"left": LEFT, "right": RIGHT, "heart": HEART}
    return Segmentation(frame(SIDE, SIDE), usual | {names[key]: mask for key, mask in masks.items()})


CHEST = chest()
WHOLE = frame(SIDE, SIDE)
PARTS = parts_of(CHEST)


# ------------------------------------------------------------------------------------------------------------- regions


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (box(45, 60, 50, 90), "image-left upper zone"),
        (box(100, 130, 50, 90), "image-left middle zone"),
        (box(145, 165, 70, 95), "image-left lower zone"),
        (box(175, 188, 42, 60), "image-left costophrenic area"),
        (box(175, 188, 196, 214), "image-right costophrenic area"),
        (box(45, 60, 150, 210), "image-right upper zone"),
        (box(70, 110, 195, 214), "image-right upper and middle zones"),
        (box(41, 189, 195, 214), "image-right lung, all zones"),
        (box(120, 180, 120, 180), "over heart and mediastinum"),
        (box(92, 180, 150, 188), "over heart and mediastinum"),  # the lung behind the heart counts as heart
        (box(60, 85, 115, 140), "outside the lungs, between the lungs"),
        (box(5, 30, 60, 200), "outside the lungs, above the lungs"),
        (box(210, 250, 40, 100), "outside the lungs, below the image-left lung"),
        (box(210, 250, 150, 250), "outside the lungs, below the image-right lung"),
        (box(60, 180, 5, 30), "outside the lungs, lateral to the image-left lung"),
        (box(60, 180, 225, 250), "outside the lungs, lateral to the image-right lung"),
        (box(150, 188, 80, 130), "over heart and mediastinum, and image-left lower zone"),
        (box(150, 210, 42, 90), "image-left lower zone, and below the image-left lung"),
    ],
)
def test_a_region_is_named_by_where_it_lies(region: np.ndarray, words: str) -> None:
    assert place_region(region, PARTS) == words


def test_nothing_lies_nowhere() -> None:
    assert place_region(np.zeros((SIDE, SIDE), dtype=bool), PARTS) is None


def test_zones_are_thirds_of_each_lungs_own_height() -> None:
    short = parts_of(chest(right=box(100, 190, 144, 216)))
    row = 105  # the middle third of the left lung, the upper third of the shorter right one
    assert place_point((row / SIDE, 60 / SIDE), WHOLE, short) == "image-left middle zone"
    assert place_point((row / SIDE, 200 / SIDE), WHOLE, short) == "image-right upper zone"


@given(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))
@settings(max_examples=60, deadline=None)
def test_a_point_is_named_as_the_region_of_its_cell(row: int, column: int) -> None:
    region = box(row, row + 1, column, column + 1)
    assert place_point(((row + 0.5) / SIDE, (column + 0.5) / SIDE), WHOLE, PARTS) == place_region(region, PARTS)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(2, 50), st.integers(2, 50))
@settings(max_examples=60, deadline=None)
def test_words_change_sides_with_the_film(top: int, left: int, height: int, width: int) -> None:
    """A mirrored film has mirrored words; nothing depends on which side the heart is on."""
    region = box(top, top + height, left, left + width)
    mirrored = Segmentation(
        CHEST.square,
        {LEFT: CHEST.masks[RIGHT][:, ::-1], RIGHT: CHEST.masks[LEFT][:, ::-1], HEART: CHEST.heart[:, ::-1]},
    )
    there, here = place_region(region[:, ::-1], parts_of(mirrored)), place_region(region, PARTS)
    assert there is not None
    assert here is not None
    if _tied(region, PARTS):
        return
    assert there.replace("left", "x").replace("right", "left").replace("x", "right") == here


def _tied(region: np.ndarray, parts: Parts) -> bool:
    """Whether two parts hold as much of the region: either may then be named first."""
    counts = np.bincount(parts.labels[region])
    return len(set(counts[counts > 0])) < (counts > 0).sum()


# ---------------------------------------------------------------------------------------------------------------- maps


def test_an_even_map_has_the_lungs_area_as_its_share() -> None:
    shares = shares_of(np.ones((8, 8), dtype=np.float32), WHOLE, CHEST)
    assert shares is not None
    assert shares.lungs == pytest.approx(CHEST.lungs.mean())
    assert shares.area == pytest.approx(CHEST.lungs.mean())
    assert shares.heart == pytest.approx(CHEST.heart.mean())
    assert shares.both == pytest.approx((CHEST.lungs & CHEST.heart).mean())


@given(st.integers(1, 60), st.sampled_from(["crop", "pad"]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_shares_are_a_whole_whatever_the_grid(cells: int, fit: Any, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(cells, cells)).astype(np.float32)
    shares = shares_of(values, frame(SIDE, SIDE, fit), CHEST)
    assert shares is not None
    assert shares.lungs + shares.heart - shares.both + shares.elsewhere == pytest.approx(1)
    assert min(shares.lungs, shares.heart, shares.both, shares.elsewhere) >= -1e-9
    louder = shares_of(-3 * values, frame(SIDE, SIDE, fit), CHEST)
    assert louder is not None
    assert louder.lungs == pytest.approx(shares.lungs)


def test_a_map_inside_one_lung_lies_there_wholly() -> None:
    values = np.zeros((SIDE, SIDE), dtype=np.float32)
    values[150:165, 60:80] = 1
    place = place_map(PARTS, WHOLE, "gradient", values, signed=True)
    assert place.supports == "image-left lower zone"
    assert place.opposes is None
    assert place.shares is not None
    assert (place.shares.lungs, place.shares.elsewhere) == (pytest.approx(1), pytest.approx(0))
    against = place_map(PARTS, WHOLE, "gradient", -values, signed=True)
    assert (against.supports, against.opposes) == (None, "image-left lower zone")


def test_a_map_of_nothing_has_no_place() -> None:
    place = place_map(PARTS, WHOLE, "gradient", np.zeros((7, 7), dtype=np.float32), signed=True)
    assert (place.supports, place.opposes, place.shares) == (None, None, None)


def test_the_models_square_may_be_part_of_the_film() -> None:
    """A film twice as wide as high, cropped: its middle half is seen, and the lungs are measured there."""
    film = frame(100, 200, "pad")
    left, right, heart = (np.zeros((100, 200), dtype=bool) for _ in range(3))
    left[20:80, 55:90], right[20:80, 110:145], heart[50:80, 85:120] = True, True, True
    segmentation = Segmentation(
        film, dict(zip(STRUCTURES, (on_grid(m, film) for m in (left, right, heart)), strict=True))
    )
    square = frame(100, 200, "crop")
    even = shares_of(np.ones((5, 5), dtype=np.float32), square, segmentation)
    assert even is not None
    assert even.lungs == pytest.approx((left | right)[:, 50:150].mean(), abs=0.01)
    spot = np.zeros((10, 10), dtype=np.float32)
    spot[3, 1] = 1.0  # film rows 30 to 40, columns 60 to 70
    assert place_map(parts_of(segmentation), square, "m", spot, signed=False).supports == "image-left upper zone"
    cells = on_cells(np.ones((3, 3), dtype=np.float32), square, parts_of(segmentation))
    assert (cells > 0).mean() == pytest.approx(0.25, abs=0.01)


def test_interpolation_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    large = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], (SIDE, SIDE), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(on_cells(values, WHOLE, PARTS), large[0, 0].numpy(), atol=1e-5)


def test_the_strongest_part_hangs_together() -> None:
    values = np.zeros((9, 9), dtype=np.float32)
    values[1, 1:4], values[7, 7] = (0.6, 1.0, 0.4), 0.9
    np.testing.assert_array_equal(np.argwhere(strongest_part(values)), [[1, 1], [1, 2]])


def test_cover_of_a_coarse_cell_is_the_part_of_it_inside() -> None:
    mask = np.zeros((DETAIL, DETAIL), dtype=bool)
    mask[:, : DETAIL // 4] = True
    np.testing.assert_allclose(covered(mask, WHOLE, WHOLE, (2, 2)), [[0.5, 0], [0.5, 0]])


# ------------------------------------------------------------------------------------------------- cardiothoracic ratio


def test_ratio_of_boxes_is_that_of_their_widths() -> None:
    ratio, reason = cardiothoracic(CHEST)
    assert reason is None
    assert ratio is not None
    assert (ratio.heart, ratio.thorax) == (90, 176)
    assert ratio.ratio == 90 / 176


def test_only_the_lower_half_of_the_silhouette_counts() -> None:
    wide_above = chest(heart=box(90, 140, 50, 206) | box(140, 200, 100, 180))
    ratio, _ = cardiothoracic(wide_above)
    assert ratio is not None
    assert ratio.heart == 80


def test_widths_are_told_in_pixels_of_the_film() -> None:
    large = Segmentation(frame(1024, 1024), CHEST.masks)
    ratio, _ = cardiothoracic(large)
    assert ratio is not None
    assert (ratio.heart, ratio.thorax) == (360, 704)


EMPTY = box(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"left": EMPTY}, "no image-left lung was found"),
        ({"left": EMPTY, "right": EMPTY}, "no image-left and no image-right lung was found"),
        ({"left": box(150, 190, 60, 112)}, "the two lungs found differ too much in size"),
        (
            {"left": box(40, 190, 200, 250), "right": box(40, 190, 100, 160)},
            "the two lungs found do not lie side by side",
        ),
        ({"left": box(5, 90, 40, 112), "right": box(91, 180, 160, 216)}, "the two lungs found do not lie side by side"),
        ({"heart": EMPTY}, "no heart was found"),
        ({"heart": box(90, 200, 200, 250)}, "what was found as heart does not lie between the lungs"),
        ({"heart": box(90, 200, 100, 230)}, "the heart's edge cannot be told from the chest wall"),
        ({"left": box(40, 190, 0, 112)}, "the film ends before the lungs do"),
    ],
)
def test_what_cannot_be_measured_is_not(wrong: dict[str, np.ndarray], reason: str) -> None:
    assert cardiothoracic(chest(**wrong)) == (None, reason)


def test_without_two_lungs_there_are_no_words() -> None:
    anatomy = anatomy_of(chest(right=EMPTY), WHOLE, [("m", np.ones((2, 2), np.float32), True)], {})
    assert anatomy.doubt == "no image-right lung was found"
    assert (anatomy.parts, anatomy.maps, anatomy.at((0.5, 0.5))) == (None, (), None)


# -------------------------------------------------------------------------------------- phantoms, whose truth is exact


def exact(film: Any) -> Segmentation:
    names = ("Right Lung", "Left Lung", "Cardiomediastinum")
    square = frame(*film.pixels.shape)
    masks = (on_grid(film.masks[name], square) for name in names)
    return Segmentation(square, dict(zip(STRUCTURES, masks, strict=True)))


@pytest.mark.parametrize("side", ["image left", "image right"])
def test_a_planted_effusion_lies_in_its_costophrenic_area_or_lower_zone(side: Any) -> None:
    film = phantom(14, size=256, findings=(Planted("Effusion", side),))
    segmentation = exact(film)
    assert doubt(segmentation) is None
    words = place_region(on_grid(film.masks["Effusion"], segmentation.square), parts_of(segmentation))
    name = side.replace(" ", "-")
    assert words is not None
    assert words.startswith((f"{name} lower zone", f"{name} costophrenic area"))


def test_a_planted_heart_raises_the_ratio_and_ap_magnifies_it() -> None:
    def ratio(**options: Any) -> float:
        found, reason = cardiothoracic(exact(phantom(15, size=256, **options)))
        assert found is not None, reason
        return found.ratio

    assert ratio(findings=("Cardiomegaly",)) > ratio() * 1.15
    assert ratio(view="AP") > ratio(view="PA")


def test_anatomy_of_a_phantom_speaks_of_its_maps_and_concepts() -> None:
    film = phantom(9, size=256)
    segmentation = exact(film)
    values = np.where(film.masks["Heart"], 1.0, 0.0).astype(np.float32)
    square = Frame(0, 0, 256, 256, 256)
    anatomy = anatomy_of(segmentation, square, [("m", values, False)], {"Heart": values, "None": 0 * values})
    place = anatomy.of("m")
    assert place is not None
    assert place.supports == "over heart and mediastinum"
    assert anatomy.concepts == {"Heart": "over heart and mediastinum"}
    assert anatomy.of("other") is None
