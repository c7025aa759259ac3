"""An atlas in a few lines: detectors per concept and layer, for tables and cards."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from .atlas import Atlas, AtlasRow
from .labels import MIN_IOU

UNDETECTABLE = "undetectable with this probe"


@dataclass(frozen=True)
class ConceptSummary:
    """The units of one layer that detect one concept.

    `detectors` counts labelled units, joint labels for each of their concepts; `by_iou_alone` the units whose best
    concept this is with IoU > .04, whatever chance gives. The rest is of the best unit (labelled ones before others).
    `median_precision` is over detectors, None without any. `films` and `patients` show the concept.
    """

    layer: str
    concept: str
    detectors: int
    by_iou_alone: int
    best_unit: int
    best_iou: float
    best_low: float
    best_high: float
    best_ceiling: float
    best_crossfit: float | None
    median_precision: float | None
    highest_ceiling: float
    films: int
    patients: int

    @property
    def detectable(self) -> bool:
        """False where no unit could reach IoU .04 on this probe set, because the concept covers too little or much."""
        return self.highest_ceiling > MIN_IOU

    @property
    def counted(self) -> str:
        """The number of detectors as tables tell it; where there could be none that is said, since 0 would mislead."""
        return str(self.detectors) if self.detectable else UNDETECTABLE


def summary(atlas: Atlas) -> tuple[ConceptSummary, ...]:
    """One summary a layer and concept, in the atlas's order."""
    best: dict[tuple[str, int], AtlasRow] = {}
    groups: defaultdict[tuple[str, str], list[AtlasRow]] = defaultdict(list)
    for row in atlas.rows:
        groups[row.layer, row.concept].append(row)
        key = (row.layer, row.unit)
        if key not in best or row.iou > best[key].iou:
            best[key] = row
    return tuple(_summary(rows, best) for rows in groups.values())


def detectors(atlas: Atlas, layer: str) -> int:
    """Number of labelled units of a layer, a joint label counting once."""
    return len({row.unit for row in atlas.rows if row.label and row.layer == layer})


def _summary(rows: list[AtlasRow], best: dict[tuple[str, int], AtlasRow]) -> ConceptSummary:
    top = max(rows, key=lambda row: (row.label, row.iou))
    labelled = [row for row in rows if row.label]
    return ConceptSummary(
        layer=top.layer,
        concept=top.concept,
        detectors=len(labelled),
        by_iou_alone=sum(best[row.layer, row.unit] is row and row.iou > MIN_IOU for row in rows),
        best_unit=top.unit,
        best_iou=top.iou,
        best_low=top.ci_low,
        best_high=top.ci_high,
        best_ceiling=top.ceiling,
        best_crossfit=top.iou_crossfit,
        median_precision=median(row.precision for row in labelled) if labelled else None,
        highest_ceiling=max(row.ceiling for row in rows),
        films=top.films,
        patients=top.patients,
    )
