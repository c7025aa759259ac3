"""A card says which units fire on shortcuts, what each concept's units move, and what could not be found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.unit_facts import shortcut, some_facts

from xrayinterp.dissection.unit_facts import CausalEffect, ConceptUse, Effect
from xrayinterp.models.card import Interval
from xrayinterp.models.registry import describe
from xrayinterp.report.unit_words import CONCEPT_COLUMNS, concept_caption, concept_rows, strongest_uses, unit_lines


def use(finding: str, contrast: float | None, concept: str = "Disc", patients: int = 40) -> ConceptUse:
    interval = None if contrast is None else Interval(contrast, contrast - 0.1, contrast + 0.1)
    return ConceptUse(finding, "p", concept, 7, 0.1, interval, 0.2, 50, patients)


def test_a_concept_is_told_by_the_output_it_moves_most() -> None:
    effect = Effect(Interval(-0.02, -0.03, -0.01), 0.0, -0.01, 0.01, 0.004)
    causal = [CausalEffect(f, "p", "Disc", (7, 7), effect, None, effect if f == "b" else None, 1.0) for f in "ab"]
    facts = some_facts(concepts=(use("a", 0.1), use("b", -0.5), use("c", None)), causal=tuple(causal))
    (row,) = concept_rows(facts)
    assert row == ("Disc (p)", "7", "Zone b", "-0.500 (-0.600 to -0.400)", "-0.0200 (-0.0300 to -0.0100)", "0.004")
    assert len(row) == len(CONCEPT_COLUMNS)


def test_an_output_with_few_positive_patients_is_not_preferred() -> None:
    facts = some_facts(concepts=(use("a", 0.1), use("b", -0.5, patients=14)))
    assert [one.finding for one in strongest_uses(facts)] == ["a"]
    assert [one.finding for one in strongest_uses(some_facts(concepts=(use("b", -0.5, patients=3),)))] == ["b"]


def test_what_was_not_measured_is_a_dash_not_a_nought() -> None:
    (row,) = concept_rows(some_facts(concepts=(use("a", None),), causal=()))
    assert row == ("Disc (p)", "7", "–", "–", "–", "–")


def test_shortcut_units_are_listed_and_the_rest_counted() -> None:
    many = [shortcut(probe, unit, "marker") for probe in ("one", "two") for unit in range(15)]
    facts = replace(some_facts(), shortcuts=(shortcut("one", 3), shortcut("two", 3), *many))
    told = [text for term, text in unit_lines(facts) if term == "Shortcut"]
    assert "side markers: 15 units fire on them: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more." in told
    assert "burnt-in text: 1 unit fires on them: 3." in told
    assert "ECG leads: no unit fires on them on synthetic and on real films." in told


def test_what_a_probe_could_not_find_is_said_to_be_undetectable() -> None:
    told = dict(unit_lines(some_facts()))
    assert told["Undetectable"] == "with the probe one: Marker. A count of 0 says nothing of these."


@pytest.mark.parametrize("name", ["compact", "weak", "brixia"])
def test_cards_of_the_built_in_models_have_words(name: str) -> None:
    from xrayinterp.dissection.unit_facts import unit_facts_for

    facts = unit_facts_for(describe(name))
    assert facts is not None
    rows = concept_rows(facts)
    assert {row[0] for row in rows} == {f"{c.replace('_', ' ').capitalize()} ({p})" for p, c in _concepts(facts)}
    assert name in concept_caption(facts) and "crossed between halves" in concept_caption(facts)
    assert any("Calcification" in text for term, text in unit_lines(facts) if term == "Undetectable")


def _concepts(facts: object) -> set[tuple[str, str]]:
    return {(one.probe, one.concept) for one in facts.concepts}  # type: ignore[attr-defined]
