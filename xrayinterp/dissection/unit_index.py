"""The units of an atlas as a list that can be searched: by concept, fit, layer, head use and shortcut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .atlas import Atlas, AtlasRow
from .inventory import chance_of, layers_of
from .unit_facts import UnitFacts


@dataclass(frozen=True)
class UnitEntry:
    """One unit and its rows: the one that names it first, then other labels, then by falling IoU.

    `family_p` and `positives_p` as in `UnitChance`, None where not known.
    """

    layer: str
    unit: int
    rows: tuple[AtlasRow, ...]
    family_p: float | None
    positives_p: float | None

    @property
    def best(self) -> AtlasRow:
        """The row of its name; of a unit without one, the row of its best concept."""
        return self.rows[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """The concepts it detects, its name first."""
        return tuple(row.concept for row in self.rows if row.label)

    def row(self, concept: str) -> AtlasRow | None:
        """Its figures for one concept."""
        return next((row for row in self.rows if row.concept == concept), None)


@dataclass(frozen=True)
class Sought:
    """What is looked for; the empty search finds everything.

    `concept` keeps units labelled with it, of unlabelled ones those whose best concept it is; `finding` those that give
    this output more, or less, on films with the finding: interval of the contrast without 0; `shortcuts` those that
    fire on something pasted on films.
    """

    layer: str | None = None
    concept: str | None = None
    least_iou: float = 0.0
    labelled: bool = False
    finding: str | None = None
    shortcuts: bool = False


def unit_entries(atlas: Atlas) -> tuple[UnitEntry, ...]:
    """Every unit, by layer and number."""
    rows: dict[tuple[str, int], list[AtlasRow]] = {}
    for row in atlas.rows:
        rows.setdefault((row.layer, row.unit), []).append(row)
    chance = {layer: chance_of(atlas, layer) for layer in layers_of(atlas)}
    order = {layer: number for number, layer in enumerate(chance)}
    return tuple(
        UnitEntry(
            layer, unit, tuple(sorted(rows[layer, unit], key=_rank)), chance[layer].family_of(unit),
            chance[layer].positives_of(unit),
        )
        for layer, unit in sorted(rows, key=lambda key: (order[key[0]], key[1]))
    )  # fmt: skip


def found(entries: Sequence[UnitEntry], sought: Sought, facts: UnitFacts | None) -> list[UnitEntry]:
    """The units looked for; without `facts` nothing is known of head use and shortcuts, and they find nothing."""
    used = used_for(facts, sought.finding) if sought.finding else None
    pasted = shortcuts_of(facts) if sought.shortcuts else None
    at = facts.layer if facts else None
    return [
        entry
        for entry in entries
        if (sought.layer is None or entry.layer == sought.layer)
        and _about(entry, sought)
        and (used is None or (entry.layer == at and entry.unit in used))
        and (pasted is None or (entry.layer == at and entry.unit in pasted))
    ]


def used_for(facts: UnitFacts | None, finding: str | None) -> dict[int, float]:
    """Units whose contrast in an output has an interval without 0, and the contrast in logits."""
    if facts is None or finding not in facts.findings:
        return {}
    f = facts.findings.index(finding)
    columns = zip(facts.units.contrast[f], facts.units.low[f], facts.units.high[f], strict=True)
    return {
        unit: value
        for unit, (value, low, high) in enumerate(columns)
        if value is not None and low is not None and high is not None and (low > 0 or high < 0)
    }


def shortcuts_of(facts: UnitFacts | None) -> Mapping[int, tuple[str, ...]]:
    """Units that fire on shortcuts wherever these were looked for, and on which."""
    out: dict[int, tuple[str, ...]] = {}
    for name, units in (facts.shortcut_units() if facts else {}).items():
        for unit in units:
            out[unit] = (*out.get(unit, ()), name)
    return out


def _about(entry: UnitEntry, sought: Sought) -> bool:
    if sought.labelled and not entry.labels:
        return False
    if sought.concept is None:
        return entry.best.iou >= sought.least_iou
    row = entry.row(sought.concept)
    named = sought.concept in (entry.labels or (entry.best.concept,))
    return named and row is not None and row.iou >= sought.least_iou


def _rank(row: AtlasRow) -> tuple[bool, float, float]:
    """Labels by share of their ceiling, as units are named; then the rest by IoU."""
    return (not row.label, -row.share_of_ceiling if row.label else -row.iou, -row.iou)
