"""The segmenter's masks are clean, its files are checked, and it finds what is known on synthetic films."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from xrayinterp.datasets.phantom import phantom
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.geometry import frame
from xrayinterp.models.registry import BUILTIN_DIR, BUILTIN_ENV
from xrayinterp.models.segmentation import DETAIL, HEART, LEFT, RIGHT, STRUCTURES, cleaned, on_grid
from xrayinterp.models.segmenter import FOLDER, NAME, Segmenter, card, load_segmenter, save_segmenter
from xrayinterp.models.unet import UNet

SHIPPED = BUILTIN_DIR / FOLDER / f"{NAME}.safetensors"


@pytest.fixture
def segmenter() -> Segmenter:
    found = load_segmenter()
    if found is None:
        pytest.skip("no segmenter yet: make embedded")
    return found


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small segmenter of random weights, installed as the built-in one."""
    torch.manual_seed(0)
    monkeypatch.setenv(BUILTIN_ENV, str(tmp_path))
    return save_segmenter(tmp_path / FOLDER, UNet((4, 8), 3), {"size": 32})


# --------------------------------------------------------------------------------------------------------------- masks


def test_a_structure_is_its_largest_part_without_holes() -> None:
    scores = np.full((3, 20, 20), -1.0, dtype=np.float32)
    scores[0, 2:12, 2:9] = 1
    scores[0, 5:7, 4:6] = -1  # a hole
    scores[0, 16:18, 16:18] = 1  # a part too many
    masks = cleaned(scores)
    assert masks[LEFT].sum() == 70
    assert not masks[RIGHT].any()
    assert not masks[HEART].any()


def test_a_notch_at_the_border_is_no_hole() -> None:
    scores = np.full((3, 10, 10), -1.0, dtype=np.float32)
    scores[2] = 1
    scores[2, :4, 5] = -1
    assert cleaned(scores)[HEART].sum() == 96


def test_a_lung_in_a_hole_of_the_other_is_none() -> None:
    scores = np.full((3, 9, 9), -1.0, dtype=np.float32)
    scores[0, 1:8, 1:8] = 1
    scores[0, 3:6, 3:6] = -1
    scores[1, 4, 4] = 1
    masks = cleaned(scores)
    assert masks[LEFT].sum() == 49 and not masks[RIGHT].any()


@given(st.integers(0, 10_000))
@example(330)
@settings(max_examples=30, deadline=None)
def test_masks_hang_together_are_filled_and_lungs_never_overlap(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(3, 24, 24))
    masks = cleaned(ndimage.gaussian_filter(noise, (0, 2, 2)).astype(np.float32))
    assert not (masks[LEFT] & masks[RIGHT]).any()
    for mask in masks.values():
        assert ndimage.label(mask)[1] <= 1
        np.testing.assert_array_equal(mask, ndimage.binary_fill_holes(mask))


# -------------------------------------------------------------------------------------------------------- the shipped


def test_the_shipped_segmenter_is_small_and_says_what_it_is(segmenter: Segmenter) -> None:
    assert SHIPPED.stat().st_size < 5_000_000
    assert sum(p.numel() for p in segmenter.network.parameters()) <= 1_000_000
    assert not any(p.requires_grad for p in segmenter.network.parameters())
    assert segmenter.record.structures == STRUCTURES
    terms = card()
    assert terms.research_only  # it saw films under CC BY-NC-SA
    for source in ("Cohen", "Hannover", "V7 Labs", "GeneralBlockchain"):
        assert source in terms.data


def test_its_record_tells_dice_on_unseen_films(segmenter: Segmenter) -> None:
    measured = segmenter.record.measured
    for group in (measured["test"]["all"], measured["synthetic"]):
        assert set(group) == set(STRUCTURES)
        for row in group.values():
            value, low, high = row["dice"]
            assert 0 < low <= value <= high <= 1
            assert row["lowest"] <= value
            assert row["patients"] <= row["films"]
    assert all(measured["test"]["all"][name]["dice"][0] > 0.9 for name in STRUCTURES)


@pytest.mark.parametrize(("seed", "options"), [(901, {}), (902, {"view": "AP", "findings": ("Effusion",)})])
def test_it_finds_lungs_and_heart_of_synthetic_films(segmenter: Segmenter, seed: int, options: Any) -> None:
    film = phantom(seed, size=256, **options)
    found = segmenter.segment(film.pixels)
    square = frame(256, 256)
    for name, true in ((LEFT, "Right Lung"), (RIGHT, "Left Lung")):
        mask = on_grid(film.masks[true], square)
        assert 2 * (found.masks[name] & mask).sum() / (found.masks[name].sum() + mask.sum()) > 0.9
    assert (found.heart & on_grid(film.masks["Heart"], square)).sum() > 0.85 * on_grid(
        film.masks["Heart"], square
    ).sum()


def test_a_mirrored_film_has_its_lungs_on_the_other_side(segmenter: Segmenter) -> None:
    film = phantom(903, size=256)
    here, there = segmenter.segment(film.pixels), segmenter.segment(np.ascontiguousarray(film.pixels[:, ::-1]))
    for name, other in ((LEFT, RIGHT), (RIGHT, LEFT), (HEART, HEART)):
        a, b = here.masks[name], there.masks[other][:, ::-1]
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.9


def test_the_same_film_gives_the_same_masks_and_none_beyond_its_border(segmenter: Segmenter) -> None:
    pixels = phantom(904, size=256).pixels[40:200]
    first, again = segmenter.segment(pixels), segmenter.segment(pixels)
    outside = ~on_grid(np.ones(pixels.shape, dtype=bool), first.square)
    assert outside.any()
    for name in STRUCTURES:
        np.testing.assert_array_equal(first.masks[name], again.masks[name])
        assert not (first.masks[name] & outside).any()
    assert first.detail == DETAIL


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 7), (64, 64)])
@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_films_without_a_chest_do_no_harm(segmenter: Segmenter, shape: tuple[int, int], grey: float) -> None:
    found = segmenter.segment(np.full(shape, grey, dtype=np.float32))
    assert found.lungs.shape == (DETAIL, DETAIL)


# --------------------------------------------------------------------------------------------------------------- files


def test_without_weights_there_is_no_segmenter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUILTIN_ENV, str(tmp_path))
    assert load_segmenter() is None


def test_what_is_saved_is_read_back_as_float16_kernels(copied: Path) -> None:
    torch.manual_seed(0)
    expected, found = UNet((4, 8), 3).state_dict(), load_segmenter()
    assert found is not None
    for key, value in found.network.state_dict().items():
        kept = expected[key].half().float() if expected[key].ndim >= 2 else expected[key]
        assert torch.equal(value, kept.to(value.dtype))


def test_changed_weights_are_refused(copied: Path) -> None:
    copied.write_bytes(copied.read_bytes()[:-1] + b"x")
    with pytest.raises(XrayInterpError) as caught:
        load_segmenter()
    assert caught.value.code is Code.WEIGHTS_HASH


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"channels": [4, 9]}, Code.WEIGHTS_CORRUPT),
        ({"structures": ["a", "b", "c"]}, Code.BAD_MANIFEST),
        ({"size": -1}, Code.BAD_MANIFEST),
        ({"surprise": 1}, Code.BAD_MANIFEST),
    ],
)
def test_a_record_that_does_not_fit_is_refused(copied: Path, change: dict[str, Any], code: Code) -> None:
    record = copied.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    with pytest.raises(XrayInterpError) as caught:
        load_segmenter()
    assert caught.value.code is code


def test_weights_without_their_record_are_refused(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    with pytest.raises(XrayInterpError, match="not a segmenter's record"):
        load_segmenter()


def test_overflowing_weights_are_not_written(tmp_path: Path) -> None:
    network = UNet((4, 8), 3)
    with torch.no_grad():
        network.head.weight.fill_(1e6)
    with pytest.raises(XrayInterpError, match="not finite in float16"):
        save_segmenter(tmp_path, network, {"size": 32})
    assert not any(tmp_path.iterdir())
    shutil.rmtree(tmp_path)
