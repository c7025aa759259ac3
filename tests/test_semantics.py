"""The exact split of a logit: against ablation, against hand counts on a known atlas, and on hostile input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import film_batch, frozen, random_densenet
from helpers.tiny_model import FINDINGS, atlas, row, severity_model, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xrayinterp.attribution import Forward
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.operators.taps import feature_maps
from xrayinterp.semantics import SemanticAttribution, UnitShare, change, concept_regions, split

MODEL = tiny_model()
UNITS = MODEL.layers["norm5"].units
KNOWN = atlas(
    row(0, "Effusion"),
    row(1, "Effusion", threshold=0.0),
    row(2, "Mass", threshold=1e9),
    row(3, "Mass", iou=0.3, label=False),
)


def run(model: ChestModel, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Map at norm5 and logits of one film."""
    cut = Forward(model, film_batch(seed, samples=1).to(next(model.module.parameters()).dtype)).cut()
    return cut.maps.detach(), cut.logits.detach()


def shares(semantic: SemanticAttribution) -> dict[int, UnitShare]:
    """All listed units."""
    return {u.unit: u for u in (*semantic.rest, *(u for concept in semantic.concepts for u in concept.units))}


def test_the_map_that_is_split_is_the_dissected_one() -> None:
    x = film_batch(0, samples=1).float()
    cut = Forward(MODEL, x).cut()
    logits, maps = feature_maps(MODEL.module, x, ["features.norm5"])
    assert torch.equal(cut.maps, maps["features.norm5"])
    assert torch.equal(cut.logits, logits)


@given(st.integers(0, 2**16), st.sampled_from(FINDINGS))
@settings(max_examples=20, deadline=None)
def test_both_identities_hold_in_double_precision(seed: int, finding: str) -> None:
    model = tiny_model(module=frozen(random_densenet(seed)))
    s = split(model, *run(model, seed), finding, [KNOWN])
    parts = sum(c.contribution for c in s.concepts) + s.unlabelled + s.bias
    assert parts == pytest.approx(s.logit, rel=1e-12, abs=1e-12)
    assert s.reference_logit is not None
    contrasts = sum(c.contrast or 0 for c in s.concepts) + (s.unlabelled_contrast or 0)
    assert contrasts == pytest.approx(s.logit - s.reference_logit, rel=1e-12, abs=1e-12)
    assert s.residual < 1e-12
    assert s.contrast_residual is not None
    assert s.contrast_residual < 1e-12


@given(st.integers(0, 2**16))
@settings(max_examples=5, deadline=None)
def test_a_unit_contributes_what_its_removal_takes_away(seed: int) -> None:
    net = random_densenet(seed)
    model = tiny_model(module=net)
    maps, logits = run(model, seed)
    for unit, share in shares(split(model, maps, logits, "Mass", [KNOWN])).items():
        without = maps.clone()
        without[:, unit] = 0
        ablated = net.classifier(without.mean((2, 3)))
        assert share.contribution == pytest.approx(float(logits[0, 1] - ablated[0, 1]), abs=1e-12)


def test_units_are_named_and_cut_at_their_thresholds() -> None:
    maps, logits = run(MODEL)
    s = split(MODEL, maps, logits, "Effusion", [KNOWN])
    assert {c.concept: sorted(u.unit for u in c.units) for c in s.concepts} == {"Effusion": [0, 1], "Mass": [2]}
    A = maps[0].double()
    w = MODEL.module.classifier.weight[0].double()
    by_unit = shares(s)
    assert by_unit[0].above == pytest.approx(float(w[0] * torch.where(A[0] > 0.5, A[0], 0.0).mean()))
    assert by_unit[1].above == pytest.approx(by_unit[1].contribution)
    assert by_unit[2].above == 0
    assert by_unit[0].contrast == pytest.approx(by_unit[0].contribution - 0.2 * float(w[0]))
    assert (by_unit[0].iou, by_unit[0].ceiling, by_unit[0].precision, by_unit[0].probe) == (0.1, 0.5, 0.3, "chestx-det")
    effusion = next(c for c in s.concepts if c.concept == "Effusion")
    assert effusion.contribution == pytest.approx(by_unit[0].contribution + by_unit[1].contribution)
    assert (s.probes, s.advice, s.reference_described) == (("chestx-det",), None, "50 normal films")


def test_the_peak_is_where_the_unit_is_highest() -> None:
    maps, logits = run(MODEL)
    maps, extra = maps.clone(), 0.01
    maps[0, 0], maps[0, 0, 1, 0] = 0.0, extra
    head = MODEL.module.classifier
    logits = head(maps.mean((2, 3)))
    share = shares(split(MODEL, maps, logits, "Effusion", [KNOWN]))[0]
    assert share.peak == (0.75, 0.25)


def test_order_is_by_contrast_and_without_a_reference_by_contribution() -> None:
    maps, logits = run(MODEL)
    with_reference = split(MODEL, maps, logits, "Effusion", [KNOWN])
    assert _descending([abs(u.contrast or 0) for u in with_reference.rest])
    assert _descending([abs(c.contrast or 0) for c in with_reference.concepts])
    without = split(MODEL, maps, logits, "Effusion", [replace(KNOWN, references={})])
    assert _descending([abs(u.contribution) for u in without.rest])
    assert (without.reference_logit, without.contrast_residual, without.unlabelled_contrast) == (None, None, None)
    assert all(u.contrast is None for u in shares(without).values())


def _descending(values: list[float]) -> bool:
    return len(values) > 1 and values == sorted(values, reverse=True)


def test_of_several_atlases_the_best_share_of_the_ceiling_names_the_unit() -> None:
    first = atlas(row(0, "Effusion", iou=0.2, ceiling=0.9), row(1, "Mass"), films=10)
    second = atlas(row(0, "Left lung", iou=0.04, ceiling=0.05, threshold=0.1), probe="lungs", films=90)
    maps, logits = run(MODEL)
    s = split(MODEL, maps, logits, "Effusion", [first, second])
    by_unit = shares(s)
    assert (by_unit[0].concept, by_unit[0].probe) == ("Left lung", "lungs")
    assert by_unit[0].above == pytest.approx(
        float(
            MODEL.module.classifier.weight[0, 0].double() * torch.where(maps[0, 0] > 0.1, maps[0, 0], 0).double().mean()
        )
    )
    assert by_unit[1].concept == "Mass"
    assert (s.probes, s.reference_described) == (("chestx-det", "lungs"), "90 normal films")


def test_a_joint_label_takes_the_better_concept_and_names_the_other() -> None:
    both = atlas(
        row(0, "Effusion", iou=0.1, ceiling=0.9), row(0, "Edema", iou=0.09, ceiling=0.3), row(0, "Mass", label=False)
    )
    share = shares(split(MODEL, *run(MODEL), "Effusion", [both]))[0]
    assert (share.concept, share.joint) == ("Edema", ("Effusion",))


def test_a_model_without_an_atlas_is_all_unlabelled_and_told_how_to_make_one() -> None:
    s = split(MODEL, *run(MODEL), "Mass", [])
    assert s.concepts == ()
    assert s.unlabelled + s.bias == pytest.approx(s.logit, rel=1e-6)
    assert s.advice is not None
    assert "xrayinterp dissect --model tiny --probes chestx-det --layer norm5 --out FILE.parquet" in s.advice
    assert concept_regions(MODEL, run(MODEL)[0], "Mass", []) == {}


def test_a_regression_output_is_split_like_a_logit() -> None:
    model = severity_model()
    maps, logits = run(model)
    s = split(model, maps, logits, "global", [replace(KNOWN, model_sha256=None)])
    zones = [split(model, maps, logits, zone, [replace(KNOWN, model_sha256=None)]) for zone in "ABCDEF"]
    assert s.logit == pytest.approx(float(logits[0, :6].sum()), rel=1e-5)
    assert s.concepts[0].contribution == pytest.approx(
        sum(c.contribution for z in zones for c in z.concepts if c.concept == s.concepts[0].concept), rel=1e-6
    )


def test_regions_hold_what_units_contribute_where_they_fire() -> None:
    maps, _ = run(MODEL)
    regions = concept_regions(MODEL, maps, "Effusion", [KNOWN])
    assert set(regions) == {"Effusion", "Mass"}
    assert regions["Effusion"].shape == (8 * maps.shape[2], 8 * maps.shape[3])
    assert regions["Effusion"].dtype == np.float32
    assert not regions["Mass"].any()
    fine = F.interpolate(maps[:, :2], (16, 16), mode="bilinear", align_corners=False)[0]
    w = MODEL.module.classifier.weight[0]
    expected = (w[0] * torch.where(fine[0] > 0.5, fine[0], 0) + w[1] * fine[1]) / 256
    np.testing.assert_allclose(regions["Effusion"], expected.numpy(), rtol=1e-5, atol=1e-9)


def test_a_region_of_a_unit_that_fires_everywhere_sums_to_its_contribution() -> None:
    maps, logits = run(MODEL)
    everywhere = atlas(row(1, "Effusion", threshold=-1.0))
    total = concept_regions(MODEL, maps, "Effusion", [everywhere])["Effusion"].sum()
    assert total == pytest.approx(
        shares(split(MODEL, maps, logits, "Effusion", [everywhere]))[1].contribution, rel=1e-4
    )


def test_maps_and_logits_that_do_not_belong_together_are_refused() -> None:
    maps, logits = run(MODEL)
    for wrong in (logits + 0.01, logits * float("nan")):
        with pytest.raises(XrayInterpError, match="miss it by") as caught:
            split(MODEL, maps, wrong, "Effusion", [KNOWN])
        assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize(
    "wrong",
    [
        replace(KNOWN, model_sha256="cd" * 32),
        atlas(row(UNITS, "Effusion")),
        replace(KNOWN, references={"norm5": replace(KNOWN.references["norm5"], means=np.zeros(UNITS + 1))}),
    ],
)
def test_an_atlas_of_another_model_is_refused(wrong: object) -> None:
    with pytest.raises(XrayInterpError, match="does not fit 'tiny'") as caught:
        split(MODEL, *run(MODEL), "Effusion", [wrong])  # type: ignore[list-item]
    assert caught.value.code is Code.ATLAS_MISMATCH


def test_what_cannot_be_split_is_refused() -> None:
    maps, logits = run(MODEL)
    with pytest.raises(XrayInterpError, match="Nodule") as caught:
        split(MODEL, maps, logits, "Fibrosis", [])
    assert caught.value.code is Code.UNKNOWN_FINDING
    for model, wrong in ((MODEL, maps[:, :-1]), (tiny_model(module=torch.nn.Flatten()), maps)):
        with pytest.raises(XrayInterpError, match="no exact split") as caught:
            split(model, wrong, logits, "Mass", [])
        assert caught.value.code is Code.UNKNOWN_LAYER
    with pytest.raises(XrayInterpError, match="no layer 'norm5'"):
        split(tiny_model(layers={}), maps, logits, "Mass", [])


def test_rows_of_other_layers_are_passed_over() -> None:
    other = atlas(row(10**6, "Mass", layer="denseblock3"), means=None)
    s = split(MODEL, *run(MODEL), "Mass", [other])
    assert s.concepts == ()
    assert s.advice is not None


@given(st.integers(0, 2**16), st.sampled_from(FINDINGS))
@settings(max_examples=15, deadline=None)
def test_a_change_between_two_films_is_the_sum_of_its_concepts(seed: int, finding: str) -> None:
    model = tiny_model(module=frozen(random_densenet(seed)))
    before, after = (split(model, *run(model, film), finding, [KNOWN]) for film in (seed, seed + 1))
    found = change(before, after)
    parts = sum(part.change for part in found.concepts) + found.unlabelled
    assert parts == pytest.approx(after.logit - before.logit, rel=1e-12, abs=1e-12)
    assert found.total == after.logit - before.logit
    for part in found.concepts:
        assert sum(value for _, value in part.units) == pytest.approx(part.change, rel=1e-12, abs=1e-12)
        sizes = [abs(value) for _, value in part.units]
        assert sizes == sorted(sizes, reverse=True)


def test_a_film_does_not_change_against_itself_and_back_is_minus_there() -> None:
    first, second = (split(MODEL, *run(MODEL, seed), "Effusion", [KNOWN]) for seed in (1, 2))
    assert change(first, first).total == 0
    there, back = change(first, second), change(second, first)
    assert {p.concept: p.change for p in there.concepts} == {p.concept: -p.change for p in back.concepts}


def test_splits_of_different_findings_or_atlases_have_no_change() -> None:
    maps, logits = run(MODEL)
    effusion = split(MODEL, maps, logits, "Effusion", [KNOWN])
    for other in (split(MODEL, maps, logits, "Mass", [KNOWN]), split(MODEL, maps, logits, "Effusion", [])):
        with pytest.raises(XrayInterpError) as caught:
            change(effusion, other)
        assert caught.value.code is Code.BAD_OPTION


def test_a_split_that_was_tampered_with_is_noticed_in_the_change() -> None:
    first, second = (split(MODEL, *run(MODEL, seed), "Effusion", [KNOWN]) for seed in (1, 2))
    with pytest.raises(XrayInterpError) as caught:
        change(first, replace(second, logit=second.logit + 1))
    assert caught.value.code is Code.INTERNAL
