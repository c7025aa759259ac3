"""What the atlases of a model say of its units, merged: one name, one threshold and one reference each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel
from .atlas import Atlas, AtlasRow, Reference


@dataclass(frozen=True)
class UnitNames:
    """Names and thresholds of the units of one layer.

    `rows` holds each labelled unit's winning row, `joint` the other concepts of a joint label, `threshold` (U,) every
    unit's threshold, NaN where no atlas knows the unit. `reference` is what normal films give, None where nobody said;
    `probes` the probe sets that looked at the layer.
    """

    rows: Mapping[int, AtlasRow]
    joint: Mapping[int, tuple[str, ...]]
    threshold: npt.NDArray[np.float64]
    reference: Reference | None
    probes: tuple[str, ...]


def name_units(model: ChestModel, atlases: Sequence[Atlas], layer: str) -> UnitNames:
    """Merge the atlases of one model at one of its layers.

    A unit takes the concept with the highest IoU/ceiling among the rows labelled so, whatever the probe set, and that
    row's threshold; the reference with the most films stands for normal.

    Raises:
        XrayInterpError: `unknown-layer`, or `atlas-mismatch` for other weights or another number of units.
    """
    units = model.layer(layer).units
    best: dict[int, AtlasRow] = {}
    joint: dict[int, tuple[str, ...]] = {}
    threshold = np.full(units, np.nan)
    probes = []
    for atlas in atlases:
        rows = [row for row in atlas.rows if row.layer == layer]
        _check(atlas, rows, model, layer, units)
        probes += [atlas.probe] if rows else []
        _fill(threshold, rows)
        for unit, labelled in _labelled(rows).items():
            winner = max(labelled, key=lambda row: row.share_of_ceiling)
            if unit not in best or winner.share_of_ceiling > best[unit].share_of_ceiling:
                best[unit], threshold[unit] = winner, winner.threshold
                joint[unit] = tuple(row.concept for row in labelled if row is not winner)
    references = [atlas.references[layer] for atlas in atlases if layer in atlas.references]
    reference = max(references, key=lambda one: one.films, default=None)
    return UnitNames(best, joint, threshold, reference, tuple(dict.fromkeys(probes)))


def _fill(threshold: npt.NDArray[np.float64], rows: Sequence[AtlasRow]) -> None:
    """Thresholds of the units that had none yet."""
    known = (~np.isnan(threshold)).tolist()
    for row in rows:
        if not known[row.unit]:
            threshold[row.unit] = row.threshold


def _labelled(rows: Sequence[AtlasRow]) -> dict[int, list[AtlasRow]]:
    labelled: dict[int, list[AtlasRow]] = {}
    for row in rows:
        if row.label:
            labelled.setdefault(row.unit, []).append(row)
    return labelled


def _check(atlas: Atlas, rows: Sequence[AtlasRow], model: ChestModel, layer: str, units: int) -> None:
    expected = model.card.sha256
    other = None not in (expected, atlas.model_sha256) and expected != atlas.model_sha256
    means = atlas.references[layer].means if layer in atlas.references else None
    beyond = any(not 0 <= row.unit < units for row in rows) or (means is not None and means.shape != (units,))
    if other or beyond:
        what = "other weights" if other else f"another number of units than {units}"
        raise XrayInterpError(
            Code.ATLAS_MISMATCH,
            f"The atlas of {atlas.model!r} on {atlas.probe!r} was made with {what}; it does not fit {model.name!r}.",
            "Make it again with `xrayinterp dissect`.",
        )
