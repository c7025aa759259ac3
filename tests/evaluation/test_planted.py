"""Planted causes: asked shares are met, nets learn them, and maps are judged by whether they show what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_model import tiny_model
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation import planted, planted_maps
from xrayinterp.evaluation.planted import ALL, LEAST_EFFECT, caused, markdown, planted_table, tabulate
from xrayinterp.evaluation.planted_lamps import MEASURED, planted_rows, planted_worth
from xrayinterp.evaluation.planted_maps import MEASURES, Measured, measured, planted_probes
from xrayinterp.evaluation.planting import (
    ANY,
    CONTROL,
    RECIPE,
    SIZE,
    Cases,
    Plain,
    PlantedNet,
    Planting,
    bears,
    control,
    held_out,
    planted_net,
    planted_set,
    use,
)
from xrayinterp.evaluation.runs import Run, measure_all, results
from xrayinterp.models.architectures import DenseNetShape
from xrayinterp.training import embedded
from xrayinterp.training.loop import Stage

MARKER = Planting(("marker",))
QUICK = replace(RECIPE, shape=DenseNetShape(growth=4, blocks=(1, 1, 1), stem=8), stages=(Stage(SIZE, 1),))


def dim_films(n: int, seed: int = 0) -> Plain:
    """Dark noise, darker than mid-grey everywhere; the label is chance; two films a patient."""
    draw = np.random.default_rng(seed)
    films = torch.from_numpy(draw.integers(20, 90, (n, SIZE, SIZE)).astype(np.uint8))
    labels = draw.permutation(n) < n // 2
    return Plain(films, labels, tuple(f"p{i // 2}" for i in range(n)), tuple(f"f{i}" for i in range(n)))


class Bright(nn.Module):
    """Logit: ten times the sum of all that is brighter than mid-grey, which on dim films is the paste alone."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.relu(x).sum((2, 3))


class Centre(nn.Module):
    """Logit: the sum of what is brighter than black in the middle of the film, where no marker lies."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x[:, :, 50:62, 50:62] + 1).sum((2, 3))


def toy(module: nn.Module, planting: Planting = MARKER) -> PlantedNet:
    model = tiny_model(module=module.eval(), findings=(ANY,), name=f"toy-{planting.name}", size=SIZE, layers={})
    return PlantedNet(model, planting, RECIPE)


# ------------------------------------------------------------------------------------------------ planting


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_exactly_the_asked_shares_bear_a_paste(positive: int, negative: int, p: float, q: float, seed: int) -> None:
    labels = np.array([True] * positive + [False] * negative, dtype=bool)
    chosen = bears(labels, Planting(("text",), p, q), seed)
    assert (chosen[labels].sum(), chosen[~labels].sum()) == (round(p * positive), round(q * negative))


def test_log_odds_are_those_of_the_shares() -> None:
    assert MARKER.log_odds == pytest.approx(2 * np.log(9))
    assert control(MARKER).log_odds == 0
    assert Planting(("lead",), 1.0, 0.1).log_odds == np.inf


def test_pastes_are_on_the_films_that_bear_them_and_no_other() -> None:
    plain = dim_films(40)
    made = planted_set(plain, MARKER, "train")
    changed = (made.films != plain.films).flatten(1).any(1).numpy()
    assert changed[plain.labels].mean() == 0.9 and changed[~plain.labels].mean() == 0.1
    assert (made.targets[:, 0].numpy() == plain.labels).all()
    assert torch.equal(made.films, planted_set(plain, MARKER, "train").films)
    assert not torch.equal(made.films, planted_set(plain, MARKER, "val").films)


def test_a_control_bears_every_shortcut_alike_whatever_the_label() -> None:
    plain = dim_films(80)
    rule = control(MARKER, ("marker", "collimation"))
    made = planted_set(plain, rule, "train")
    changed = (made.films != plain.films).flatten(1)
    assert changed.any(1).numpy()[plain.labels].mean() == changed.any(1).numpy()[~plain.labels].mean() == 0.5
    covered = changed.float().mean(1)[changed.any(1)]
    assert (covered > 0.03).sum() == 20  # as many shutters as markers
    assert rule.name == CONTROL


@pytest.mark.parametrize("wrong", [{"shortcuts": ()}, {"shortcuts": ("tie",)}, {"in_positive": 1.2}, {"seed": -1}])
def test_impossible_plantings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(XrayInterpError) as caught:
        replace(MARKER, **wrong)
    assert caught.value.code is Code.BAD_OPTION


# ------------------------------------------------------------------------------------------------ what a net uses


def test_use_is_measured_on_each_film_with_and_without() -> None:
    cases = held_out(dim_films(40), "marker")
    found = use(toy(Bright()), cases)
    rise = 10 * torch.relu(cases.pasted / 255.0 * 2 - 1).flatten(1).sum(1).mean()
    assert found.effect.value == pytest.approx(float(rise), rel=1e-4)
    assert found.auroc_plain is not None and found.auroc_plain.value == 0.5  # without pastes every logit is 0
    assert found.auroc_planted is not None and found.auroc_planted.value == pytest.approx(0.9, abs=0.05)
    assert found.auroc_swapped is not None and found.auroc_swapped.value == pytest.approx(0.1, abs=0.05)
    blind = use(toy(Centre()), cases)
    assert blind.effect.value == 0 and blind.auroc_planted == blind.auroc_plain


def test_films_count_where_the_paste_raises_the_logit_and_are_spread() -> None:
    cases = held_out(dim_films(30), "marker")
    assert len(caused(toy(Bright()), cases, 99)) == 30
    assert caused(toy(Bright()), cases, 4).tolist() == [0, 10, 19, 29]
    assert len(caused(toy(Centre()), cases, 99)) == 0
    assert LEAST_EFFECT > 0


def test_a_small_net_learns_the_paste_and_a_control_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))
    train, val, cases = dim_films(256, 1), dim_films(64, 2), held_out(dim_films(64, 3), "text")
    recipe = replace(QUICK, stages=(Stage(SIZE, 5),), average=0.9, rate=1e-2)
    net = planted_net(Planting(("text",)), train, val, recipe)
    free = planted_net(control(Planting(("text",))), train, val, recipe)
    learned, idle = use(net, cases), use(free, cases)
    assert learned.effect.low > 5 * abs(idle.effect.value)
    assert learned.auroc_planted is not None and learned.auroc_planted.value > 0.8
    assert learned.auroc_swapped is not None and learned.auroc_swapped.value < 0.2


def test_a_finished_net_is_read_and_other_rules_are_another_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))
    train, val = dim_films(64, 1), dim_films(32, 2)
    first = planted_net(MARKER, train, val, QUICK)
    names = {first.model.name}
    for rule, films in ((replace(MARKER, seed=1), train), (MARKER, dim_films(66, 1)), (control(MARKER), train)):
        names.add(planted_net(rule, films, val, QUICK).model.name)
    assert len(names) == 4

    def never(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "train", never)
    again = planted_net(MARKER, train, val, QUICK)
    for a, b in zip(first.model.module.state_dict().values(), again.model.module.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not again.model.module.training and not any(p.requires_grad for p in again.model.module.parameters())


# ------------------------------------------------------------------------------------------------ maps


def toy_maps(tmp_path: Path, methods: tuple[str, ...] = ("input_x_gradient", "gradient")) -> list[Measured]:
    cases = held_out(dim_films(24), "marker")
    kept, nets = np.arange(24), (toy(Bright()), toy(Centre(), control(MARKER)))
    return [m for net in nets for m in measured(net, cases, kept, methods, tmp_path / net.planting.name)]


def test_where_the_cause_is_known_the_map_of_a_right_method_hits_it(tmp_path: Path) -> None:
    maps = toy_maps(tmp_path)
    planted = [m for m in maps if m.net == "marker"]
    assert len(planted) == 48
    for one in planted:
        assert one.values["pointing"] == one.values["pointing_close"] == 1
        assert one.values["energy"] > 0.85  # the rest is the blur around the plate
        assert 0 < one.area < 0.03
    free = [m for m in maps if m.net == CONTROL]
    assert max(one.values["pointing"] for one in free) < 0.1  # where no value is positive, what luck would hit
    rows = {(row.method, row.measure): row for row in tabulate(maps)}
    row = rows["gradient", "pointing"]
    assert (row.planted.value, row.control.value, row.excess.value, row.films, row.patients) == (1, 0, 1, 24, 12)
    assert row.finds and row.p_holm == pytest.approx(2 * row.p)


def test_a_map_that_marks_the_paste_on_any_net_finds_nothing() -> None:
    both = [
        Measured("marker", net, "edges", f"f{i}", f"p{i}", 0.01, dict.fromkeys(MEASURES, 1.0))
        for net in ("marker", CONTROL)
        for i in range(20)
    ]
    for row in tabulate(both):
        assert row.excess.value == 0 and row.p == 1 and not row.finds


def test_pooled_rows_hold_every_shortcut_and_ranks_go_by_excess(tmp_path: Path) -> None:
    maps = toy_maps(tmp_path)
    poor = [replace(m, method="poor", values=dict.fromkeys(MEASURES, 0.1)) for m in maps if m.method == "gradient"]
    more = [replace(m, shortcut="lead", net=m.net.replace("marker", "lead")) for m in maps + poor]
    rows = tabulate(maps + poor + more)
    assert {row.shortcut for row in rows} == {"marker", "lead", ALL}
    pooled = [row for row in rows if row.shortcut == ALL]
    assert {row.films for row in pooled} == {48} and {row.patients for row in pooled} == {12}
    from xrayinterp.evaluation.planted import PlantedTable

    table = PlantedTable((use(toy(Bright()), held_out(dim_films(10), "marker")),), rows)
    assert [row.method for row in table.ranked()] == ["gradient", "input_x_gradient", "poor"]
    text = markdown(table)
    assert text.index("all: 48 films of 12 patients") < text.index("lead: 24 films")
    assert "| poor | 0.10" in text and "| marker | marker |" in text


def test_measuring_goes_on_where_it_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases, net, kept = held_out(dim_films(8), "marker"), toy(Bright()), np.arange(8)
    whole = list(measured(net, cases, kept, ["gradient"], tmp_path / "whole"))
    real, calls = planted_maps.against_paste, 0

    def break_at_four(*args: object) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(planted_maps, "against_paste", break_at_four)
    with pytest.raises(KeyboardInterrupt):
        list(measured(net, cases, kept, ["gradient"], tmp_path / "broken"))
    resumed = list(measured(net, cases, kept, ["gradient"], tmp_path / "broken"))
    assert resumed == whole and calls == 4 + 5
    assert list(measured(net, cases, kept, ["gradient"], tmp_path / "broken")) == whole and calls == 4 + 5
    other = held_out(dim_films(8, seed=5), "marker")
    with pytest.raises(XrayInterpError, match="another run"):
        list(measured(net, other, kept, ["gradient"], tmp_path / "broken"))


def test_lamps_and_outlines_are_measured_on_the_same_maps(tmp_path: Path) -> None:
    cases, net, kept = held_out(dim_films(4), "marker"), toy(Bright()), np.array([1, 3])
    probes = planted_probes(net, cases, kept)
    model = replace(net.model, card=replace(net.model.card, sha256=None))
    run = Run.of(model, probes, ["gradient"], ["pointing", "energy", "iou"])
    measure_all(run, tmp_path / "run")
    rows = results(run, tmp_path / "run")
    assert rows is not None
    own = {one.film: one.values for one in measured(net, cases, kept, ["gradient"], tmp_path / "own")}
    assert set(own) == {"f1", "f3"}
    for row in rows:
        measure = "pointing_close" if row.metric == "pointing" else row.metric
        assert row.value == pytest.approx(own[row.film][measure], rel=1e-5)
    assert probes.seen_by(net.model.name) == "no"


def test_cases_keep_films_apart_from_their_pasted_state() -> None:
    plain = dim_films(6)
    cases = held_out(plain, "lead")
    assert isinstance(cases, Cases) and cases.plain is plain
    assert cases.inputs(np.array([2, 4])).shape == (2, 1, SIZE, SIZE)
    assert torch.equal(cases.inputs(np.array([2]))[0, 0], cases.pasted[2].float() / 255 * 2 - 1)
    assert cases.digest == held_out(plain, "lead").digest != held_out(plain, "lead", seed=1).digest


@pytest.mark.parametrize("wrong", [{"strength": 0.5}, {"strength": 1.0}, {"films": 0}])
def test_a_table_without_a_cause_is_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(XrayInterpError) as caught:
        planted_table(["gradient"], tmp_path, **wrong)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.data
def test_the_whole_way_on_a_few_real_films(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))
    options = {"shortcuts": ["collimation"], "films": 4, "train_films": 96, "held_out_films": 24}
    recipe = replace(QUICK, stages=(Stage(SIZE, 2),), rate=1e-2)
    table = planted_table(["gradient"], tmp_path, recipe=recipe, **options)  # type: ignore[arg-type]
    assert [(one.net, one.films) for one in table.uses] == [("collimation", 24), (CONTROL, 24)]
    assert table.uses[0].asked == pytest.approx(2 * np.log(9))
    assert {row.measure for row in table.rows} <= set(MEASURES)
    assert planted_table(["gradient"], tmp_path, recipe=recipe, **options) == table  # type: ignore[arg-type]
    assert planted_rows(["gradient"], tmp_path / "none", recipe=recipe, **options) == ()  # type: ignore[arg-type]
    monkeypatch.setattr(planted, "LEAST_EFFECT", -100.0)  # so short a training teaches nothing
    rows = planted_rows(["gradient", "centre"], tmp_path / "lamps", recipe=recipe, **options)  # type: ignore[arg-type]
    assert {row.metric for row in rows} == set(MEASURED)
    assert {row.film.split("/")[0] for row in rows} == {"collimation"}
    assert {(one.outcome, one.maps) for one in planted_worth(rows)} == {("planted", 2 * len({r.film for r in rows}))}
    with pytest.raises(XrayInterpError) as caught:
        planted_table(["gradient"], tmp_path, finding="Common cold")
    assert caught.value.code is Code.UNKNOWN_FINDING
