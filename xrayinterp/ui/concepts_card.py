"""One unit in full: what it fires on and how surely, what it drives, what happens without it, and where it fires."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..dissection.unit_facts import CausalEffect, Effect, UnitFacts
from ..dissection.unit_index import UnitEntry, shortcuts_of
from ..models.card import Interval
from ..report.atlas_words import layer_title, like, unit_facts, unit_sentence, unit_title
from ..report.unit_words import ABSENT, SHORTCUTS
from ..report.words import readable, signed
from . import page
from .atlas_shelf import Shown
from .charts import chart
from .concepts_exemplars import exemplars_panel
from .figures_atlas import FIT_LEGEND, MOST_FINDINGS, Fit, drives_figure, fits_figure
from .state import Case

CLOSEST = 4
"""Concepts drawn on a card, beside those that name the unit."""
EFFECTS = ("Output", "Logit", "Random units", "p", "AUROC", "Random units", "p")
ALONE = ("Output", "Logit", "AUROC")


def unit_card(case: Case, shown: Shown, entry: UnitEntry) -> None:
    """Everything that is known of a unit."""
    with st.container(border=True, key="unit-card"):
        page.heading(f"{unit_title(entry)}, {layer_title(entry.layer).lower()}")
        page.line(unit_sentence(entry))
        _fits(shown, entry)
        page.facts(unit_facts(entry))
        _use(shown, entry)
        exemplars_panel(case, shown, entry)


def _fits(shown: Shown, entry: UnitEntry) -> None:
    named = [row for row in entry.rows if row.label]
    rows = [*named, *(row for row in entry.rows if not row.label and row.iou > 0)][: len(named) + CLOSEST]
    if not rows:
        return
    page.legend(FIT_LEGEND)
    words = "; ".join(f"{readable(row.concept)} {row.iou:.2f}, chance {row.null_high:.2f}" for row in rows)
    chart(
        fits_figure([Fit.of(row) for row in rows]), key=f"unit-fits-{shown.key}-{entry.layer}-{entry.unit}",
        alt=f"Dot chart of this unit's IoU with its closest concepts: {words}.",
    )  # fmt: skip


def _use(shown: Shown, entry: UnitEntry) -> None:
    """What the model makes of the unit; measured at the layer that the head averages, and there only."""
    facts = shown.facts
    page.heading("What the model uses it for", 3)
    if facts is None:
        whose = shown.owner or "this model"
        page.line(f"Not measured: head use and causal effects of {whose} are not here.")
        return
    if entry.layer != facts.layer:
        page.line(
            f"Measured at {layer_title(facts.layer).lower()} only: what an earlier unit does passes through all that "
            "follow, so that its part of an output is not a plain sum."
        )  # fmt: skip
        return
    if entry.unit >= len(facts.units.mean[0]):
        page.line("Not measured for this unit.")
        return
    _drives(shown, facts, entry)
    _shortcuts(facts, entry)
    _without(shown, facts, entry)


def _drives(shown: Shown, facts: UnitFacts, entry: UnitEntry) -> None:
    moved = drives(facts, entry.unit)
    if not moved:
        return
    words = ", ".join(f"{readable(name)} {signed(value.value, 3)}" for name, value in moved)
    chart(
        drives_figure(moved), key=f"drives-{shown.key}-{entry.unit}",
        alt=f"Bar chart of what this unit adds to outputs on films with the finding: {words}.",
    )  # fmt: skip
    page.line(
        "Weight times how much stronger it fires on films with the finding than on films without any, in logits; line: "
        f"95 % interval. A film counts by {facts.shown}."
    )


def drives(facts: UnitFacts, unit: int) -> list[tuple[str, Interval]]:
    """The outputs that a unit moves most, by its contrast."""
    u = facts.units
    rows = zip(facts.findings, u.contrast, u.low, u.high, strict=True)
    known = [(name, c[unit], low[unit], high[unit]) for name, c, low, high in rows]
    moved = [(n, Interval(c, lo, hi)) for n, c, lo, hi in known if c is not None and lo is not None and hi is not None]
    return sorted(moved, key=lambda one: -abs(one[1].value))[:MOST_FINDINGS]


def _shortcuts(facts: UnitFacts, entry: UnitEntry) -> None:
    found = shortcuts_of(facts).get(entry.unit, ())
    if not found:
        partly = {row.concept for row in facts.shortcuts if row.unit == entry.unit}
        if partly:
            told = ", ".join(SHORTCUTS.get(name, name) for name in sorted(partly))
            page.line(f"On some of the films with pastes it fires on {told}, on others it does not.")
        return
    told = ", ".join(SHORTCUTS.get(name, name) for name in found)
    rows = [row for row in facts.shortcuts if row.unit == entry.unit and row.concept in found]
    most = max(rows, key=lambda row: abs(row.push))
    adds = f"adds {signed(most.push, 3)} to {readable(most.finding)} where that is on the film"
    page.line(f"Shortcut: it fires on {told}, and {adds}.", "caution")


def _without(shown: Shown, facts: UnitFacts, entry: UnitEntry) -> None:
    """The causal check of the unit's concept, and of the unit alone."""
    concept = entry.labels[0] if entry.labels else None
    effects = [row for row in facts.causal if (row.probe, row.concept) == (shown.atlas.probe, concept)]
    if effects and concept:
        effect = told_effect(effects, concept)
        page.line(_effect_words(effect, concept))
    with st.expander("What changes without it, output by output"):
        if effects and concept:
            page.line(
                f"All {like(concept)} units held at their mean, against as many random units of equal contribution; "
                "95 % interval over patients; p is not corrected for the number of outputs."
            )
            page.table(EFFECTS, [_effect_row(row) for row in effects], f"Effect of removing all {like(concept)} units")
        page.line("This unit alone held at its mean; a single unit among hundreds seldom shows.")
        rows = zip(facts.findings, facts.units.logit, facts.units.auroc, strict=True)
        page.table(
            ALONE,
            [(readable(n), _alone(logit[entry.unit]), _alone(auroc[entry.unit])) for n, logit, auroc in rows],
            "Effect of removing this unit alone",
        )


def told_effect(effects: Sequence[CausalEffect], concept: str) -> CausalEffect:
    """The effect told in words: on the output of the concept's own name, else on the one whose logit moves most."""
    own = next((row for row in effects if readable(row.finding) == readable(concept) and row.logit), None)
    return own or max(effects, key=lambda row: abs(row.logit.change.value) if row.logit else -1.0)


def _effect_words(effect: CausalEffect, concept: str) -> str:
    if effect.logit is None:
        return f"Without its {like(concept)} units: no film with the finding to measure it on."
    parts = [f"logit {_told(effect.logit)}"]
    if effect.auroc is not None:
        parts.append(f"AUROC {_told(effect.auroc)}")
    return f"Without all {like(concept)} units, on films with {readable(effect.finding).lower()}: {'; '.join(parts)}."


def _told(effect: Effect) -> str:
    own = f"{signed(effect.change.value, 3)} ({signed(effect.change.low, 3)} to {signed(effect.change.high, 3)})"
    if effect.random is None or effect.p is None:
        return own
    return f"{own}, random units {signed(effect.random, 3)}, p {effect.p:.3f}"


def _effect_row(effect: CausalEffect) -> tuple[str, ...]:
    return (readable(effect.finding), *_effect_cells(effect.logit), *_effect_cells(effect.auroc))


def _effect_cells(effect: Effect | None) -> tuple[str, str, str]:
    if effect is None:
        return ABSENT, ABSENT, ABSENT
    own = f"{signed(effect.change.value, 3)} ({signed(effect.change.low, 3)} to {signed(effect.change.high, 3)})"
    random = ABSENT if effect.random is None else signed(effect.random, 3)
    return own, random, ABSENT if effect.p is None else f"{effect.p:.3f}"


def _alone(value: float | None) -> str:
    return ABSENT if value is None else signed(value, 4)
