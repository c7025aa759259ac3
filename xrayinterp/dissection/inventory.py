"""An atlas as an inventory: detectors of every concept at every layer, beside what chance alone would give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .atlas import Atlas, AtlasRow
from .labels import MAX_P
from .summary import ConceptSummary, detectors, summary


@dataclass(frozen=True)
class UnitChance:
    """p-values that rows do not hold, by unit of one layer; empty where the atlas does not tell.

    `family`: against the best of all units and concepts. `positives`: against permuted masks among each concept's own
    films, so that it asks where and not merely whether.
    """

    family: tuple[float, ...] = ()
    positives: tuple[float, ...] = ()

    def family_of(self, unit: int) -> float | None:
        """Family-wise p of a unit."""
        return self.family[unit] if unit < len(self.family) else None

    def positives_of(self, unit: int) -> float | None:
        """Positives-only p of a unit."""
        return self.positives[unit] if unit < len(self.positives) else None


@dataclass(frozen=True)
class ConceptLine:
    """One concept at one layer.

    `family_wise` and `among_positives` count those of `found.detectors` whose unit passes the stricter test. `expected`
    is how many units IoU > .04 alone gives this concept where masks are dealt to other patients' films, on average;
    None for anatomy, which lies alike on those films, so that its units are judged by more than that. None each where
    the atlas does not tell. `null_high`: the IoU that the best unit had to exceed.
    """

    found: ConceptSummary
    family_wise: int | None
    among_positives: int | None
    expected: float | None
    null_high: float


@dataclass(frozen=True)
class LayerInventory:
    """One layer; `detectors` counts units, a joint label once; `expected` is the sum over the lines that have one."""

    layer: str
    units: int
    detectors: int
    family_wise: int | None
    among_positives: int | None
    expected: float | None
    lines: tuple[ConceptLine, ...]

    def line(self, concept: str) -> ConceptLine | None:
        """One concept's line."""
        return next((line for line in self.lines if line.found.concept == concept), None)


def inventory(atlas: Atlas) -> tuple[LayerInventory, ...]:
    """The layers of an atlas, from the input's side to the output's as far as their names tell."""
    by_layer: dict[str, list[ConceptSummary]] = {}
    for found in summary(atlas):
        by_layer.setdefault(found.layer, []).append(found)
    return tuple(_layer(atlas, layer, by_layer[layer]) for layer in layers_of(atlas))


def layers_of(atlas: Atlas) -> tuple[str, ...]:
    """Layers of an atlas in the network's order: "denseblockN" by N, then what follows them."""
    names = dict.fromkeys(row.layer for row in atlas.rows)
    return tuple(sorted(names, key=_depth))


def chance_of(atlas: Atlas, layer: str) -> UnitChance:
    """The p-values that the atlas keeps beside its rows."""
    told = _told(atlas, layer)
    return UnitChance(_numbers(told.get("family_p")), _numbers(told.get("positives_p")))


def anatomy_of(atlas: Atlas) -> frozenset[str]:
    """Concepts that lie at about the same place on every film."""
    named = atlas.provenance.get("anatomy")
    return frozenset(name for name in named if isinstance(name, str)) if isinstance(named, list) else frozenset()


def _depth(layer: str) -> tuple[int, int]:
    tail = layer.removeprefix("denseblock")
    return (0, int(tail)) if tail != layer and tail.isdecimal() else (1, 0)


def _layer(atlas: Atlas, layer: str, found: Sequence[ConceptSummary]) -> LayerInventory:
    rows = [row for row in atlas.rows if row.layer == layer]
    chance, told = chance_of(atlas, layer), _told(atlas, layer)
    labelled = [row for row in rows if row.label]
    by_concept = _dict(_dict(told.get("permuted")).get("by_concept"))
    anatomy = anatomy_of(atlas)
    by_chance = {name: value for name, value in by_concept.items() if name not in anatomy}
    lines = tuple(_line(one, rows, chance, by_chance) for one in found)
    expected = [line.expected for line in lines if line.expected is not None]
    return LayerInventory(
        layer=layer,
        units=len({row.unit for row in rows}),
        detectors=detectors(atlas, layer),
        family_wise=_passing(labelled, chance.family),
        among_positives=_passing(labelled, chance.positives),
        expected=sum(expected) if expected else None,
        lines=lines,
    )


def _line(
    found: ConceptSummary, rows: Sequence[AtlasRow], chance: UnitChance, expected: Mapping[str, Any]
) -> ConceptLine:
    own = [row for row in rows if row.concept == found.concept]
    labelled = [row for row in own if row.label]
    best = next(row for row in own if row.unit == found.best_unit)
    return ConceptLine(
        found,
        _passing(labelled, chance.family),
        _passing(labelled, chance.positives),
        _number(expected.get(found.concept)),
        best.null_high,
    )


def _passing(labelled: Sequence[AtlasRow], p: Sequence[float]) -> int | None:
    """Units among labelled rows whose p-value is at most .05; None where p-values do not reach as far."""
    units = {row.unit for row in labelled}
    if not p or any(unit >= len(p) for unit in units):
        return None
    return sum(p[unit] <= MAX_P for unit in units)


def _told(atlas: Atlas, layer: str) -> Mapping[str, Any]:
    return _dict(_dict(atlas.provenance.get("layers")).get(layer))


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def _numbers(value: Any) -> tuple[float, ...]:
    """A list of numbers, or nothing: provenance is free in form, and may come from a file of unknown origin."""
    listed = [_number(one) for one in value] if isinstance(value, list) else []
    return tuple(one for one in listed if one is not None) if None not in listed else ()
