"""Counts of an atlas against those it was made with, and searches among its units."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.atlases import CONCEPTS, COUNTS, UNITS, counted_atlas
from helpers.unit_facts import shortcut, some_facts
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.dissection.inventory import inventory, layers_of
from xrayinterp.dissection.unit_facts import UnitFigures
from xrayinterp.dissection.unit_index import Sought, found, shortcuts_of, unit_entries, used_for


def test_counts_are_those_it_was_made_with() -> None:
    layers = {layer.layer: layer for layer in inventory(counted_atlas())}
    assert list(layers) == ["denseblock3", "norm5"]
    last = layers["norm5"]
    counted = {line.found.concept: line.found.detectors for line in last.lines}
    assert counted == {"Effusion": 3, "Cardiomegaly": 2, "Nodule": 0, "Lungs": 1}
    assert (last.units, last.detectors) == (UNITS, 6)
    assert last.line("Effusion").family_wise == 2  # units 0 and 2 of 0, 1, 2
    assert last.line("Cardiomegaly").family_wise == 1  # unit 4 of 3, 4
    assert (last.family_wise, last.among_positives) == (3, 6)


def test_anatomy_is_not_expected_by_iou_alone_and_the_rest_adds_up() -> None:
    last = inventory(counted_atlas())[-1]
    assert last.line("Lungs").expected is None
    assert last.expected == pytest.approx(0.75)
    assert not last.line("Nodule").found.detectable


@pytest.mark.parametrize(
    "layers", [{}, {"norm5": {"family_p": [0.1, None], "permuted": 3}}, {"norm5": {"family_p": ["a"] * 8}}, "no"]
)
def test_what_provenance_does_not_tell_is_not_known_rather_than_nought(layers: object) -> None:
    atlas = counted_atlas()
    last = inventory(replace(atlas, provenance=dict(atlas.provenance) | {"layers": layers}))[-1]
    assert (last.family_wise, last.expected) == (None, None)
    assert last.detectors == 6


def test_blocks_come_by_number_and_the_last_layer_last() -> None:
    names = ("norm5", "denseblock10", "denseblock2", "denseblock1")
    atlas = counted_atlas({name: {} for name in names})
    assert layers_of(atlas) == ("denseblock1", "denseblock2", "denseblock10", "norm5")


def test_a_unit_is_named_by_its_share_of_the_ceiling() -> None:
    atlas = counted_atlas({"norm5": {"Effusion": 1}})
    rows = tuple(
        replace(row, label=True, iou=0.09, ceiling=0.1) if (row.unit, row.concept) == (0, "Lungs") else row
        for row in atlas.rows
    )
    entry = unit_entries(replace(atlas, rows=rows))[0]
    assert entry.labels == ("Lungs", "Effusion")
    assert entry.best.concept == "Lungs"


@given(
    concept=st.sampled_from([None, *CONCEPTS]), least=st.floats(0, 1), labelled=st.booleans(),
    layer=st.sampled_from([None, *COUNTS]),
)  # fmt: skip
def test_a_search_keeps_what_it_names_and_drops_nothing_else(concept, least, labelled, layer) -> None:
    entries = unit_entries(counted_atlas())
    kept = found(entries, Sought(layer, concept, least, labelled), None)
    for entry in entries:
        row = entry.row(concept) if concept else entry.best
        named = concept is None or concept in (entry.labels or (entry.best.concept,))
        wanted = layer in (None, entry.layer) and named and row.iou >= least and (not labelled or bool(entry.labels))
        assert (entry in kept) == wanted


def test_use_and_shortcuts_are_of_the_measured_layer_only() -> None:
    rows = tuple((0.2,) * UNITS for _ in range(2))
    low = ((0.1,) * 3 + (-0.1,) * 5, (None,) * UNITS)
    units = UnitFigures(rows, rows, low, rows, rows, rows)
    facts = some_facts(layer="norm5", units=units, shortcuts=(shortcut("one", 2),), probes=())
    entries = unit_entries(counted_atlas())
    assert set(used_for(facts, "a")) == {0, 1, 2}
    assert used_for(facts, "b") == {}
    assert [(one.layer, one.unit) for one in found(entries, Sought(finding="a"), facts)] == [
        ("norm5", u) for u in range(3)
    ]
    assert [one.unit for one in found(entries, Sought(shortcuts=True), facts)] == [2]
    assert shortcuts_of(facts) == {2: ("text",)}
    assert found(entries, Sought(shortcuts=True), None) == []
