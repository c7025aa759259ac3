"""Taking units out: exact against real forwards, fair against random units, labels never from the films measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.dissection import BlobNet, blob_model, disc_probes
from helpers.head import cohort_of, planted, read_of
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.datasets.films import load_films
from xrayinterp.dissection.ablation import Baseline, ForwardAblation, PooledAblation, held_values
from xrayinterp.dissection.causal import ConceptUnits, causal_effects, unit_effects
from xrayinterp.dissection.matched import matched_units
from xrayinterp.dissection.pooled import pool_units
from xrayinterp.dissection.unit_facts import CausalEffect
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.zoo import load_model
from xrayinterp.operators.replacing import UnitReplacement
from xrayinterp.training.measure import auroc

QUICK = {"draws": 60, "resamples": 100}


def concept(name: str, first: tuple[int, ...], second: tuple[int, ...] | None = None) -> ConceptUnits:
    return ConceptUnits("probe", name, (first, first if second is None else second))


def ablation_of(values: np.ndarray, weights: np.ndarray, held: np.ndarray | None = None) -> PooledAblation:
    return PooledAblation(read_of(values, weights), np.zeros(values.shape[1]) if held is None else held)


# ------------------------------------------------------------------------------------------------- known truth


def test_contained_and_unused_has_no_effect_used_has_its_contribution() -> None:
    values, shows = planted()
    weights = np.full((1, 40), 0.01)
    weights[0, 0], weights[0, 1] = 0.0, 3.0
    held = values[~shows[:, 0]].mean(0)
    cohort = cohort_of(shows)
    idle, used = causal_effects(
        ablation_of(values, weights, held), cohort, [concept("idle", (0,)), concept("used", (1,))], ("f0",), **QUICK
    )
    for effect in (idle.logit, idle.auroc):
        assert (effect.change.value, effect.change.low, effect.change.high, effect.p) == (0, 0, 0, 1)
    halves = [shows[:, 0] & (cohort.half == half) for half in (0, 1)]
    expected = -np.mean([3 * (values[half, 1] - held[1]).mean() for half in halves])
    assert used.logit.change.value == pytest.approx(expected, rel=1e-12)
    assert used.auroc.change.value < -0.1 and used.auroc.change.high < 0
    assert used.logit.p == used.auroc.p == 1 / 61  # no draw of weak units moves the logit as far
    assert used.matched < 0.2  # and it is said that none of them contributes as much


def test_auroc_and_logits_are_those_without_the_units() -> None:
    values, shows = planted(seed=5)
    weights = np.random.default_rng(1).normal(size=(1, 40))
    ablation, cohort = ablation_of(values, weights), cohort_of(shows)
    (found,) = causal_effects(ablation, cohort, [concept("c", (0, 1, 7))], ("f0",), **QUICK)
    rest = np.delete(values, [0, 1, 7], axis=1) @ np.delete(weights[0], [0, 1, 7])
    whole = values @ weights[0]
    areas, logits = [], []
    for half in (0, 1):
        films = cohort.half == half
        y = shows[films, 0].astype(float)
        areas.append(auroc(y, rest[films])[0] - auroc(y, whole[films])[0])
        logits.append((rest - whole)[films & shows[:, 0]].mean())
    assert found.auroc.change.value == pytest.approx(np.mean(areas), abs=1e-12)
    assert found.logit.change.value == pytest.approx(np.mean(logits), abs=1e-12)


def test_units_that_pull_together_beat_equal_ones_that_do_not() -> None:
    rng = np.random.default_rng(2)
    shows = rng.random((300, 1)) < 0.5
    values = rng.random((300, 60))
    values[:, :4] += 0.5 * shows  # the concept's units rise together; all units contribute about as much
    weights = np.where(rng.random((1, 60)) < 0.5, 1.0, -1.0)
    weights[0, :4] = 1
    (found,) = causal_effects(
        ablation_of(values, weights, values[~shows[:, 0]].mean(0)), cohort_of(shows), [concept("c", (0, 1, 2, 3))],
        ("f0",), draws=200, resamples=100,
    )  # fmt: skip
    assert found.logit.p < 0.02 and found.auroc.p < 0.02
    assert found.logit.random_low <= found.logit.random <= found.logit.random_high
    assert found.logit.change.value < found.logit.random_low


def test_random_units_are_not_told_from_random_units() -> None:
    rng = np.random.default_rng(3)
    shows, values = rng.random((300, 1)) < 0.5, rng.random((300, 60))
    weights = rng.normal(size=(1, 60))
    sets = [tuple(int(u) for u in rng.choice(60, 4, replace=False)) for _ in range(20)]
    found = causal_effects(
        ablation_of(values, weights, values.mean(0)), cohort_of(shows), [concept(str(s), s) for s in sets],
        ("f0",), draws=100, resamples=10,
    )  # fmt: skip
    p = np.array([effect.auroc.p for effect in found])
    assert p.min() > 0.005 and 0.2 < p.mean() < 0.8


@given(st.integers(0, 10**6))
def test_what_units_are_held_at_shifts_logits_and_moves_no_auroc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.random((40, 12)), rng.normal(size=(1, 12))
    shows = (np.arange(40) % 4 < 2)[:, None]
    concepts = [concept("c", (0, 5)), concept("d", (3,))]
    zero, mean = (
        causal_effects(ablation_of(values, weights, held), cohort_of(shows), concepts, ("f0",), draws=0, resamples=5)
        for held in (np.zeros(12), values.mean(0))
    )
    for a, b, units in zip(zero, mean, ((0, 5), (3,)), strict=True):
        assert a.auroc.change.value == pytest.approx(b.auroc.change.value, abs=1e-12)
        shift = sum(weights[0, u] * values[:, u].mean() for u in units)
        assert b.logit.change.value - a.logit.change.value == pytest.approx(shift, abs=1e-12)
        assert a.auroc.p is None and a.matched is None


# --------------------------------------------------------------------------------------------------- real forwards


@pytest.mark.parametrize("baseline", list(Baseline))
def test_arithmetic_equals_forwards_with_the_unit_held(baseline: Baseline) -> None:
    model, films = blob_model(), disc_probes(12).films
    read = pool_units(model, films, "maps", progress=False)
    held = held_values(baseline, read.values[6:].mean(0))
    x = torch.cat([model.prepare_pixels(film.pixels()) for film in films])
    pooled, forward = PooledAblation(read, held), ForwardAblation(model.module, model.layer("maps"), x, held, batch=5)
    sets, everyone = np.array([[0, 2], [5, 1]]), np.arange(12)
    for f in (0, 1):
        assert np.allclose(pooled.changes(sets, f, everyone), forward.changes(sets, f, everyone), atol=1e-6)
        assert np.allclose(pooled.strength(f, everyone), forward.strength(f, everyone), atol=1e-6)
    assert np.allclose(pooled.logits, forward.logits, atol=1e-6) and pooled.units == forward.units == 8


@pytest.mark.data
def test_arithmetic_equals_forwards_of_a_built_in_model(data_root: Path) -> None:
    model = load_model("compact")
    films = load_films("nih", root=data_root, splits=["test"], min_native_width=128)[:6]
    read = pool_units(model, films, progress=False)
    held = held_values(Baseline.NORMAL_MEAN, read.values.mean(0))
    x = torch.cat([model.prepare_pixels(film.pixels()) for film in films])
    forward = ForwardAblation(model.module, model.layer("norm5"), x, held)
    units, everyone = np.array([[54, 192, 274]]), np.arange(6)
    expected = forward.changes(units, 2, everyone)
    assert np.abs(expected).max() > 1e-3
    assert np.allclose(PooledAblation(read, held).changes(units, 2, everyone), expected, atol=1e-5)


def test_an_earlier_layer_is_replaced_and_the_model_left_alone() -> None:
    class TwoStep(BlobNet):
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Conv2d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = self.relu(self.conv(x) + self.place)
            return self.classifier(torch.relu(self.mix(maps)).mean((2, 3)))

    net = TwoStep().eval().requires_grad_(False)
    x = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = net.relu(net.conv(x) + net.place)
    maps[:, 1], maps[:, 4] = 0.3, 0.0
    expected = net.classifier(torch.relu(net.mix(maps)).mean((2, 3)))
    before = net(x)
    held = UnitReplacement(net, "relu")
    assert torch.allclose(held(x, {1: 0.3, 4: 0.0}), expected, atol=1e-6)
    assert torch.equal(held(x, {}), before) and torch.equal(net(x), before)
    assert not any(part._forward_hooks for part in net.modules())
    layer = replace(blob_model(net).layer("maps"), path="relu")
    ablation = ForwardAblation(net, layer, x, np.full(8, 0.3))
    shows = np.array([[True], [False], [True]])
    logit, _ = unit_effects(ablation, cohort_of(shows))
    one = held(x, {1: 0.3})
    assert logit[0, 1] == pytest.approx(float((one - before)[[0, 2], 0].mean()), abs=1e-6)


@pytest.mark.parametrize(
    ("path", "held", "code", "words"),
    [
        ("nowhere", {}, Code.UNKNOWN_LAYER, "nowhere"),
        ("relu", {0: -1.0}, Code.BAD_OPTION, "held at -1"),
        ("relu", {9: 0.0}, Code.BAD_OPTION, r"\[9\]"),
        ("classifier", {0: 0.0}, Code.UNKNOWN_LAYER, "gives no"),
    ],
)
def test_what_cannot_be_held_is_named(path: str, held: dict[int, float], code: Code, words: str) -> None:
    with pytest.raises(XrayInterpError, match=words) as caught:
        UnitReplacement(BlobNet().eval(), path)(torch.zeros(1, 1, 64, 64), held)
    assert caught.value.code is code


def test_signed_layers_are_held_at_their_rectified_value() -> None:
    class Late(BlobNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(torch.relu(self.conv(x)).mean((2, 3)))

    net = Late().eval()
    x = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    pooled = torch.relu(net.conv(x)).mean((2, 3))
    pooled[:, 0] = 0.5
    assert torch.allclose(UnitReplacement(net, "conv")(x, {0: 0.5}), net.classifier(pooled), atol=1e-6)


# ------------------------------------------------------------------------------------------------- matched units


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_stand_ins_are_other_units_of_the_same_sum(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    strength = rng.gamma(1.0, 1.0, 200)
    units = rng.choice(200, n, replace=False)
    sets = matched_units(strength, units, 50, seed)
    assert sets.shape == (50, n)
    assert all(len(set(row)) == n and not set(row) & set(units.tolist()) for row in sets.tolist())
    assert np.array_equal(sets, matched_units(strength, units[::-1], 50, seed))


def test_sums_agree_where_units_of_the_same_contribution_exist() -> None:
    rng = np.random.default_rng(0)
    strength = rng.gamma(1.0, 1.0, 335)
    for n in (3, 10, 30):
        units = rng.choice(335, n, replace=False)
        ratio = strength[matched_units(strength, units, 200, 1)].sum(1) / strength[units].sum()
        assert 0.93 < np.median(ratio) < 1.07


def test_too_few_other_units_give_no_comparison() -> None:
    with pytest.raises(XrayInterpError, match="21 of 40") as caught:
        matched_units(np.ones(40), range(21), 5, 0)
    assert caught.value.code is Code.BAD_OPTION
    values, shows = planted()
    (found,) = causal_effects(
        ablation_of(values, np.ones((1, 40))), cohort_of(shows), [concept("c", tuple(range(21)))], ("f0",), **QUICK
    )
    assert found.logit.p is None and found.logit.random is None and found.matched is None
    assert found.logit.change.value == pytest.approx(-np.mean([
        values[shows[:, 0] & (np.arange(200) % 2 == half), :21].sum(1).mean() for half in (0, 1)
    ]))  # fmt: skip


# --------------------------------------------------------------------------------------------------- cross-fitting


def effect_of(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[CausalEffect, np.ndarray, np.ndarray]:
    values, shows = planted(seed=9)
    weights = np.ones((1, 40))
    (found,) = causal_effects(
        ablation_of(values, weights), cohort_of(shows), [concept("c", first, second)], ("f0",), **QUICK
    )
    return found, values, shows[:, 0]


def test_films_of_a_half_lose_the_units_that_the_other_half_chose() -> None:
    found, values, shown = effect_of((0,), (1,))
    half = np.arange(200) % 2
    crossed = -np.mean([values[shown & (half == 0), 1].mean(), values[shown & (half == 1), 0].mean()])
    leaked = -np.mean([values[shown & (half == 0), 0].mean(), values[shown & (half == 1), 1].mean()])
    assert found.logit.change.value == pytest.approx(crossed, rel=1e-12) != pytest.approx(leaked, rel=1e-6)
    assert found.units == (1, 1)


def test_a_half_that_found_nothing_counts_as_no_change() -> None:
    found, values, shown = effect_of((0,), ())
    assert found.units == (1, 0)
    assert found.logit.change.value == pytest.approx(-values[shown & (np.arange(200) % 2 == 1), 0].mean() / 2)
    nowhere, _, _ = effect_of((), ())
    assert nowhere.logit.change.value == nowhere.auroc.change.value == 0 and nowhere.logit.p == 1


def test_findings_without_films_have_no_effect_and_others_can_be_chosen() -> None:
    values, shows = planted()
    shows = np.concatenate([shows, np.zeros_like(shows)], axis=1)
    ablation, cohort = ablation_of(values, np.ones((2, 40))), cohort_of(shows)
    first, second = causal_effects(ablation, cohort, [concept("c", (0,))], ("f0", "f1"), **QUICK)
    assert first.auroc is not None and second.auroc is None and second.logit is None
    assert second.normal is not None
    ticks: list[int] = []
    only = causal_effects(
        ablation, cohort, [concept("c", (0,))], ("f0", "f1"), only=["f1"], tick=lambda: ticks.append(1), **QUICK
    )
    assert [effect.finding for effect in only] == ["f1"] and ticks == [1]


def test_one_seed_one_result() -> None:
    values, shows = planted()
    run = [
        causal_effects(
            ablation_of(values, np.ones((1, 40))), cohort_of(shows), [concept("c", (0, 3))], ("f0",), seed=seed, **QUICK
        )
        for seed in (0, 0, 1)
    ]
    assert run[0] == run[1] != run[2]


def test_a_negative_mean_is_no_baseline() -> None:
    with pytest.raises(XrayInterpError, match="negative") as caught:
        held_values(Baseline.ZERO, np.array([0.1, -0.1]))
    assert caught.value.code is Code.BAD_OPTION
