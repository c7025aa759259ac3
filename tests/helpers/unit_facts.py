"""Facts of units as they would be measured, in small."""

from __future__ import annotations

from dataclasses import replace

from xrayinterp.dissection.unit_facts import (
    CausalEffect,
    ConceptUse,
    Effect,
    ProbeCoverage,
    ShortcutUnit,
    UnitFacts,
    UnitFigures,
)
from xrayinterp.models.card import Interval

INTERVAL = Interval(0.1 + 0.2, -1 / 3, 0.5)
EFFECT = Effect(INTERVAL, 0.01, -0.1, 0.1, 1 / 501)
ROWS = ((0.1, None), (1 / 3, -2e-5))


def shortcut(probe: str, unit: int, concept: str = "text") -> ShortcutUnit:
    return ShortcutUnit(probe, concept, unit, 0.1, 0.05, 0.2, 0.9, 0.5, 0.01, "a", -0.2)


def some_facts(**changes: object) -> UnitFacts:
    made = UnitFacts(
        model="blobs",
        model_sha256="0" * 64,
        layer="maps",
        findings=("a", "b"),
        shown="the label of the same name",
        films=10,
        patients=7,
        normal_films=4,
        units=UnitFigures(ROWS, ROWS, ROWS, ROWS, ROWS, ROWS),
        concepts=(
            ConceptUse("a", "p", "disc", 2, 0.5, INTERVAL, 0.25, 3, 2),
            ConceptUse("b", "p", "disc", 2, 0.5, None, None, 0, 0),
        ),
        causal=(CausalEffect("a", "p", "disc", (1, 0), EFFECT, INTERVAL, None, 0.99),),
        shortcuts=(shortcut("one", 3), shortcut("two", 3), shortcut("one", 5), shortcut("two", 4, "marker")),
        probes=(
            ProbeCoverage("one", 5, 5, {"text": 2, "marker": 0}, ("marker",)),
            ProbeCoverage("two", 5, 5, {"text": 1, "marker": 1}, ()),
        ),
        provenance={"seed": 0},
    )
    return replace(made, **changes)
