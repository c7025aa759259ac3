"""Finders compared on one film: by counting, by chance, and on the built-in model; the linear claim; concepts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.closed_form import film_batch, frozen, random_densenet
from helpers.tiny_model import atlas, row, tiny_model
from torch import nn

from xrayinterp.attribution.forward import Forward
from xrayinterp.attribution.pathway_masks import PrunedForward
from xrayinterp.attribution.pathways import pathway
from xrayinterp.attribution.target import Target
from xrayinterp.datasets.films import load_films
from xrayinterp.dissection.io import atlases_for
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.pathway_concepts import concepts_on_path
from xrayinterp.evaluation.pathway_linear import linear_check
from xrayinterp.evaluation.pathways import (
    CANDIDATES,
    QUICK,
    Candidate,
    compare_finders,
    jaccard,
    mean_over_films,
    retention_curves,
)
from xrayinterp.imaging.reader import read
from xrayinterp.models.zoo import load_model

NET = random_densenet(0)
X = film_batch(0, samples=1)
FEW = ("marginal_taylor", "greedy", "random", "active")


def test_matrices_and_figures_are_those_counted_on_the_masks() -> None:
    compared = compare_finders(NET, X, 1, FEW, sparsity=0.8, seed=3)
    paths = [pathway(NET, X, 1, finder, 0.8, seed=3) for finder in FEW]
    assert compared.labels == FEW
    for i, a in enumerate(paths):
        assert compared.paths[i].retention == pytest.approx(a.retention.item())
        assert compared.paths[i].reached == pytest.approx(a.reached.item())
        for j, b in enumerate(paths):
            assert compared.jaccard[i, j] == jaccard(a.masks, b.masks)
            for site in range(len(a.masks)):
                of_site = jaccard([a.masks[site]], [b.masks[site]])
                assert compared.jaccard_by_site[site, i, j] == pytest.approx(of_site, nan_ok=True)
    dead = [a <= 0 for a in Forward(NET, X).tape().activations]
    assert compared.dead_share == pytest.approx(sum(int(d.sum()) for d in dead) / sum(d.numel() for d in dead))
    assert [(s.units, s.height, s.width) for s in compared.sites] == [tuple(m.shape[1:]) for m in paths[0].masks]


def test_every_path_overlaps_itself_and_random_ones_as_chance_has_it() -> None:
    again = Candidate("the same lot", "random")
    compared = compare_finders(NET, X, 0, ["random", again, "marginal_taylor"], sparsity=0.9)
    assert np.diag(compared.jaccard).tolist() == [1.0] * 3
    assert np.array_equal(compared.jaccard, compared.jaccard.T)
    assert compared.jaccard[0, 1] == 1
    assert compared.chance[0, 1] == pytest.approx(0.1 / 1.9, abs=0.005)
    assert compared.jaccard[0, 2] == pytest.approx(compared.chance[0, 2], abs=0.03)


def test_the_papers_order_holds_on_a_random_net() -> None:
    compared = compare_finders(NET, X, 2, ["marginal_taylor", "integrated", "greedy", "random"], sparsity=0.9)
    taylor, integrated, greedy, lot = compared.paths
    assert (taylor.dead_share, integrated.dead_share) == (0, 0)
    assert greedy.dead_share > lot.dead_share > 0.2
    assert lot.dead_share == pytest.approx(compared.dead_share, abs=0.02)
    assert compared.jaccard[0, 1] > compared.jaccard[0, 2]
    assert compared.jaccard[0, 1] > compared.jaccard[0, 3]


def test_curves_begin_at_the_whole_response() -> None:
    curves = retention_curves(NET, X, 1, ("marginal_taylor", "random"), sparsities=(0.0, 0.5, 0.99))
    assert set(curves) == {"marginal_taylor", "random"}
    for points in curves.values():
        assert points[0].retention == pytest.approx(1)
        assert [p.sparsity for p in points] == [0.0, 0.5, 0.99]
        assert points[0].reached <= points[1].reached <= points[2].reached
    assert curves["marginal_taylor"][0].emptied == 0


def test_a_quota_for_each_layer_empties_none() -> None:
    everywhere, each = (
        compare_finders(NET, X, 1, ["marginal_taylor"], sparsity=0.99, quota=q) for q in ("global", "layer")
    )
    assert each.paths[0].emptied == 0
    assert everywhere.paths[0].occupancy.std() > each.paths[0].occupancy.std()


def test_means_over_films_count_each_film_once() -> None:
    films = [compare_finders(NET, film_batch(seed, samples=1), 1, ("marginal_taylor", "random")) for seed in range(3)]
    means = mean_over_films(films)
    assert (means.labels, means.films) == (("marginal_taylor", "random"), (3, 3))
    assert means.jaccard[0, 1] == pytest.approx(np.mean([film.jaccard[0, 1] for film in films]))


def test_a_film_on_which_a_finder_has_no_path_is_left_out_of_its_means() -> None:
    both, one = (compare_finders(NET, X, 1, labels) for labels in (("marginal_taylor", "random"), ("random", "greedy")))
    means = mean_over_films([both, one])
    assert (means.labels, means.films) == (("marginal_taylor", "random", "greedy"), (1, 2, 1))
    assert means.jaccard[0, 1] == pytest.approx(both.jaccard[0, 1])
    assert means.jaccard[1, 2] == pytest.approx(one.jaccard[0, 1])
    assert np.isnan(means.jaccard[0, 2])


def test_a_candidate_without_a_path_is_named_and_the_others_are_compared() -> None:
    hopeless = Candidate("hopeless", "distillation_guided", {"gates": "random", "iterations": 1, "attempts": 1})
    x = film_batch(0, samples=1, size=32)
    target = int(NET(x)[0].argmax())
    compared = compare_finders(NET, x, target, ["marginal_taylor", hopeless, "random"])
    assert set(compared.missing) | set(compared.labels) == {"marginal_taylor", "hopeless", "random"}
    assert compared.jaccard.shape == (2, 2)
    assert "No gates" in compared.missing["hopeless"]
    with pytest.raises(XrayInterpError, match="No gates") as caught:
        compare_finders(NET, x, target, [hopeless])
    assert caught.value.code is Code.NO_PATHWAY


def test_nothing_but_one_film_and_known_finders_is_compared() -> None:
    for wrong, code in (
        (lambda: compare_finders(NET, film_batch(0), 1), Code.BAD_OPTION),
        (lambda: compare_finders(NET, X, 1, ["magic"]), Code.UNKNOWN_METHOD),
        (lambda: retention_curves(NET, X, 1, []), Code.UNKNOWN_METHOD),
    ):
        with pytest.raises(XrayInterpError) as caught:
            wrong()
        assert caught.value.code is code
    assert set(QUICK) < set(CANDIDATES)


def test_the_linear_claim_is_checked_where_it_must_hold_and_beyond() -> None:
    net, x = random_densenet(1), film_batch(1, samples=1, size=32)
    masks = pathway(net, x, 0, "marginal_taylor", 0.9).masks
    check = linear_check(net, x, 0, masks, shares=(1e-3, 0.1, 1.0), directions=4, gaussians=None)
    assert check.region.exact
    assert check.region.radius <= check.kink
    assert check.holds is True
    assert check.inside is not None
    assert check.inside < 1e-12
    assert check.along_gradient[-1] > 0.1
    assert check.distances.tolist() == pytest.approx([1e-3 * check.length, 0.1 * check.length, check.length])
    pruned = PrunedForward(Forward(net, x), masks)
    g = pruned.input_gradient(Target(0))
    step = 0.1 * x.norm() * g / g.norm()
    missed = pruned.logits(x + step)[0, 0] - pruned.logits(x)[0, 0] - (g * step).sum()
    assert check.along_gradient[1] == pytest.approx(float(missed.abs() / (g.norm() * step.norm())))
    assert "of the film's size" in check.words


def test_the_claim_is_checked_in_double_precision_whatever_the_model_is_in() -> None:
    net, x = random_densenet(2), film_batch(2, samples=1, size=32)
    masks = pathway(net, x, 0, "marginal_taylor", 0.8).masks
    double = linear_check(net, x.float().double(), 0, masks, shares=(0.1,), gaussians=4)
    single = linear_check(random_densenet(2).float(), x.float(), 0, masks, shares=(0.1,), gaussians=4)
    assert single.holds is True
    assert single.along_gradient == pytest.approx(double.along_gradient, rel=1e-4)


def test_a_film_on_a_boundary_and_a_logit_that_nothing_moves_are_said_so() -> None:
    tied = frozen(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1)))
    check = linear_check(tied, torch.ones(1, 1, 2, 2).double(), 0, directions=2)
    assert (check.region.radius, check.region.pool) == (0, 0)
    assert check.holds is not False
    dead = linear_check(tied, -torch.ones(1, 1, 2, 2).double(), 0, directions=2)
    assert dead.holds is None
    assert math.isnan(dead.along_gradient[0])
    assert "Nothing" in dead.words


def test_units_on_the_path_are_counted_by_concept() -> None:
    model = tiny_model()
    x = film_batch(3, samples=1).float()
    maps = Forward(model, x).cut().maps.detach()
    alive = (maps[0].flatten(1) > 0).any(1).nonzero().flatten().tolist()
    dead = [unit for unit in range(maps.shape[1]) if unit not in alive]
    known = atlas(
        row(alive[0], "Effusion", threshold=0.0),
        row(alive[1], "Effusion", threshold=1e9),
        row(alive[2], "Mass", threshold=0.0),
        *(row(unit, "Effusion") for unit in dead[:1]),
    )
    path = pathway(model, x, 0, "marginal_taylor", 0.0)
    found = concepts_on_path(model, x, "Effusion", path, [known])
    effusion = next(one for one in found.concepts if one.concept == "Effusion")
    assert set(effusion.units) == set(alive[:2])
    assert effusion.firing == (alive[0],)
    assert effusion.labelled == 2 + len(dead[:1])
    assert effusion.words == f"2 of {effusion.labelled} effusion-like units, 1 where they fire"
    assert (found.units, found.of) == (len(alive), maps.shape[1])
    assert found.unlabelled == len(alive) - 3
    assert found.semantic.logit == pytest.approx(path.pruned_logit.item())


def test_the_split_is_that_of_the_pruned_networks_logit() -> None:
    model, x = tiny_model(1), film_batch(4, samples=1).float()
    path = pathway(model, x, 2, "marginal_taylor", 0.9)
    found = concepts_on_path(model, x, "Hernia", path, [atlas(row(0, "Effusion"), row(1, "Mass"))])
    semantic = found.semantic
    parts = sum(one.contribution for one in semantic.concepts) + semantic.unlabelled + semantic.bias
    assert parts == pytest.approx(path.pruned_logit.item(), abs=1e-4)
    kept = path.masks[-1][0].flatten(1).any(1)
    assert found.units == int(kept.sum())
    with pytest.raises(XrayInterpError) as caught:
        concepts_on_path(model, film_batch(4).float(), "Mass", path, [])
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.data
def test_a_radiograph_has_paths_curves_and_concepts(data_root: Path) -> None:
    model = load_model("compact")
    film = next(one for one in load_films("nih", root=data_root, splits=["test"]) if one.labels["Effusion"] == 1)
    x, index = model.prepare(read(film.path, view=film.view)), model.index("Effusion")
    compared = compare_finders(model, x, index, ("marginal_taylor", "greedy", "random"))
    taylor, greedy, lot = compared.paths
    assert (taylor.dead_share, taylor.emptied) == (0, 0)
    assert greedy.dead_share > 0.5
    assert abs(taylor.retention - 1) < abs(lot.retention - 1)
    found = concepts_on_path(model, x, "Effusion", pathway(model, x, index, "marginal_taylor", 0.9), atlases_for(model))
    assert found.concepts
    check = linear_check(model, x, index, shares=(1.0,), directions=1, gaussians=1)
    assert check.grey is not None
    assert check.kink < check.grey
    assert ("less than one grey level" in check.words) == (check.kink > 0)
