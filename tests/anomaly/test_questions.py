"""Questions about a run whose answers were put there."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from xrayinterp.anomaly.protocol import ALL
from xrayinterp.anomaly.protocol_answers import Answer, in_words, judged, signed
from xrayinterp.anomaly.protocol_lines import Line, Place, plain
from xrayinterp.anomaly.protocol_questions import (
    QUESTIONS,
    Question,
    answers,
    asked,
    at_a_glance,
    experts_compared,
    overall,
)

NOISE = np.random.default_rng(0).normal(0, 0.05, 400)


def line(detector: str, value: float, *, metric: str = "auroc", view: str = "", task: str = "nih") -> Line:
    """All lines share their resamples' noise: a difference between two is exact."""
    place = Place("nih", task, "findings", metric, view, ALL)
    return Line(place, detector, (value, value, value), 9, 9, value + NOISE, (0, 1, 2))


def of_seeds(detector: str, values: dict[int, float], noise: float = 0.0, seed: int = 0) -> Line:
    """A line whose seeds differ, with noise of its own."""
    mean = float(np.mean(list(values.values())))
    own = np.random.default_rng(seed).normal(0, noise, 400)
    return replace(line(detector, mean), values=tuple(values.values()), seeds=tuple(values), draws=mean + own)


QUESTION = Question("Better?", ("distillation", "gradient"), ("last-layer", "gradient"))


def test_noise_that_two_share_does_not_hide_a_difference() -> None:
    (one,) = answers(QUESTION, [line("distillation@compact", 0.62), line("last-layer@compact", 0.60)])
    assert (one.difference, one.low, one.high) == pytest.approx((0.02, 0.02, 0.02))
    assert one.verdict == "better"
    assert one.expert == "compact"


def test_only_the_same_expert_metric_and_way_of_maps_are_compared() -> None:
    found = [
        line("distillation@compact", 0.6), line("last-layer@random", 0.5),
        line("distillation@compact", 0.7, metric="pro", view="gradient"),
        line("last-layer@compact", 0.8, metric="pro", view="gradient"),
        line("last-layer@compact", 0.1, metric="pro", view="difference"),
        line("last-layer@compact", 0.1, metric="pixel-auroc", view="gradient"),
    ]  # fmt: skip
    (one,) = answers(QUESTION, found)
    assert (one.metric, one.verdict) == ("pro", "worse")


def test_two_ways_of_one_detector_are_compared_on_maps_alone() -> None:
    ways = Question("?", ("distillation", "gradient"), ("distillation", "difference"))
    found = [line("distillation@compact", 0.6)]
    found += [
        line("distillation@compact", v, metric="pro", view=w) for w, v in (("gradient", 0.4), ("difference", 0.3))
    ]
    (one,) = answers(ways, found)
    assert one.difference == pytest.approx(0.1)


def test_detectors_without_an_expert_stand_beside_all() -> None:
    question = Question("?", ("distillation", "gradient"), ("reconstruction", "own"))
    found = [line("distillation@compact", 0.6), line("distillation@random", 0.4), line("reconstruction", 0.5)]
    assert [(a.expert, a.verdict) for a in answers(question, found)] == [("compact", "better"), ("random", "worse")]


def test_of_several_tasks_the_mean_is_compared() -> None:
    found = [line(f"{name}@compact", 0.5, task=task) for name in ("distillation", "last-layer") for task in ("", "a")]
    assert len(answers(QUESTION, found)) == 1


@pytest.mark.parametrize(
    ("verdicts", "start"),
    [
        ((1, 1, 0), "Yes"), ((-1, -1, 0), "No, the reverse"), ((0, 0), "Cannot be told"), ((1, -1), "Sometimes"),
        ((-1, 0, 0), "No"), ((1, 0, 0), "Sometimes"), ((1, -1, -1), "No, the reverse"),
    ],
)  # fmt: skip
def test_in_words(verdicts: tuple[int, ...], start: str) -> None:
    made = [Answer("", "auroc", "", v, v - 0.5, v + 0.5, (v, v, v), 0.01, 0.01) for v in verdicts]
    too_few = Answer("", "auroc", "", 1, 0.5, 1.5)
    assert in_words([*made, too_few]).startswith(f"{start}: of {len(made)} comparisons")


def test_below_three_seeds_nothing_is_concluded() -> None:
    first, second = of_seeds("distillation@compact", {0: 0.9, 1: 0.9}), line("last-layer@compact", 0.5)
    (one,) = answers(QUESTION, [first, second])
    assert (one.verdict, one.adjusted) == ("—", "—")
    assert in_words([one]) == "Nothing is concluded from fewer than 3 seeds."
    apart = of_seeds("distillation@compact", {0: 0.9, 1: 0.9, 3: 0.9, 4: 0.9})
    assert answers(QUESTION, [apart, second])[0].verdict == "—"  # two seeds are shared


def test_a_seed_that_disagrees_forbids_a_verdict() -> None:
    second = of_seeds("last-layer@compact", {0: 0.5, 1: 0.5, 2: 0.5})
    for last, verdict in ((0.49, "not told apart"), (0.51, "better")):
        first = of_seeds("distillation@compact", {0: 0.9, 1: 0.9, 2: last})
        assert answers(QUESTION, [first, second])[0].verdict == verdict


def test_what_has_no_seeds_stands_beside_each_seed() -> None:
    question = Question("?", ("distillation", "gradient"), ("centre", "own"))
    centre = replace(line("centre", 0.5), values=(0.5,), seeds=())
    (one,) = answers(question, [of_seeds("distillation@compact", {0: 0.6, 1: 0.7, 2: 0.8}), centre])
    assert one.by_seed == pytest.approx((0.1, 0.2, 0.3))
    assert one.verdict == "better"


def test_p_is_adjusted_for_the_comparisons_of_a_question() -> None:
    """A difference of two and a half errors is told apart alone, and not among twenty."""
    seeds = {0: 0.52, 1: 0.53, 2: 0.525}
    first = of_seeds("distillation@compact", seeds, noise=0.01, seed=1)
    second = replace(line("last-layer@compact", 0.5), draws=np.full(400, 0.5))
    (alone,) = answers(QUESTION, [first, second])
    assert alone.p == pytest.approx(math.erfc(alone.difference / first.draws.std(ddof=1) / math.sqrt(2)))
    assert (alone.verdict, alone.p_holm) == ("better", alone.p)
    among = judged([alone, *[replace(alone, p=0.5)] * 18, replace(alone, by_seed=())])
    assert among[0].p_holm == pytest.approx(19 * alone.p)  # the last one was not judged and does not count
    assert among[0].verdict == "not told apart"
    assert among[-1].verdict == "—"


def test_who_saw_the_test_films_is_compared_with_nobody() -> None:
    for seen in ("yes", "unknown"):
        found = [replace(line("distillation@nih", 0.9), seen=seen), line("last-layer@nih", 0.5)]
        assert overall(found) == found[1:]
        assert answers(QUESTION, found) == []
        assert at_a_glance([replace(one, seen=seen) for one in (line("nearest@all", 0.9), *found)]) == []


def test_means_over_some_tasks_say_so() -> None:
    some = [
        replace(line(f"{name}@compact", 0.5, task=""), images=None, tasks=(2, 10))
        for name in ("distillation", "last-layer")
    ]
    assert answers(QUESTION, some)[0].place == "nih (2 of 10 tasks), findings"
    assert some[0].count == "mean of 2 of 10"
    assert replace(some[0], tasks=(10, 10)).count == "mean of 10"
    assert answers(QUESTION, [line(one.detector, 0.5, task="nih-3") for one in some])[0].place == "nih-3, findings"


def test_numbers_as_text() -> None:
    assert (plain(0.5), plain(1.0), plain(0.0004)) == (".500", "1.000", ".000")
    assert (signed(0.021), signed(-0.004)) == ("+.021", "−.004")
    assert (signed(-0.0001), signed(float("nan"))) == (".000", "–")


def test_every_question_names_methods_and_ways_that_are_there() -> None:
    from xrayinterp.anomaly.protocol_detectors import METHODS

    for question in QUESTIONS:
        for method, way in (question.first, question.second):
            assert way in METHODS[method].views(32)
    assert asked([]) == []


def test_at_a_glance_takes_the_best_of_each_side_and_leaves_out_who_was_told() -> None:
    found = [
        line("distillation@compact", 0.60), line("standardised@compact", 0.65), line("nearest@random", 0.62),
        line("gaussian@compact", 0.61), line("weak", 0.90), line("centre", 0.95),
    ]  # fmt: skip
    told = at_a_glance(found)
    assert len(told) == 3
    assert "`standardised@compact` .650 | 2 | `nearest@random` .620 | 2 | +.030 |" in told[2]
    assert "better" not in "".join(told)
    assert at_a_glance(found[:2]) == at_a_glance(found[4:]) == []


def test_experts_are_compared_within_a_method() -> None:
    found = [line("distillation@compact", 0.6), line("distillation@random", 0.5), line("nearest@random", 0.7)]
    told = experts_compared(found)
    assert sum("less" in row for row in told) == 1
    assert "compact less random | +.100 (+.100 to +.100) | < .001 | better" in told[-2]
    assert experts_compared(found[1:]) == []
