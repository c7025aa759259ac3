"""The table of lamps, and the small measures under them, by hand."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from helpers.closed_form import snapshot
from helpers.fake_explanation import fake_semantic, fake_units
from helpers.lit_model import lit_film, lit_model
from helpers.tiny_model import atlas, row, tiny_model
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.attribution import Forward, Target, native_map
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.class_sensitivity import against_films, against_findings, against_negated, other_findings
from xrayinterp.evaluation.coverage import coverage
from xrayinterp.evaluation.lamps import LAMPS, UNDER_THE_STRIP, Lamp, State, lamps_named
from xrayinterp.evaluation.references import Films, maps_of
from xrayinterp.evaluation.stability import SHIFT, back_in_place, changed_films, shifted
from xrayinterp.evaluation.words import sentence
from xrayinterp.semantics import split

MODEL = tiny_model()
X = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1


# ------------------------------------------------------------------------------------------------------------ the table


def test_the_strip_has_five_lamps_and_a_line_under_it() -> None:
    assert list(LAMPS) == ["follows-weights", "follows-finding", "stable", "faithful", "covered-by-concepts"]
    assert UNDER_THE_STRIP == (
        "These lamps judge the map, not the finding. A map can pass all and the finding be wrong."
    )
    assert all(lamp.title and lamp.question.endswith("?") and len(lamp.measure) > 80 for lamp in LAMPS.values())


@pytest.mark.parametrize("lamp", LAMPS.values(), ids=list(LAMPS))
def test_states_turn_at_the_cut_offs(lamp: Lamp) -> None:
    better = 1e-6 if lamp.direction == "higher" else -1e-6
    assert (lamp.state(lamp.good), lamp.state(lamp.bad)) == ("good", "bad")
    assert lamp.state(lamp.good - better) == lamp.state(lamp.bad + better) == "doubtful"
    assert lamp.state(lamp.good + 1e3 * better) == "good"
    assert lamp.state(lamp.bad - 1e3 * better) == "bad"


@given(st.sampled_from(list(LAMPS.values())), st.floats(-1, 1), st.floats(-1, 1))
def test_better_values_are_never_in_a_worse_state(lamp: Lamp, one: float, other: float) -> None:
    order: list[State] = ["bad", "doubtful", "good"]
    low, high = sorted((one, other), reverse=lamp.direction == "lower")
    assert order.index(lamp.state(low)) <= order.index(lamp.state(high))


@pytest.mark.parametrize("lamp", LAMPS)
@pytest.mark.parametrize("reference", [None, 0.25])
def test_every_state_has_a_sentence(lamp: str, reference: float | None) -> None:
    states: list[State] = ["good", "doubtful", "bad"]
    assert set(states) < set(get_args(State))
    said = {sentence(lamp, state, 0.4321, reference, "effusion", "3 synthetic films") for state in states}
    assert len(said) == 3
    assert all("43" in words and words.endswith(".") and "{" not in words for words in said)


def test_lamps_are_chosen_by_name_in_the_strips_order() -> None:
    assert [lamp.name for lamp in lamps_named(["stable", "follows-weights"])] == ["follows-weights", "stable"]
    assert lamps_named(None) == tuple(LAMPS.values())
    assert lamps_named([]) == ()
    with pytest.raises(XrayInterpError) as refused:
        lamps_named(["bright"])
    assert refused.value.code is Code.BAD_OPTION
    assert "'bright'" in str(refused.value)
    assert "faithful" in str(refused.value)


# -------------------------------------------------------------------------------------------------- follows the finding


def test_other_findings_are_drawn_without_the_one_asked_for() -> None:
    drawn = {other_findings(14, 3, seed=seed) for seed in range(20)}
    assert len(drawn) > 10
    assert all(len(set(others)) == 4 and 3 not in others and max(others) < 14 for others in drawn)
    assert other_findings(14, 3, seed=1) == other_findings(14, 3, seed=1)
    assert other_findings(3, 1, count=4) == (0, 2)
    assert other_findings(1, 0) == ()


def test_findings_with_other_causes_have_unlike_maps() -> None:
    """Bright = A1 and Dark = A2 never overlap; Both = 20 (A1 + A2) contains Bright's square as its highest values."""
    model, forward = lit_model(), Forward(lit_model(), lit_film())
    bright = native_map(forward, 0, "gradcam_signed")
    rhos = dict(against_findings(forward, bright, (0, 1, 2), "gradcam_signed", {}))
    assert rhos[0] == 1.0
    assert rhos[1] is not None
    assert rhos[1] < -0.2
    assert rhos[2] is not None
    assert rhos[1] < rhos[2] < 1
    assert model.findings == ("Bright", "Dark", "Both")


def test_films_with_the_same_map_are_alike() -> None:
    maps = torch.rand(3, 1, 7, 7)
    assert against_films(maps[:1], maps, "gradcam_signed")[0] == 1.0
    assert against_films(maps[:1], torch.ones(1, 1, 7, 7), "gradcam_signed") == [None]


def test_minus_the_logit_is_by_construction_where_a_method_is_linear() -> None:
    forward, target = Forward(MODEL, X), Target(0)
    signed = native_map(forward, target, "gradcam_signed")
    assert against_negated(forward, signed, target, "gradcam_signed", {}) == (-1.0, True)
    clamped = native_map(forward, target, "gradcam")
    rho, constructed = against_negated(forward, clamped, target, "gradcam", {})
    assert not constructed
    assert rho is None or rho < 1


def test_maps_of_built_in_films_are_kept_and_those_of_given_films_are_not() -> None:
    films = Films(MODEL)
    assert [tuple(film.shape) for film in films.x] == [(1, 64, 64)] * 3
    assert all(-1 <= float(film.min()) < float(film.max()) <= 1 for film in films.x)
    first = films.maps(Target(0), "gradient", {})
    again = Films(MODEL).maps(Target(0), "gradient", {})
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], films.maps(Target(1), "gradient", {})[0])
    alone = [native_map(Forward(MODEL, film[None]), 0, "gradient")[0] for film in films.x]
    for one, batch in zip(alone, maps_of(MODEL, films.x, Target(0), "gradient", {}), strict=True):
        torch.testing.assert_close(one, batch, rtol=1e-3, atol=1e-6)
    other = tiny_model(seed=1)
    assert not torch.equal(first[0], Films(other).maps(Target(0), "gradient", {})[0])


# --------------------------------------------------------------------------------------------------------------- stable


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_shift_moves_whole_pixels_and_repeats_the_border(down: int, right: int) -> None:
    x = torch.arange(400.0).view(1, 1, 20, 20)
    rows = torch.arange(20).sub(down).clamp(0, 19)
    columns = torch.arange(20).sub(right).clamp(0, 19)
    torch.testing.assert_close(shifted(x, down, right), x[:, :, rows][..., columns])


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_map_that_moves_with_the_film_is_exactly_stable(down: int, right: int) -> None:
    x = torch.rand((1, 1, 20, 20), generator=torch.Generator().manual_seed(1))
    moved = shifted(x, down, right)[0, 0].numpy()
    assert back_in_place(x[0, 0].numpy(), moved, (down, right)) == 1.0
    if down or right:
        assert back_in_place(x[0, 0].numpy(), x[0, 0].numpy(), (down, right)) != 1.0


def test_films_are_shifted_both_ways_and_made_noisy_never_mirrored() -> None:
    films = changed_films(X, 1.0, seed=5)
    assert [film.shift for film in films] == [(SHIFT, SHIFT), (-SHIFT, -SHIFT), (0, 0)]
    noise = (films[-1].x - X[0]).numpy()
    assert float(films[-1].x.abs().max()) <= 1
    assert 0.015 < noise.std() < 0.025  # 1 % of a range of 2
    assert torch.equal(films[-1].x, changed_films(X, 1.0, seed=5)[-1].x)
    assert not torch.equal(films[-1].x, changed_films(X, 1.0, seed=6)[-1].x)
    mirrored = X[0].flip(-1)
    assert all(not torch.allclose(film.x, mirrored, atol=0.1) for film in films)


# -------------------------------------------------------------------------------------------------- covered by concepts


def test_coverage_by_hand() -> None:
    before = snapshot(MODEL.module)
    forward = Forward(MODEL, X)
    A, w = forward.cut().maps.detach()[0], MODEL.module.classifier.weight[1]  # type: ignore[union-attr,index]
    known = (atlas(row(0, "Effusion", threshold=0.3), row(2, "Mass", threshold=0.1)),)
    semantic = split(MODEL, forward.cut().maps.detach(), forward.cut().logits.detach(), "Mass", known)
    found = coverage(forward, Target(1), semantic)
    parts = (w[:, None, None] * A / A[0].numel()).double()
    total = parts.sum((1, 2)).abs().sum()
    above = sum(parts[k][A[k] > t].sum().abs() for k, t in ((0, 0.3), (2, 0.1)))
    assert found is not None
    assert found.units == 2
    assert found.above == pytest.approx(float(above / total), rel=1e-5)
    assert found.labelled == pytest.approx(float(parts[[0, 2]].sum((1, 2)).abs().sum() / total), rel=1e-5)
    assert snapshot(MODEL.module) == before


def test_all_units_labelled_cover_everything_and_a_split_of_another_film_is_refused() -> None:
    forward, fainter = Forward(MODEL, X), Forward(MODEL, 0.01 * X)
    if _strength(forward) < _strength(fainter):
        forward, fainter = fainter, forward
    every = atlas(*(row(unit, "Mass") for unit in range(MODEL.layers["norm5"].units)))
    cut = forward.cut()
    semantic = split(MODEL, cut.maps.detach(), cut.logits.detach(), "Mass", (every,))
    full = coverage(forward, Target(1), semantic)
    assert full is not None
    assert full.labelled == pytest.approx(1, rel=1e-5)
    with pytest.raises(XrayInterpError) as refused:
        coverage(fainter, Target(1), semantic)
    assert refused.value.code is Code.INTERNAL


def _strength(forward: Forward) -> float:
    A, g = forward.map_gradient(Target(1))
    return float((A * g).sum((2, 3)).abs().sum())


def test_nothing_is_covered_where_the_network_is_silent() -> None:
    silent = Forward(lit_model(), torch.zeros(1, 1, 32, 32))
    assert coverage(silent, Target(0), fake_semantic(fake_units(), "Effusion")) is None
