"""Two measures of what a layer's units give a logit: against closed forms, brute force and the exact split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.closed_form import Biasless, film_batch, frozen, random_densenet
from helpers.tiny_model import FINDINGS, atlas, row, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.attribution import Forward
from xrayinterp.dissection.ablation import Baseline
from xrayinterp.dissection.atlas import Atlas, Reference
from xrayinterp.dissection.naming import name_units
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.explanation import at_layer, trace
from xrayinterp.imaging.reader import read
from xrayinterp.models.chest_model import ChestModel, Layer
from xrayinterp.models.zoo import load_model
from xrayinterp.operators.replacing import MapReplacement, UnitReplacement
from xrayinterp.operators.taps import feature_maps
from xrayinterp.semantics import split
from xrayinterp.semantics_earlier import (
    SPREAD,
    STRONGEST,
    LayerAttribution,
    LayerMeasures,
    Measured,
    attribute_layer,
    named_layers,
)

BLOCK = "denseblock2"
KNOWN = atlas(row(0, "Effusion"), row(1, "Effusion", threshold=0.0), row(2, "Mass", threshold=1e9))


def at_block(layer: str = BLOCK, means: float | None = 0.2) -> Atlas:
    """An atlas of `layer` in which two units are Effusion-like and one is Mass-like."""
    rows = [
        row(unit, concept, layer=layer, threshold=level)
        for unit, concept, level in ((0, "Effusion", 0.5), (1, "Effusion", 0.0), (2, "Mass", 1e9))
    ]
    units = tiny_model().layers[layer].units
    references = {} if means is None else {layer: Reference(np.full(units, means), 50, "50 normal films")}
    return Atlas("tiny", "ab" * 32, "chestx-det", "khakzar2021", tuple(rows), references)


def measured(
    model: ChestModel, x: Tensor, layer: str, atlases: tuple[Atlas, ...], finding: str = "Effusion"
) -> LayerAttribution:
    return attribute_layer(Forward(model, x), model, finding, layer, name_units(model, atlases, layer))


def doubled(seed: int) -> tuple[ChestModel, Tensor]:
    """A random net in float64 and a film."""
    return tiny_model(module=frozen(random_densenet(seed))), film_batch(seed, samples=1)


def everything(measures: LayerMeasures) -> list[Measured]:
    return [*measures.concepts, measures.unlabelled, measures.total, *measures.units]


@given(st.integers(0, 2**16), st.sampled_from(FINDINGS))
@settings(max_examples=8, deadline=None)
def test_at_the_last_map_both_measures_are_the_exact_split(seed: int, finding: str) -> None:
    model, x = doubled(seed)
    run = Forward(model, x).cut()
    exact = split(model, run.maps.detach(), run.logits.detach(), finding, [KNOWN])
    found = measured(model, x, "norm5", (KNOWN,), finding)
    zero, normal = (found.against(baseline) for baseline in (Baseline.ZERO, Baseline.NORMAL_MEAN))
    close = {"rel": 1e-6, "abs": 1e-9}
    for share in exact.concepts:
        for measures, value in ((zero, share.contribution), (normal, share.contrast)):
            concept = next(c for c in measures.concepts if c.concept == share.concept)
            assert concept.gradient == pytest.approx(value, **close)
            assert concept.ablation == pytest.approx(value, **close)
            assert concept.above == pytest.approx(share.above, **close)
    assert exact.reference_logit is not None
    assert zero.total.ablation == pytest.approx(exact.logit - exact.bias, **close)
    assert normal.total.ablation == pytest.approx(exact.logit - exact.reference_logit, **close)
    assert all(part.difference == pytest.approx(0, abs=1e-9) for one in (zero, normal) for part in everything(one))
    assert zero.unexplained == pytest.approx(0, abs=1e-9)
    assert zero.rank_correlation == pytest.approx(1)


@given(st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_without_biases_gradient_x_activation_sums_to_the_logit(seed: int) -> None:
    net = frozen(Biasless(seed))
    model = tiny_model(module=net, layers={"early": Layer("body.1", 32, 6)})
    found = measured(model, film_batch(seed, samples=1), "early", ()).measures[0]
    assert found.total.gradient == pytest.approx(found.total.ablation, rel=1e-9, abs=1e-12)
    parts = sum(part.gradient for part in (*found.concepts, found.unlabelled))
    assert parts == pytest.approx(found.total.gradient, rel=1e-12, abs=1e-12)


class Linear(nn.Module):
    """One ReLU, then nothing but linear steps and a bias."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.relu, self.second = nn.Conv2d(1, 40, 3, 2, 1), nn.ReLU(), nn.Conv2d(40, 5, 3, 2, 1)
        self.head = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.relu(self.first(x))).mean((2, 3)))
        return logits


def test_where_all_above_is_linear_the_measures_agree_unit_by_unit() -> None:
    model = tiny_model(module=frozen(Linear()), layers={"early": Layer("relu", 32, 40)})
    rows = [row(unit, "Mass", layer="early") for unit in (3, 8)]
    known = Atlas("tiny", None, "p", "bau2017", tuple(rows), {"early": Reference(np.full(40, 0.3), 9, "nine films")})
    for measures in measured(model, film_batch(0, samples=1), "early", (known,)).measures:
        for part in everything(measures):
            assert part.ablation == pytest.approx(part.gradient, rel=1e-9, abs=1e-12)
        assert (measures.opposed, len(measures.units)) == ((), STRONGEST + SPREAD)


def test_removal_is_what_a_modified_forward_gives() -> None:
    model, x = doubled(3)
    names = name_units(model, [at_block()], BLOCK)
    path = model.layers[BLOCK].path
    brute = UnitReplacement(model.module, path)
    whole = float(model.module(x)[0, 0])
    for measures in measured(model, x, BLOCK, (at_block(),)).measures:
        value = {Baseline.ZERO: 0.0, Baseline.NORMAL_MEAN: 0.2}[measures.baseline]

        def without(units: tuple[int, ...], held: float = value) -> float:
            return whole - float(brute(x, dict.fromkeys(units, held))[0, 0])

        for concept in (*measures.concepts, measures.unlabelled):
            assert concept.ablation == pytest.approx(without(concept.units), rel=1e-9, abs=1e-12)
        for unit in measures.units:
            assert unit.ablation == pytest.approx(without((unit.unit,)), rel=1e-9, abs=1e-12)
        assert measures.total.ablation == pytest.approx(without(tuple(range(len(names.threshold)))), rel=1e-9)


def test_gradient_x_activation_by_hand_and_cut_at_the_thresholds() -> None:
    model, x = doubled(5)
    path = model.layers[BLOCK].path
    logits, maps = feature_maps(model.module, x, [path], grad=True)
    (slope,) = torch.autograd.grad(logits[0, 0], [maps[path]])
    A, g = maps[path][0].detach(), slope[0]
    zero, normal = measured(model, x, BLOCK, (at_block(),)).measures
    effusion, mass = (next(c for c in zero.concepts if c.concept == name) for name in ("Effusion", "Mass"))
    assert effusion.gradient == pytest.approx(float((A[:2] * g[:2]).sum()))
    levels = torch.tensor([0.5, 0.0])[:, None, None]
    assert effusion.above == pytest.approx(float((A[:2] * g[:2])[A[:2] > levels].sum()))
    assert mass.above == 0
    shifted = next(c for c in normal.concepts if c.concept == "Effusion")
    assert shifted.gradient == pytest.approx(float(((A[:2] - 0.2) * g[:2]).sum()))
    assert shifted.above == effusion.above


def test_regions_are_finer_and_keep_the_sum_where_units_fire_everywhere() -> None:
    model, x = doubled(1)
    fires = row(1, "Effusion", layer=BLOCK, threshold=-1.0)
    found = measured(model, x, BLOCK, (atlas(fires, means=None),))
    side = 8 * model.layers[BLOCK].grid
    assert found.regions["Effusion"].shape == (side, side)
    assert found.regions["Effusion"].sum() == pytest.approx(found.measures[0].concepts[0].gradient, rel=1e-4)


def test_signs_and_differences_are_told() -> None:
    assert not Measured(0.2, -0.1).same_sign
    assert Measured(0.2, 0.1).same_sign
    assert Measured(0.2, -0.1).difference == pytest.approx(-0.3)


def test_without_a_reference_there_is_zero_alone_and_without_names_advice() -> None:
    model, x = doubled(0)
    found = measured(model, x, BLOCK, (at_block(means=None),))
    assert [one.baseline for one in found.measures] == [Baseline.ZERO]
    assert found.against(Baseline.NORMAL_MEAN).described is None
    bare = measured(model, x, "denseblock1", (at_block(),))
    assert bare.measures[0].concepts == ()
    assert bare.measures[0].unlabelled.gradient == bare.measures[0].total.gradient
    assert bare.advice is not None
    assert "--layer denseblock1" in bare.advice


def test_layers_with_names_are_the_last_first() -> None:
    model = tiny_model()
    assert named_layers(model, [KNOWN, at_block()]) == ("norm5", BLOCK)
    assert named_layers(model, []) == ()


def test_the_model_is_left_as_it_was_and_hostile_input_is_refused() -> None:
    model, x = doubled(0)
    before = model.module(x)
    network = MapReplacement(model.module, model.layers[BLOCK].path, x)
    with pytest.raises(XrayInterpError, match="not maps of") as caught:
        network(torch.zeros(2, 3, 4, 4).double())
    assert caught.value.code is Code.UNKNOWN_LAYER
    with pytest.raises(XrayInterpError, match="no layer at 'nowhere'"):
        MapReplacement(model.module, "nowhere", x)
    with pytest.raises(XrayInterpError, match="has no layer 'nowhere'"):
        measured(model, x, "nowhere", ())
    assert torch.equal(model.module(x), before)
    assert not any(part._forward_hooks for part in model.module.modules())


class Around(nn.Module):
    """Flattens with the batch it came with: several maps of one film do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.head = nn.ReLU(), nn.Linear(64 * 64, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.relu(x).reshape(len(x), 64 * 64))
        return logits


def test_a_network_that_cannot_be_run_on_says_so() -> None:
    network = MapReplacement(frozen(Around()), "relu", film_batch(0, samples=1))
    with pytest.raises(XrayInterpError, match="cannot be run on") as caught:
        network(torch.zeros(3, 1, 64, 64).double())
    assert caught.value.code is Code.UNSUPPORTED_OPERATOR


def test_a_net_that_ignores_the_layer_has_no_rank_correlation() -> None:
    model, x = doubled(0)
    model.module.classifier.weight.zero_()
    (measures, _) = measured(model, x, BLOCK, (at_block(),)).measures
    assert (measures.rank_correlation, measures.unexplained) == (None, None)
    assert {part.ablation for part in everything(measures)} == {0.0}


@pytest.mark.data
def test_a_real_film_at_block_three_and_exact_at_the_last(data_root: Path) -> None:
    model = load_model("compact")
    run = trace(read(sorted((data_root / "nih").glob("*.jpg"))[0], view="PA"), model)
    exact = split(model, run.maps, run.logits, "Effusion", run.atlases)
    last, early = (at_layer(run, "Effusion", layer) for layer in ("norm5", "denseblock3"))
    for share in exact.concepts:
        concept = next(c for c in last.measures[0].concepts if c.concept == share.concept)
        assert (concept.gradient, concept.ablation) == pytest.approx((share.contribution,) * 2, abs=1e-5)
    assert early.measures[0].concepts
    assert early.measures[0].unexplained is not None
    assert early.measures[0].unexplained > 0.01  # a network with biases
    assert early.measures[0].rank_correlation is not None
    assert early.measures[0].rank_correlation > 0.5
