"""Questions about a run whose answers were put there."""

from __future__ import annotations

import numpy as np
import pytest

from xrayinterp.anomaly.protocol import ALL
from xrayinterp.anomaly.protocol_lines import Line, Place, plain
from xrayinterp.anomaly.protocol_questions import (
    QUESTIONS,
    Answer,
    Question,
    answers,
    asked,
    at_a_glance,
    experts_compared,
    in_words,
    signed,
)

NOISE = np.random.default_rng(0).normal(0, 0.05, 400)


def line(detector: str, value: float, *, metric: str = "auroc", view: str = "", task: str = "nih") -> Line:
    """All lines share their resamples' noise: a difference between two is exact."""
    return Line(Place("nih", task, "findings", metric, view, ALL), detector, (value, value), 9, 9, value + NOISE)


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
        ((-1, 0, 0), "No"), ((1, 0, 0), "Sometimes"),
    ],
)  # fmt: skip
def test_in_words(verdicts: tuple[int, ...], start: str) -> None:
    made = [Answer("", "auroc", "", v, v - 0.5, v + 0.5) for v in verdicts]
    assert in_words(made).startswith(f"{start}: of {len(made)} comparisons")


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
    assert "`standardised@compact` .650 | `nearest@random` .620 | +.030 (+.030 to +.030) | better" in told[2]
    assert at_a_glance(found[:2]) == at_a_glance(found[4:]) == []


def test_experts_are_compared_within_a_method() -> None:
    found = [line("distillation@compact", 0.6), line("distillation@random", 0.5), line("nearest@random", 0.7)]
    told = experts_compared(found)
    assert sum("less" in row for row in told) == 1
    assert "compact less random | +.100" in told[-2]
    assert experts_compared(found[1:]) == []
