"""One table of all checks: each verdict follows its rule, and what was not measured is left open."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from xrayinterp.errors import XrayInterpError
from xrayinterp.evaluation.journal import Row, save_rows
from xrayinterp.evaluation.roar_study import Line
from xrayinterp.evaluation.summary import summarise
from xrayinterp.evaluation.verdicts import (
    command,
    from_films,
    from_planted,
    from_roar,
    joined,
    pooled,
    sensitivity,
    table,
)
from xrayinterp.models.card import Interval

SETTINGS = {"model": "made", "model_sha256": "0" * 64, "probes": "outlined", "fit": "crop", "seed": 0}


def rows(method: str, metric: str, value: float, films: int = 24) -> list[Row]:
    """One row a film, each of a patient of its own."""
    return [
        Row(f"f{i}", f"p{i}", "test", "Effusion", 1.0, True, True, True, method, metric, value, None, None)
        for i in range(films)
    ]


def films_of(**figures: dict[str, float]) -> list[Row]:
    return [
        row for method, by in figures.items() for metric, value in by.items() for row in rows(method, metric, value)
    ]


GRID = films_of(
    centre={"class-sensitivity": 1.0, "weight-sensitivity": 1.0, "faithful": 0.5, "pointing": 0.1},
    gradcam_signed={"class-sensitivity": 0.3, "weight-sensitivity": 0.2, "faithful": 0.8, "pointing": 0.6},
    guided_backprop={"class-sensitivity": 0.9, "weight-sensitivity": 0.69, "faithful": 0.4, "pointing": 0.1},
)


def test_films_pass_by_their_rules() -> None:
    found = from_films(summarise(GRID))
    assert {check: verdict.passes for check, verdict in found["gradcam_signed"].items()} == dict.fromkeys(
        ("class", "weights", "faithful", "pointing"), True
    )
    assert {check: verdict.passes for check, verdict in found["guided_backprop"].items()} == {
        "class": False,
        "weights": True,  # likeness under the red cut-off
        "faithful": False,
        "pointing": False,
    }
    assert found["centre"]["pointing"].passes is None  # it is the rival itself


@pytest.mark.parametrize(
    ("difference", "p", "passes"),
    [(-0.2, 0.01, True), (-0.2, 0.2, None), (0.2, 0.01, False), (None, None, None)],
)
def test_roar_tells_where_the_area_differs_from_the_rivals(
    difference: float | None, p: float | None, passes: bool | None
) -> None:
    gap = None if difference is None else Interval(difference, difference - 0.1, difference + 0.1)
    line = Line("roar", "gradient", {0.1: 0.7}, Interval(0.6, 0.5, 0.7), gap, p)
    other = Line("road", "gradient", {0.1: 0.7}, Interval(0.1, 0.1, 0.1), Interval(-0.9, -1, -0.8), 0.001)
    found = from_roar([asdict(other), asdict(line)])
    assert found["gradient"]["ROAR"].passes is passes
    assert found["gradient"]["ROAR"].shown.startswith("0.60")


def planted_row(shortcut: str, measure: str, excess: float, p: float) -> dict[str, object]:
    figures = {name: {"value": v, "low": v, "high": v} for name, v in (("planted", 0.9), ("control", 0.1))}
    gap = {"value": excess, "low": excess, "high": excess}
    return {"shortcut": shortcut, "method": "gradient", "measure": measure, "excess": gap, "p_holm": p, **figures}


def test_a_planted_cause_is_judged_over_all_shortcuts() -> None:
    others = [planted_row("marker", "pointing", -1, 1.0), planted_row("all", "energy", -1, 1.0)]
    found = from_planted({"rows": [*others, planted_row("all", "pointing", 0.8, 0.001)]})
    assert found["gradient"]["planted"].passes
    assert found["gradient"]["planted"].shown == "0.90, control 0.10"
    assert not from_planted({"rows": [planted_row("all", "pointing", 0.8, 0.5)]})["gradient"]["planted"].passes


def test_earlier_parts_count_and_gaps_stay_open() -> None:
    first = from_films(summarise(GRID))
    more = films_of(gradcam_signed={"faithful": 0.1}, occlusion={"faithful": 0.9, "pointing": 0.7})
    together = from_films(summarise(pooled([GRID, more])))
    assert together["occlusion"]["pointing"].passes  # its films have a centre in the other run
    assert together["gradcam_signed"]["faithful"].passes
    later = from_films(summarise(films_of(gradcam_signed={"faithful": 0.1}, occlusion={"faithful": 0.9})))
    together = joined(first, later, from_planted({"rows": [planted_row("all", "pointing", 0.8, 0.001)]}))
    assert together["gradcam_signed"]["faithful"].passes
    assert set(together["gradient"]) == {"planted"}
    lines = table(together)
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:]}
    assert cells["occlusion"][0] == "" and cells["occlusion"][-1] == "1 of 1"
    assert cells["guided_backprop"][-1] == "1 of 4" and cells["centre"][4].endswith("○")


def test_those_that_fail_worst_come_first() -> None:
    alone = summarise(films_of(gradcam_signed={"class-sensitivity": 0.3}))
    assert "gradcam_signed" in sensitivity(alone, ())[2]
    ranked = [line.split("|")[1].strip() for line in sensitivity(summarise(GRID), summarise(GRID[:48]))[2:]]
    assert ranked == ["centre", "guided_backprop", "gradcam_signed"]


def test_the_command_writes_what_there_is_and_names_what_is_missing(tmp_path: Path) -> None:
    save_rows(GRID, tmp_path / "values.parquet", SETTINGS)
    (tmp_path / "planted.json").write_text(json.dumps({"rows": [planted_row("all", "pointing", 0.8, 0.001)]}))
    values, out = tmp_path / "values.parquet", tmp_path / "methods.md"
    command([values], out, untrained=values, planted=[tmp_path / "planted.json"])
    text = out.read_text()
    assert "24 films of 24 patients" in text
    assert "| gradcam_signed | 0.30 (0.30 to 0.30) ✓ |" in text
    assert "Worst first" in text
    with pytest.raises(XrayInterpError, match=r"roar\.json"):
        command([values], out, roar=tmp_path / "roar.json")
