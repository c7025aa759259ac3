"""What a model's card says of its units: concepts contained and used, shortcuts, and what could not be found."""

from __future__ import annotations

from collections.abc import Iterator

from ..dissection.unit_facts import CausalEffect, ConceptUse, UnitFacts
from .words import readable

CONCEPT_COLUMNS = ("Concept", "Units", "Moves most", "By (logits)", "AUROC without its units", "p against random units")
LISTED = 12
"""Unit numbers written out before the rest is counted."""
SHORTCUTS = {
    "marker": "side markers",
    "lead": "ECG leads",
    "collimation": "collimated borders",
    "text": "burnt-in text",
}
ABSENT = "–"
FEWEST = 15
"""Positive patients from which an output is preferred: what fewer give is mostly noise."""


def unit_lines(facts: UnitFacts) -> Iterator[tuple[str, str]]:
    """Terms and sentences: which units fire on shortcuts, and which concepts each probe set could not have found."""
    found = facts.shortcut_units()
    for name, text in SHORTCUTS.items():
        yield "Shortcut", f"{text}: {_counted(found.get(name, ()))}"
    for probe in facts.probes:
        if probe.undetectable:
            names = ", ".join(readable(name) for name in probe.undetectable)
            yield "Undetectable", f"with the probe {probe.probe}: {names}. A count of 0 says nothing of these."


def concept_rows(facts: UnitFacts) -> list[tuple[str, ...]]:
    """One row a probe set and concept that labels units: the output they move most, and what that output loses."""
    effects = {(row.finding, row.probe, row.concept): row for row in facts.causal}
    return [_row(use, effects.get((use.finding, use.probe, use.concept))) for use in strongest_uses(facts)]


def strongest_uses(facts: UnitFacts) -> list[ConceptUse]:
    """For each concept the output whose contrast its units move most, of those with enough positive patients."""
    strongest: dict[tuple[str, str], ConceptUse] = {}
    for use in facts.concepts:
        key = (use.probe, use.concept)
        if key not in strongest or _moves(use) > _moves(strongest[key]):
            strongest[key] = use
    return list(strongest.values())


def concept_caption(facts: UnitFacts) -> str:
    """What the figures of `concept_rows` were measured on, and how to read them."""
    return (
        f"What units of {facts.model} contain and what its outputs use ({facts.films} unseen films of {facts.patients} "
        "patients; labels crossed between halves of patients; p is not corrected for the number of rows)"
    )


def _moves(use: ConceptUse) -> tuple[bool, float]:
    return use.patients >= FEWEST, 0.0 if use.contrast is None else abs(use.contrast.value)


def _row(use: ConceptUse, effect: CausalEffect | None) -> tuple[str, ...]:
    auroc = effect.auroc if effect else None
    change = auroc.change if auroc else None
    moved = use.contrast
    return (
        f"{readable(use.concept)} ({use.probe})",
        str(use.units),
        readable(use.finding) if moved else ABSENT,
        f"{moved.value:+.3f} ({moved.low:+.3f} to {moved.high:+.3f})" if moved else ABSENT,
        f"{change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})" if change else ABSENT,
        f"{auroc.p:.3f}" if auroc and auroc.p is not None else ABSENT,
    )


def _counted(units: tuple[int, ...]) -> str:
    if not units:
        return "no unit fires on them on synthetic and on real films."
    listed = ", ".join(map(str, units[:LISTED]))
    more = f" and {len(units) - LISTED} more" if len(units) > LISTED else ""
    return f"{len(units)} unit{'s fire' if len(units) > 1 else ' fires'} on them: {listed}{more}."
