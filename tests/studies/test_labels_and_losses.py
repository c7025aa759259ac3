"""Label rules, weights and losses against what can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.datasets.films import Film
from xrayinterp.studies.labels import enriching_weights, healthy, positive_weights, shuffled_between_patients
from xrayinterp.studies.losses import SHARE, expected_scores, finding_loss, severity_loss
from xrayinterp.training.self_supervised import vicreg

NIH = Film(
    "a", "nih", Path("a"), "p", "train", "PA", "M", 50.0, 1024, {"Effusion": 0}, True, None, {}, {}, "made"
)  # fmt: skip


def test_healthy_follows_the_data_sets_rule() -> None:
    assert healthy(NIH) is True
    assert healthy(replace(NIH, normal=False)) is False
    assert healthy(replace(NIH, normal=None)) is None
    zero, one = (0.0,) * 6, (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    brixia = replace(NIH, dataset="cohen", normal=None)
    assert healthy(replace(brixia, scores={"S": zero, "J": zero})) is True
    assert healthy(replace(brixia, scores={"S": zero, "J": one})) is False


def test_positives_weigh_as_much_as_negatives() -> None:
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    assert positive_weights(targets).tolist() == [3.0, 1.0, 0.0]
    weights = positive_weights(targets)
    assert weights[0] * targets[:, 0].sum() == (1 - targets[:, 0]).sum()


def test_weighted_loss_at_zero_is_the_weighted_logarithm_of_two() -> None:
    targets = torch.tensor([[1.0], [0], [0], [0]])
    plain = finding_loss("plain", targets)(torch.zeros(4, 1), targets)
    weighted = finding_loss("weighted", targets)(torch.zeros(4, 1), targets)
    assert float(plain) == pytest.approx(np.log(2))
    assert float(weighted) == pytest.approx(np.log(2) * (3 + 3) / 4)


def test_enriching_draws_every_label_and_none_alike() -> None:
    targets = torch.zeros(100, 2)
    targets[:40, 0], targets[40:44, 1] = 1, 1
    weights = enriching_weights(targets)
    shares = [weights[:40].sum(), weights[40:44].sum(), weights[44:].sum()]
    assert torch.allclose(torch.stack(shares), torch.tensor(100.0))


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_shuffling_is_a_permutation_between_patients(patients: int, films: int, seed: int) -> None:
    names = [f"p{i}" for i in range(patients) for _ in range(films)]
    order = shuffled_between_patients(names, seed)
    assert sorted(order) == list(range(len(names)))
    if patients >= 10:
        assert not any(names[i] == names[j] for i, j in enumerate(order))


def test_views_that_agree_spread_and_do_not_overlap_cost_nothing() -> None:
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 2
    assert float(vicreg(corners, corners)) == pytest.approx(0.0, abs=1e-6)


def test_collapsed_views_cost_the_whole_spread() -> None:
    still = torch.full((8, 3), 0.7)
    assert float(vicreg(still, still)) == pytest.approx(25 * (1 - 1e-2), rel=1e-5)


def test_views_apart_cost_their_distance_and_twins_their_covariance() -> None:
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 2
    assert float(vicreg(corners, corners + 1)) == pytest.approx(25.0, abs=1e-5)
    twins = corners[:, :1].expand(-1, 2)
    covariance = float(twins[:, 0].var())
    assert float(vicreg(twins, twins)) == pytest.approx(2 * covariance**2 / 2, rel=1e-5)


ZONES = torch.tensor([[[0.0, 1, 2, 3, 0, 0]] * 2, [[3.0, 3, 3, 3, 3, 3]] * 2, [[0.0] * 6, [1.0] * 6]])


def test_severity_is_read_back_on_its_own_scale() -> None:
    for loss in ("plain", "mean-as-deviation"):
        task = severity_loss(loss, ZONES)  # type: ignore[arg-type]
        assert torch.allclose(task.read(task.targets), torch.tensor([6.0, 18.0, 3.0]))
    assert severity_loss("plain", ZONES).targets.std() == pytest.approx(1.0)
    assert severity_loss("mean-as-deviation", ZONES).targets.std() != pytest.approx(1.0)


def test_zone_loss_has_a_gradient_in_its_error_and_the_originals_has_none() -> None:
    def gradient(loss: str, entropy_alone: bool = False) -> torch.Tensor:
        task = severity_loss(loss, ZONES)  # type: ignore[arg-type]
        out = torch.linspace(-1, 1, 3 * 24).view(3, 24).requires_grad_()
        value = task.criterion(out, task.targets)
        if entropy_alone:
            value = SHARE * F.cross_entropy(out.view(-1, 4), task.targets.view(-1, 4))
        (found,) = torch.autograd.grad(value, out)
        return found

    assert torch.allclose(gradient("zones-argmax"), gradient("zones", entropy_alone=True), atol=1e-7)
    assert not torch.allclose(gradient("zones"), gradient("zones", entropy_alone=True), atol=1e-4)


def test_certain_zones_are_read_as_their_scores() -> None:
    task = severity_loss("zones", ZONES[:2])
    sure = (task.targets * 60 - 30).view(2, 24)
    assert torch.allclose(task.read(sure), torch.tensor([6.0, 18.0]), atol=1e-4)
    assert torch.allclose(expected_scores(sure)[1], torch.full((6,), 3.0), atol=1e-4)
    assert float(task.criterion(sure, task.targets)) == pytest.approx(0.0, abs=1e-4)
