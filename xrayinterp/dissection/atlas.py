"""The atlas of a model: which unit of which layer fires where a concept is, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

ProbeSeen = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class AtlasRow:
    """One unit and one concept of one layer, pooled over all pixels of all probe films.

    `iou` of the unit's region (values above `threshold`) with the concept's masks; `ceiling` is the highest IoU that
    the region's area allows, min(area, coverage) / max(area, coverage); `precision` the share of the region inside the
    masks. `null_p` is the permutation p-value of the unit's best concept and `null_high` the IoU this concept must
    exceed: the 95th percentile of the unit's best IoU over permuted masks. `ci_low` and `ci_high` bound `iou` over
    patients. `area` and `coverage` are shares of all pixels; `films` and `patients` count those that show the concept.
    `iou_crossfit`, on the row of the unit's best concept, is the IoU of the concept that one half of the patients
    chooses, measured on the other half, averaged both ways (None elsewhere). `label` is True for the unit's concept if
    it is a detector, on several rows where the label is joint. `exemplars` are the unit's strongest films.
    """

    layer: str
    unit: int
    concept: str
    iou: float
    precision: float
    ceiling: float
    null_p: float
    null_high: float
    ci_low: float
    ci_high: float
    threshold: float
    area: float
    coverage: float
    films: int
    patients: int
    probe: str
    probe_seen: ProbeSeen
    label: bool
    iou_crossfit: float | None = None
    exemplars: tuple[str, ...] = ()

    @property
    def share_of_ceiling(self) -> float:
        """IoU as a share of what the areas allow, by which the concepts of a unit compete for its name."""
        return self.iou / self.ceiling if self.ceiling > 0 else 0.0


@dataclass(frozen=True)
class Reference:
    """Mean pooled value of every unit, (units,) float64, over films without findings: what "normal" contributes."""

    means: npt.NDArray[np.float64]
    films: int
    described: str


@dataclass(frozen=True)
class Atlas:
    """Everything known of a model's units from one probe set.

    `references` maps a layer to its Reference. `provenance` holds model name and hash, probe, definition, counts, seed.
    """

    model: str
    model_sha256: str | None
    probe: str
    definition: str
    rows: tuple[AtlasRow, ...]
    references: Mapping[str, Reference] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
