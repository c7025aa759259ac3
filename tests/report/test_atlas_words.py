"""Sentences about atlases: made by rule, so that each says what the figures say and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.atlases import counted_atlas

from xrayinterp.dissection.inventory import inventory
from xrayinterp.dissection.unit_index import unit_entries
from xrayinterp.report.atlas_words import (
    caveats,
    comparable,
    differences,
    headline,
    layer_title,
    probe_words,
    reservations,
    unit_facts,
    unit_sentence,
    unit_title,
)  # fmt: skip

NAMES = ("one", "two")


def last(counts: dict[str, int], **changes: object):
    return inventory(counted_atlas({"norm5": counts}, **changes))[-1]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "None of the 8 units of the last layer answers to a concept better than chance."),
        ({"Effusion": 1}, "1 of the 8 units of the last layer answers to a concept, to effusion (1)."),
        (
            {"Effusion": 3, "Cardiomegaly": 2},
            "5 of the 8 units of the last layer answer to a concept, to effusion (3) and cardiomegaly (2).",
        ),
        (
            {"Effusion": 3, "Cardiomegaly": 2, "Lungs": 1},
            "6 of the 8 units of the last layer answer to a concept, to effusion (3), cardiomegaly (2) and lungs (1).",
        ),
    ],
)
def test_the_inventory_in_a_sentence(counts: dict[str, int], sentence: str) -> None:
    assert headline(last(counts)) == sentence


def test_the_sentence_is_not_read_without_chance_and_what_was_undetectable() -> None:
    said = " ".join(caveats(last({"Effusion": 3, "Lungs": 1})))
    assert (
        "By IoU alone 3 would count, anatomy left out; with the outlines dealt to other patients' films 0.75"
        not in said
    )
    assert "By IoU alone 3 would count, anatomy left out" in said
    assert "2 of 4 do better than the best that chance gives" in said
    assert "so that 0 says nothing: nodule." in said


def test_nothing_is_said_of_tests_that_the_atlas_does_not_tell() -> None:
    said = " ".join(caveats(last({"Effusion": 3}, told=False)))
    assert "better than" not in said
    assert "by chance" not in said
    assert "nodule" in said


def test_none_family_wise_is_a_warning() -> None:
    atlas = counted_atlas({"norm5": {"Effusion": 2}})
    layers = {"norm5": {"family_p": [0.9] * 8}}
    (layer,) = inventory(replace(atlas, provenance=dict(atlas.provenance) | {"layers": layers}))
    assert any("None does better" in one and "none can be relied on" in one for one in caveats(layer))


def test_a_difference_is_told_only_where_one_has_units_beyond_chance_and_the_other_has_none() -> None:
    told = differences(last({"Effusion": 3}), last({"Cardiomegaly": 1}), NAMES)
    assert told == [
        "Effusion: one has 3 units, 2 of them beyond chance over all units; two has none.",
        "Cardiomegaly: two has 1 unit, 1 of them beyond chance over all units; one has none.",
    ]
    assert differences(last({"Effusion": 3}), last({"Effusion": 1}), NAMES) == []
    assert differences(last({"Effusion": 3}, told=False), last({}), NAMES) == []


def test_fits_are_told_apart_where_intervals_do_not_meet() -> None:
    weak, strong = last({"Effusion": 1}, iou=0.1), last({"Effusion": 1}, iou=0.3)
    (told,) = differences(weak, strong, NAMES)
    assert (
        told == "Effusion: the best unit of two fits better (0.30, 0.24 to 0.36) than that of one (0.10, 0.08 to 0.12)."
    )
    assert differences(last({"Effusion": 1}, iou=0.25), strong, NAMES) == []


def test_two_atlases_are_compared_in_words_on_the_same_films_only() -> None:
    atlas = counted_atlas()
    assert comparable(atlas, replace(atlas, model="other"))
    assert reservations(atlas, replace(atlas, model="other"), NAMES) == []
    other = replace(atlas, probe="elsewhere", definition="bau2017")
    assert not comparable(atlas, other)
    assert len(reservations(atlas, other, NAMES)) == 2
    fewer = replace(atlas, provenance=dict(atlas.provenance) | {"films": 3})
    assert not comparable(atlas, fewer)
    seen = replace(atlas, rows=tuple(replace(row, probe_seen="yes") for row in atlas.rows))
    assert "two was trained on films of this probe" in reservations(atlas, seen, NAMES)[0]


def test_a_unit_in_words() -> None:
    named, bare = unit_entries(counted_atlas({"norm5": {"Effusion": 1}}))[:2]
    assert unit_title(named) == "Unit 0 · effusion-like"
    assert unit_title(bare) == "Unit 1 · no concept"
    assert "IoU 0.10 (95 % 0.08 to 0.12) of at most 0.50; chance reaches 0.03" in unit_sentence(named)
    assert unit_sentence(bare).startswith("It detects no concept of this probe. Closest is effusion")
    facts = dict(unit_facts(named))
    assert facts["By chance"] == "p 0.010 for this unit, 0.010 over all units and concepts, 0.020 in the right place"
    assert facts["Could as well be"] == "no other concept"
    assert "12 films of 9 patients" in facts["Films"]


def test_layers_and_films_have_names() -> None:
    assert [layer_title(name) for name in ("norm5", "denseblock2", "maps")] == ["Last layer", "Dense block 2", "maps"]
    assert probe_words(counted_atlas()) == "Drawn films, 40 films of 20 patients"
    assert probe_words(counted_atlas(provenance={"probe": 3})) == "drawn"
