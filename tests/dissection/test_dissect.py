"""The whole dissection: planted truth is found, chance is not, and the same seed gives the same atlas."""

from __future__ import annotations

import copy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.dissection import BlobNet, blob_model, brute_counts, disc_probes
from torch import nn

import xrayinterp
from xrayinterp.concepts.probes import ProbeSet, load_probe_set
from xrayinterp.dissection import shard
from xrayinterp.dissection.atlas import Atlas, AtlasRow
from xrayinterp.dissection.baselines import randomised
from xrayinterp.dissection.io import load_atlas, save_atlas
from xrayinterp.dissection.network import dissect
from xrayinterp.dissection.shard import Again
from xrayinterp.dissection.statistics import iou
from xrayinterp.dissection.summary import detectors, summary
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.models.chest_model import Layer
from xrayinterp.operators.taps import feature_maps

CONCEPTS = ("disc", "hole", "box")
QUICK = {"layers": ("maps",), "permutations": 40, "bootstraps": 100, "progress": False, "reference": ()}


@pytest.fixture
def atlas() -> Atlas:
    return dissect(blob_model(), disc_probes(), **QUICK)


def row(atlas: Atlas, unit: int, concept: str) -> AtlasRow:
    (found,) = (r for r in atlas.rows if r.unit == unit and r.concept == concept)
    return found


def blob_maps(probes: ProbeSet) -> torch.Tensor:
    x = torch.stack([torch.from_numpy(film.pixels())[None] * 2 - 1 for film in probes.films])
    return feature_maps(BlobNet().eval(), x, ["relu"])[1]["relu"]


def test_planted_units_are_labelled_and_only_they(atlas: Atlas) -> None:
    assert {(r.unit, r.concept) for r in atlas.rows if r.label} == {(0, "disc"), (1, "hole")}
    planted = row(atlas, 0, "disc")
    assert planted.null_p == 1 / 41 and planted.iou > planted.null_high
    assert planted.ci_low < planted.iou < planted.ci_high and planted.iou <= planted.ceiling
    assert planted.precision > 0.8 and planted.iou_crossfit is not None and planted.iou_crossfit > 0.04
    assert detectors(atlas, "maps") == 2


def test_mere_position_is_not_a_label_whatever_its_iou(atlas: Atlas) -> None:
    centred = row(atlas, 2, "box")
    assert centred.iou > 0.04 and centred.null_p > 0.05 and not centred.label


def test_anatomy_far_better_than_other_films_masks_is_a_label() -> None:
    probes = disc_probes()
    judged = dissect(blob_model(), replace(probes, anatomy=("disc", "box")), **QUICK)
    assert {(r.unit, r.concept) for r in judged.rows if r.label} == {(0, "disc"), (1, "hole")}
    assert row(judged, 0, "disc").iou == row(dissect(blob_model(), probes, **QUICK), 0, "disc").iou


def test_silent_unit_is_never_labelled_and_never_nan(atlas: Atlas) -> None:
    silent = [r for r in atlas.rows if r.unit == 3]
    assert all((r.iou, r.area, r.threshold, r.precision, r.ceiling) == (0, 0, 0, 0, 0) for r in silent)
    assert not any(r.label for r in silent) and all(r.null_p == 1 and r.exemplars == () for r in silent)
    assert atlas.provenance["layers"]["maps"]["silent"] == 1
    assert not any(
        np.isnan([r.iou, r.precision, r.ceiling, r.ci_low, r.ci_high, r.null_high]).any() for r in atlas.rows
    )


def test_figures_equal_brute_force(atlas: Atlas) -> None:
    probes = disc_probes()
    films = probes.films
    maps = blob_maps(probes).numpy()
    levels = np.array([row(atlas, u, "disc").threshold for u in range(8)])
    masks = np.stack([f.masks(CONCEPTS) for f in films])
    inter, area = (part.sum(0) for part in brute_counts(maps, levels, masks))
    expected = iou(inter, area, masks.sum((0, 2, 3)))
    found = np.array([[row(atlas, u, c).iou for c in CONCEPTS] for u in range(8)])
    assert np.allclose(found, expected, atol=1e-6, rtol=0)
    assert row(atlas, 0, "disc").films == sum(f.mask("disc").any() for f in films)
    assert row(atlas, 0, "disc").patients == len({f.patient for f in films if f.mask("disc").any()})
    assert row(atlas, 0, "disc").coverage == masks[:, 0].mean()


def test_same_seed_same_atlas_another_seed_another_null(atlas: Atlas) -> None:
    again = dissect(blob_model(), disc_probes(), **QUICK)
    assert again == atlas
    other = dissect(blob_model(), disc_probes(), seed=1, **QUICK)
    assert [r.iou for r in other.rows] == [r.iou for r in atlas.rows]
    assert [r.null_high for r in other.rows] != [r.null_high for r in atlas.rows]


def test_a_level_guessed_too_high_costs_a_second_forward_and_changes_nothing(
    atlas: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "PILOT", 1)
    monkeypatch.setattr(shard, "KEPT", Fraction(1, 1000))
    rounds: list[Again] = []
    read = shard.Shard.read
    monkeypatch.setattr(
        shard.Shard, "read", lambda self, tick, again=None: (rounds.append(again), read(self, tick, again))
    )
    assert dissect(blob_model(), disc_probes(), **QUICK) == atlas
    assert [again and again.generation for again in rounds] == [None, 1]


def test_exemplars_are_the_films_of_highest_mean(atlas: Atlas) -> None:
    films = disc_probes().films
    means = blob_maps(disc_probes()).mean((2, 3))[:, 0]
    order = torch.argsort(means, descending=True)[:5]
    assert set(row(atlas, 0, "disc").exemplars) == {films[i].id for i in order}


def test_out_of_fold_reads_each_film_through_its_fold() -> None:
    probes = disc_probes(24)
    folds = [BlobNet().eval(), BlobNet().eval()]
    folds[1].conv.weight.data *= 0
    folds[1].conv.bias.data[:] = -1
    blind = {film.id for film in probes.films[::2]}
    found = dissect(
        blob_model(), probes, model_for=lambda film: folds[film.id in blind], **QUICK | {"layers": ("maps",)}
    )
    assert not blind & set(row(found, 0, "disc").exemplars)
    assert found.provenance["out_of_fold"] is True


def test_splits_are_kept_to() -> None:
    probes = disc_probes(40)
    films = tuple(replace(f, split="train" if i < 20 else "test") for i, f in enumerate(probes.films))
    mixed = replace(probes, films=films)
    assert dissect(blob_model(), mixed, splits=["test"], **QUICK).provenance["films"] == 20
    with pytest.raises(XrayInterpError, match="Splits there are: test, train") as caught:
        dissect(blob_model(), mixed, splits=["probe"], **QUICK)
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize(
    ("seen", "told"),
    [({}, "unknown"), ({"blobs": ("train",)}, "no"), ({"blobs": ("val",)}, "yes"), ({"*": ()}, "no")],
)
def test_whether_the_model_saw_the_films_is_recorded(seen: dict[str, tuple[str, ...]], told: str) -> None:
    probes = replace(disc_probes(8), seen=seen)
    assert {r.probe_seen for r in dissect(blob_model(), probes, **QUICK).rows} == {told}
    if told == "yes":
        own = dissect(blob_model(), probes, probe_seen="no", **QUICK)
        assert {r.probe_seen for r in own.rows} == {"no"}


def test_reference_is_the_mean_of_normal_films() -> None:
    probes = disc_probes(30)
    normal = disc_probes(7, seed=3)
    found = dissect(blob_model(), probes, **QUICK | {"reference": normal.films})
    expected = blob_maps(normal).double().mean((0, 2, 3))
    assert np.allclose(found.references["maps"].means, expected.numpy(), atol=1e-6)
    assert found.references["maps"].films == 7


def test_atlas_survives_the_disk_whole(tmp_path: Path) -> None:
    probes = replace(disc_probes(20), provenance={"splits": ("val",), "of": 20})
    made = dissect(blob_model(), probes, **QUICK)
    save_atlas(made, tmp_path / "a.parquet")
    assert load_atlas(tmp_path / "a.parquet", blob_model()) == made


def test_the_function_is_there_under_its_public_name() -> None:
    assert xrayinterp.dissection.dissect is dissect


def test_model_is_untouched() -> None:
    model = blob_model()
    before = copy.deepcopy(model.module.state_dict())
    dissect(model, disc_probes(20), **QUICK)
    assert all(torch.equal(v, before[k]) for k, v in model.module.state_dict().items())
    assert not any(part._forward_hooks for part in model.module.modules())


def test_random_weights_detect_less() -> None:
    probes = disc_probes()
    fresh = randomised(blob_model(), seed=3)
    assert fresh.card.sha256 is None
    again = randomised(blob_model(), seed=3)
    assert all(torch.equal(a, b) for a, b in zip(fresh.module.parameters(), again.module.parameters(), strict=True))
    assert not torch.equal(fresh.module.conv.weight, blob_model().module.conv.weight)
    best = max(r.iou for r in dissect(fresh, probes, **QUICK).rows if r.concept == "disc")
    assert best < row(dissect(blob_model(), probes, **QUICK), 0, "disc").iou


def test_summary_counts_what_the_rows_say(atlas: Atlas) -> None:
    by_concept = {s.concept: s for s in summary(atlas)}
    assert {c: s.detectors for c, s in by_concept.items()} == {"disc": 1, "hole": 1, "box": 0}
    assert by_concept["disc"].best_unit == 0 and by_concept["disc"].best_iou == row(atlas, 0, "disc").iou
    assert by_concept["box"].by_iou_alone >= 1 and by_concept["box"].median_precision is None
    assert by_concept["disc"].detectable


def test_chance_levels_are_recorded(atlas: Atlas) -> None:
    told = atlas.provenance["layers"]["maps"]
    assert told["detectors"] == told["detectors_family_wise"] == 2
    assert told["permuted"]["highest"] >= told["permuted"]["mean"] >= 1  # the centre unit meets any film's box
    assert len(told["family_p"]) == len(told["positives_p"]) == 8


def damaged(model_layer: str = "relu") -> nn.Module:
    net = BlobNet()
    net.conv.weight.data[0, 0, 0, 0] = float("nan")
    return net


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"layers": ("norm9",)}, Code.UNKNOWN_LAYER, "norm9"),
        ({"definition": "mine"}, Code.BAD_OPTION, "mine"),
        ({"permutations": 5}, Code.BAD_OPTION, "5 permutations"),
        ({"bootstraps": 0}, Code.BAD_OPTION, "0 bootstraps"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], code: Code, words: str) -> None:
    with pytest.raises(XrayInterpError, match=words) as caught:
        dissect(blob_model(), disc_probes(8), **QUICK | options)
    assert caught.value.code is code


def test_broken_weights_and_wrong_shapes_are_named() -> None:
    with pytest.raises(XrayInterpError, match="not finite") as caught:
        dissect(blob_model(damaged()), disc_probes(8), **QUICK)
    assert caught.value.code is Code.WEIGHTS_CORRUPT
    wrong = replace(blob_model(), layers={"maps": Layer("relu", 7, 8)})
    with pytest.raises(XrayInterpError, match=r"\(8, 8, 8\)"):
        dissect(wrong, disc_probes(8), **QUICK)


def test_concept_nobody_looked_for_on_a_film_is_refused() -> None:
    probes = disc_probes(8)
    half = replace(probes.films[3], annotated=frozenset({"disc", "box"}))
    mixed = replace(probes, films=(*probes.films[:3], half, *probes.films[4:]))
    with pytest.raises(XrayInterpError, match="hole on film film003") as caught:
        dissect(blob_model(), mixed, **QUICK)
    assert caught.value.code is Code.BAD_OPTION


def test_films_of_one_patient_have_no_null() -> None:
    probes = disc_probes(8)
    alone = replace(probes, films=tuple(replace(f, patient="one") for f in probes.films))
    with pytest.raises(XrayInterpError, match="more than half"):
        dissect(blob_model(), alone, **QUICK)


@pytest.mark.data
def test_real_films(data_root: Path) -> None:
    torch.manual_seed(0)
    net = DenseNet(DenseNetShape(growth=8, blocks=(2, 2, 2, 2), stem=16), 3)
    layers = {
        "norm5": Layer("features.norm5", 7, net.classifier.in_features),
        "denseblock3": Layer("features.transition3.relu", 14, net.features.transition3.norm.num_features),
    }
    model = replace(blob_model(net), layers=layers, size=224, detail=128)
    probes = load_probe_set("chestx-det", root=data_root, limit=20)
    options = QUICK | {"layers": ("norm5", "denseblock3"), "permutations": 19}
    found = dissect(model, probes, **options)
    assert len(found.rows) == sum(layer.units for layer in layers.values()) * len(probes.concepts)
    live = [r for r in found.rows if r.area > 0]
    assert live and all(0 <= r.iou <= r.ceiling <= 1 and r.area <= 0.01 and r.ci_low <= r.ci_high for r in found.rows)
    assert sum(r.label for r in found.rows) <= 0.2 * sum(layer.units for layer in layers.values())
    assert max(r.coverage for r in found.rows) > 0.001
