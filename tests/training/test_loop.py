"""The training loop learns, resumes to the same weights, and augmentation moves films as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.models.prepare import resize
from xrayinterp.training import brixia
from xrayinterp.training.augment import Augmentation, augment
from xrayinterp.training.films import TrainingSet
from xrayinterp.training.loop import Recipe, Stage, Teacher, mean_auroc, predict, train

SHAPE = DenseNetShape(growth=4, blocks=(1, 1, 1, 1), stem=8)
STILL = Augmentation(0, 0, 0, 0, 0, 0)
RECIPE = Recipe("tiny", SHAPE, (Stage(32, 4),), scored=1, batch=16, average=0.5, augmentation=STILL)


def bright_or_dark(n: int, seed: int) -> TrainingSet:
    """Films whose one label says whether the upper half is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n, 1)).astype(np.float32)
    films = rng.integers(0, 80, (n, 32, 32))
    films[:, :16] += (120 * labels[:, :, None]).astype(np.int64)
    return TrainingSet(
        torch.from_numpy(films.astype(np.uint8)), torch.from_numpy(labels), ("bright",), tuple(map(str, range(n)))
    )


def test_learns_and_selects_on_val(tmp_path: Path) -> None:
    model = train(RECIPE, bright_or_dark(128, 0), bright_or_dark(64, 1), tmp_path)
    test = bright_or_dark(64, 2)
    assert mean_auroc(test.targets.numpy(), predict(model, test.films, 32)) > 0.95
    assert not model.training


def test_a_broken_run_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films, val = bright_or_dark(64, 0), bright_or_dark(32, 1)
    whole = train(RECIPE, films, val, tmp_path / "whole")
    from xrayinterp.training import loop

    calls = 0

    def break_after_two(*args: object, **kwargs: object) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return predict(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "predict", break_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, films, val, tmp_path / "broken")
    monkeypatch.setattr(loop, "predict", predict)
    resumed = train(RECIPE, films, val, tmp_path / "broken")
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5)


def test_a_run_of_another_recipe_is_not_gone_on_with(tmp_path: Path) -> None:
    films, val = bright_or_dark(32, 0), bright_or_dark(32, 1)
    train(replace(RECIPE, stages=(Stage(32, 1),)), films, val, tmp_path)
    with pytest.raises(XrayInterpError, match="another recipe") as caught:
        train(replace(RECIPE, stages=(Stage(32, 1),), rate=1e-3), films, val, tmp_path)
    assert caught.value.code is Code.BAD_OPTION


def test_too_few_films_and_a_val_without_both_classes_are_said_at_once(tmp_path: Path) -> None:
    films = bright_or_dark(32, 0)
    with pytest.raises(XrayInterpError, match="8 films are fewer than one batch of 16"):
        train(RECIPE, bright_or_dark(8, 0), films, tmp_path)
    with pytest.raises(XrayInterpError, match="No scored target"):
        train(RECIPE, films, replace(films, targets=torch.ones(32, 1)), tmp_path)


def test_teachers_are_followed_where_labels_are_noise(tmp_path: Path) -> None:
    films, val = bright_or_dark(128, 0), bright_or_dark(64, 1)
    teacher = Teacher(train(RECIPE, films, val, tmp_path / "teacher"), 32)
    noise = replace(films, targets=films.targets[torch.randperm(len(films))])
    student = train(replace(RECIPE, name="student", soft=1.0), noise, val, tmp_path, teachers=[teacher])
    assert mean_auroc(val.targets.numpy(), predict(student, val.films, 32)) > 0.95


def test_no_augmentation_is_a_plain_resize() -> None:
    films = torch.rand(3, 1, 32, 32).clamp(1e-3, 1)
    moved = augment(films, 56, STILL, torch.Generator().manual_seed(0))
    assert torch.allclose(moved, resize(films, 56) * 2 - 1, atol=1e-4)


def test_mirror_swaps_sides_exactly() -> None:
    films = torch.rand(2, 1, 32, 32).clamp(1e-3, 1)
    moved = augment(films, 32, replace(STILL, mirror=1.0), torch.Generator().manual_seed(0))
    assert torch.allclose(moved, films.flip(-1) * 2 - 1, atol=1e-4)


def test_augmented_values_stay_in_range_and_follow_the_seed() -> None:
    films = torch.rand(4, 1, 32, 32)
    a, b = (augment(films, 40, Augmentation(), torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a, b)
    assert a.min() >= -1 and a.max() <= 1


def test_severity_global_is_the_sum_of_zones() -> None:
    torch.manual_seed(0)
    start = DenseNet(SHAPE, 3).eval()
    films = torch.randint(0, 255, (12, 32, 32), dtype=torch.uint8)
    zones = torch.rand(12, 6) * 3
    model = brixia.fit(start, films, zones, epochs=1)
    out = torch.from_numpy(predict(model, films, 64))
    assert out.shape == (12, 7)
    assert torch.allclose(out[:, :6].sum(1), out[:, 6], atol=1e-4)


def test_folds_keep_patients_together_and_are_even() -> None:
    patients = [f"p{i % 31}" for i in range(100)]
    folds = brixia.fold_of(patients)
    counts = np.bincount(list(folds.values()))
    assert set(folds) == set(patients)
    assert counts.max() - counts.min() <= 1
    assert folds == brixia.fold_of(list(reversed(patients)))


def test_severity_figures_by_hand() -> None:
    zones = torch.tensor([[1.0] * 6, [2.0] * 6])
    data = brixia.Severities(torch.zeros(2, 4, 4, dtype=torch.uint8), zones, ("a", "b"), np.array([[6, 6], [12, 16]]))
    predicted = np.array([[1.0] * 6, [5.0] * 6])  # the second is clipped to 3 a zone: 18 against 12
    figures = brixia.severity_figures(data, predicted, np.array([9.0, 9.0]))
    assert figures["global_mae"][0] == pytest.approx(3.0)  # type: ignore[index]
    assert figures["mean_predictor_mae"][0] == pytest.approx(3.0)  # type: ignore[index]
    assert figures["raters_apart"][0] == pytest.approx(2.0)  # type: ignore[index]
    assert figures["zone_mae"] == pytest.approx(0.5)
