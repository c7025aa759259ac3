"""The rule that writes answers, on made-up figures whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from xrayinterp.studies.contrasts import (
    Contrast,
    Quantity,
    Side,
    findings,
    over_seeds,
    over_seeds_and_patients,
    rounded,
)
from xrayinterp.studies.dissected import ConceptLine, LayerLine, changes, from_json
from xrayinterp.studies.dissected import as_json as lines_as_json
from xrayinterp.studies.measures import Measure, areas, errors, linear_readout, recalls
from xrayinterp.studies.plan import Run
from xrayinterp.studies.questions import Headline
from xrayinterp.studies.store import Result

COUNT = Quantity("detectors", "detectors", 3.0, "made")
ERROR = Quantity("measure", "severity", 0.3, digits=2)
WORDS = {"more": "More of them", "cannot be told": "Who knows"}


def layer(count: int, labels: dict[str, tuple[str, ...]] | None = None) -> LayerLine:
    concept = ConceptLine("Mass", count, count, 0.0, 0.1, 0.05, 0.15, 0.5, 9, 5, True)
    return LayerLine("made", "last", 20, count, count, 1.5, 4, count, count, 9, 5, "no", (concept,), labels or {})


def results(counts: Sequence[int], measures: Sequence[Measure] = ()) -> dict[int, Result]:
    return {
        seed: Result(
            Run("findings", seed), "0", 9, 9, 1.0, {"severity": measures[seed]} if measures else {}, (layer(count),)
        )
        for seed, count in enumerate(counts)
    }


def told(first: Sequence[int], second: Sequence[int]) -> tuple[str, str]:
    contrast = Contrast("More?", Side("a", COUNT), Side("b", COUNT), WORDS)
    (found,) = findings([contrast], {"a": results(first), "b": results(second)})
    return found.verdict, found.sentence


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([30, 32, 31, 29, 33], [10, 11, 9, 12, 10], "more"),
        ([10, 11, 9, 12, 10], [30, 32, 31, 29, 33], "less"),
        ([10, 11, 9, 12, 10], [10, 10, 10, 11, 10], "alike"),
        ([30, 2, 25, 1, 28], [10, 11, 9, 12, 10], "cannot be told"),
        ([30, 31], [1, 2], "cannot be told"),
        ([10, 10, 10], [10, 10, 10], "alike"),
        ([20, 20, 20], [10, 10, 10], "more"),
    ],
)
def test_what_is_said_follows_from_figures(first: list[int], second: list[int], verdict: str) -> None:
    assert told(first, second)[0] == verdict


def test_a_certain_difference_within_the_margin_is_no_difference() -> None:
    verdict, sentence = told([12, 12, 12, 12, 13], [11, 11, 11, 11, 12])
    assert verdict == "alike"
    assert "difference +1.0" in sentence


def test_sentences_hold_figures_interval_and_seeds() -> None:
    _, sentence = told([30, 32, 31, 29, 33], [10, 11, 9, 12, 10])
    assert sentence.startswith("**More of them** (31.0 against 10.4: difference +20.6, 95 % interval")
    assert sentence.endswith("over seeds, 5 seeds).")
    assert told([30], [1])[1].startswith("**Who knows** (30.0 against 1.0: difference +29.0, 1 seed)")


def test_seeds_are_paired_and_missing_arms_say_nothing() -> None:
    contrast = Contrast("More?", Side("a", COUNT), Side("b", COUNT), WORDS)
    (found,) = findings([contrast], {"a": results([5, 6, 7]), "b": dict(list(results([1, 2, 3, 4]).items())[1:])})
    assert (found.seeds, found.difference) == (2, 4.0)
    assert findings([contrast], {"a": results([5])}) == []


def test_many_contrasts_are_paid_for() -> None:
    contrast = Contrast("More?", Side("a", COUNT), Side("b", COUNT), WORDS)
    runs = {"a": results([13, 16, 12, 18, 14]), "b": results([10, 10, 10, 10, 10])}
    (alone,) = findings([contrast], runs)
    many = findings([contrast] * 12, runs)
    assert alone.verdict == "more"
    assert {one.verdict for one in many} == {"cannot be told"}
    assert many[0].adjusted == pytest.approx(min(1, 12 * alone.p))


def test_student_interval_by_hand() -> None:
    low, high, p = over_seeds(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)), abs=1e-5)
    assert p == pytest.approx(0.074180, abs=1e-5)
    assert np.isnan(over_seeds(np.array([1.0]))).all()


def test_patients_are_resampled_where_films_are_the_same() -> None:
    rng = np.random.default_rng(0)
    patients = [f"p{i // 2}" for i in range(80)]
    base = rng.random(80) * 4
    good = [errors(base + rng.normal(0, 0.2, 80), patients) for _ in range(4)]
    bad = [errors(base + 1 + rng.normal(0, 0.2, 80), patients) for _ in range(4)]
    contrast = Contrast("Smaller?", Side("a", ERROR), Side("b", ERROR), {"less": "Smaller"})
    (found,) = findings([contrast], {"a": results([1] * 4, good), "b": results([1] * 4, bad)})
    assert (found.verdict, found.over) == ("less", "seeds and patients")
    assert found.low < -1 < found.high < -0.8


def test_draws_of_one_seed_are_its_patients_alone() -> None:
    draws = np.linspace(-1, 3, 2001)[None]
    low, high, p = over_seeds_and_patients(draws)
    assert (low, high) == pytest.approx((-0.9, 2.9), abs=1e-6)
    assert p == pytest.approx(2 * 502 / 2002, rel=1e-2)


def test_headlines_follow_from_verdicts() -> None:
    contrast = Contrast("More?", Side("a", COUNT), Side("b", COUNT), WORDS)
    learned = Headline("It learns", "learned", (0, 1))
    assert learned.said(["more", "more"], [contrast] * 2).startswith("It learns: yes")
    assert learned.said(["more", "alike"], [contrast] * 2).startswith("It learns: no")
    assert learned.said(["more", "less"], [contrast] * 2).startswith("It learns: no")
    assert learned.said(["alike", "cannot be told"], [contrast] * 2) == "It learns: cannot be told from these runs."
    assert learned.said(["more", None], [contrast] * 2) == "It learns: cannot be told from these runs."
    changed = Headline("A against B", "changed", (1, 0))
    assert changed.said(["less", "alike"], [contrast] * 2) == "A against B: detectors alike, detectors lower."


def test_what_rounds_to_zero_has_no_minus() -> None:
    assert [rounded(-0.004, 2), rounded(-0.006, 2), rounded(0.004, 2, sign="+"), rounded(-1.0, 1, sign="+")] == [
        "0.00", "-0.01", "+0.00", "-1.0",
    ]  # fmt: skip


def test_gained_lost_kept_and_renamed_units() -> None:
    before = layer(0, {"1": ("Mass",), "2": ("Mass",), "3": ("Mass", "Edema"), "10": ("Edema",)})
    after = layer(0, {"2": ("Mass",), "3": ("Edema",), "10": ("Mass",), "7": ("Edema", "Mass"), "11": ("Mass",)})
    found = changes(before, after)
    assert found.gained == {"Edema": (7,), "Mass": (7, 11)}
    assert found.lost == {"Mass": (1,)}
    assert (found.kept, found.renamed, found.units_gained, found.units_lost) == (2, 1, 2, 1)


def test_lines_survive_json() -> None:
    line = layer(3, {"4": ("Mass",)})
    assert from_json(lines_as_json([line])) == (line,)


def test_measures_by_hand() -> None:
    labels = [[1, 0], [0, 0], [1, 0], [0, 0]]
    ranked = areas([[2.0, 1], [1.0, 1], [-1.0, 1], [0.0, 1]], labels, list("abcd"))
    assert ranked.value == pytest.approx(0.5)  # the second column holds one class and does not count
    assert recalls([[2.0, 1], [1.0, 1], [-1.0, 1], [0.0, 1]], labels, list("abcd")).value == pytest.approx(0.5)
    assert errors([1, 2, 6], list("aab")).value == pytest.approx(3.0)
    assert np.isnan(areas([[1.0], [2.0]], [[0], [0]], list("ab")).value)


def test_linear_readout_finds_what_is_linear() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(400, 6)), rng.normal(size=(200, 6))
    weights = rng.normal(size=(6, 2))
    read = linear_readout(train, train @ weights > 0, test)
    assert areas(read, test @ weights > 0, [str(i) for i in range(200)]).value > 0.98
