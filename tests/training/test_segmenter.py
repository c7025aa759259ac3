"""The segmenter's training: sides, masked loss, masks that move with their film, and runs that resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.segmentation import HEART, LEFT, RIGHT
from xrayinterp.training import segmenter
from xrayinterp.training.augment import Augmentation
from xrayinterp.training.segmenter import SegmenterRecipe, augmented, dice, overlap_loss, train, veils
from xrayinterp.training.segmenter_films import OutlinedSet, as_set, outlined_films, sides, synthetic_films
from xrayinterp.training.segmenter_measure import dice_of, mean_over_patients, outlined_segmentation

STILL = Augmentation(0, 0, 0, 0, 0, 0)
RECIPE = SegmenterRecipe(
    "tiny", (4, 8), 32, 32, epochs=4, batch=8, average=0.5, mirror=0.5, veil=0.0, augmentation=STILL
)


def boxes(n: int, seed: int) -> OutlinedSet:
    """Films with a dark box at the left, a less dark one at the right, and a bright one between them."""
    rng = np.random.default_rng(seed)
    films, masks = rng.integers(90, 120, (n, 32, 32)), np.zeros((n, 3, 32, 32), dtype=np.uint8)
    for i in range(n):
        top = int(rng.integers(2, 8))
        for j, (left, grey) in enumerate(((3, 10), (22, 50), (12, 240))):
            films[i, top : top + 18, left : left + 7] = grey
            masks[i, j, top : top + 18, left : left + 7] = 1
    known = torch.ones(n, 3, dtype=torch.bool)
    return OutlinedSet(torch.from_numpy(films.astype(np.uint8)), torch.from_numpy(masks), known)


def test_it_learns_boxes(tmp_path: Path) -> None:
    network = train(
        replace(RECIPE, channels=(8, 16), epochs=8, rate=1e-2, mirror=0.0), boxes(64, 0), boxes(16, 1), tmp_path
    )
    test = boxes(16, 2)
    found = segmenter.scores(network, test.films, 32) > 0
    assert np.nanmin(dice(found, test).mean(0)) > 0.9
    assert not network.training


def test_a_broken_run_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films, val = boxes(16, 0), boxes(8, 1)
    whole = train(RECIPE, films, val, tmp_path / "whole")
    calls, real = 0, segmenter.scores

    def break_after_two(*args: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "scores", break_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, films, val, tmp_path / "broken")
    monkeypatch.setattr(segmenter, "scores", real)
    resumed = train(RECIPE, films, val, tmp_path / "broken")
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    with pytest.raises(XrayInterpError) as caught:
        train(replace(RECIPE, rate=1.0), films, val, tmp_path / "broken")
    assert caught.value.code is Code.BAD_OPTION


def test_fewer_films_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(XrayInterpError, match="fewer than one batch"):
        train(RECIPE, boxes(4, 0), boxes(4, 1), tmp_path)


def test_what_nobody_outlined_costs_nothing() -> None:
    logits, targets = torch.randn(2, 3, 4, 4), torch.randint(0, 2, (2, 3, 4, 4)).float()
    known = torch.tensor([[True, True, False], [True, False, False]])
    changed = targets.clone()
    changed[~known] = 1 - changed[~known]
    assert overlap_loss(logits, targets, known) == overlap_loss(logits, changed, known)
    right = (2 * targets - 1) * 50
    assert float(overlap_loss(right, targets, torch.ones_like(known))) == pytest.approx(0, abs=1e-4)


def test_mirrored_lungs_change_sides() -> None:
    films = boxes(6, 0)
    generator = torch.Generator().manual_seed(0)
    x, y = augmented(films.films, films.masks, replace(RECIPE, mirror=1.0), generator)
    torch.testing.assert_close((x[:, 0] + 1) / 2, films.films.float().flip(-1) / 255, atol=1e-4, rtol=0)
    assert torch.equal(y, films.masks.float()[:, [1, 0, 2]].flip(-1))


def test_masks_move_with_their_film() -> None:
    """A film that is its own mask stays so under every movement."""
    masks = boxes(12, 0).masks
    recipe = replace(RECIPE, mirror=0.5, augmentation=replace(segmenter.RECIPE.augmentation, contrast=0, gamma=0))
    x, y = augmented(masks[:, 2] * 255, masks, recipe, torch.Generator().manual_seed(3))
    assert torch.equal((x[:, 0] > 0).float(), y[:, 2])


def test_veils_are_soft_bounded_and_repeatable() -> None:
    draw = [veils(torch.zeros(50, 1, 24, 24), 0.4, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*draw)
    assert float(draw[0].abs().max()) <= 0.4
    assert float((draw[0][..., 1:] - draw[0][..., :-1]).abs().max()) < 0.2


def test_both_lungs_are_parted_by_side_or_not_at_all() -> None:
    both = np.zeros((20, 20), dtype=bool)
    both[2:10, 12:18] = both[3:15, 2:8] = True
    both[18, 18] = True  # a speck
    parted = sides(both)
    assert (parted[LEFT].sum(), parted[RIGHT].sum()) == (72, 48)
    both[5, 8:12] = True
    assert sides(both) == {}


def test_dice_is_twice_the_overlap_over_both_areas() -> None:
    a, b = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    a[:2], b[1:3] = True, True
    assert (dice_of(a, b), dice_of(a, a), dice_of(a, ~a), dice_of(a & ~a, a & ~a)) == (0.5, 1.0, 0.0, 1.0)
    films = boxes(3, 0)
    values = dice(films.masks.bool(), replace(films, known=torch.tensor([[True, True, False]] * 3)))
    np.testing.assert_array_equal(values, [[1, 1, np.nan]] * 3)


def test_patients_are_resampled_not_films() -> None:
    values = np.array([0.0] * 10 + [1.0] * 10)
    many = mean_over_patients(values, [str(i) for i in range(20)])
    two = mean_over_patients(values, ["a"] * 10 + ["b"] * 10)
    assert many[0] == two[0] == 0.5
    assert two[1:] == [0.0, 1.0]
    assert 0.2 < many[1] < many[2] < 0.8


def test_synthetic_films_have_every_structure_and_are_made_alike() -> None:
    first, again = synthetic_films(2, 64), synthetic_films(2, 64)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert list(one.masks) == [LEFT, RIGHT, HEART]
        columns = [np.nonzero(one.masks[name])[1].mean() for name in (LEFT, HEART, RIGHT)]
        assert columns == sorted(columns)
    packed = as_set(first, 32)
    assert packed.films.shape == (2, 32, 32)
    assert packed.known.all()
    assert outlined_segmentation(first[0]).lungs.any()


@pytest.mark.data
def test_patients_learnt_from_are_not_tested_on(data_root: Path) -> None:
    patients = {split: {film.patient for film in outlined_films(split)} for split in ("train", "val", "test")}
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["val"]
    assert not patients["val"] & patients["test"]
    for film in outlined_films("test")[:8]:
        left, right = (np.nonzero(film.masks[name])[1].mean() for name in (LEFT, RIGHT))
        assert left < right
