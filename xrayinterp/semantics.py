"""Semantic attribution: a logit split exactly over concepts, their units, the unnamed rest and the bias.

At a rectified map A_k(u) that a linear head averages, logit = bias + sum_k C_k with C_k = w_k mean_u A_k(u): gradient x
activation, integrated gradients and ablation of unit k agree there. A unit bears a concept's name only where it fires,
A_k(u) > T_k, hence C_k = above + below; and much of it is there on every film, hence the contrast against normal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dissection.atlas import Atlas
from .dissection.naming import UnitNames, name_units
from .errors import Code, XrayInterpError
from .models.chest_model import ChestModel

LAYER = "norm5"
"""The layer where the split is exact: the last rectified map, which the head averages."""

TOLERANCE = 1e-4
"""Largest error of an identity, relative to max(1, |logit|)."""

REST = 12
"""Unlabelled units listed by name."""

FINENESS = 8
"""Cells of a concept's region along one cell of the map: the grid on which `khakzar2021` measures IoU."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnitShare:
    """One unit's part of a logit, from zero, and the part that comes from where it fires (above its threshold).

    `contrast` is the contribution minus its mean over normal films, None without a reference. `probe` names the probe
    set of the label. `peak` is (y, x) in [0, 1] of the model's square where the unit contributes most. `joint` lists
    the concepts that its label could as well be: their IoU cannot be told from that of `concept`.
    """

    unit: int
    concept: str | None
    contribution: float
    above: float
    contrast: float | None
    iou: float | None
    ceiling: float | None
    precision: float | None
    probe: str | None
    peak: tuple[float, float]
    joint: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConceptShare:
    """The units of one concept together; `units` sorted by |contrast| (|contribution| without a reference)."""

    concept: str
    contribution: float
    above: float
    contrast: float | None
    units: tuple[UnitShare, ...]


@dataclass(frozen=True)
class SemanticAttribution:
    """logit = sum of concept contributions + unlabelled + bias, to 1e-4 relative (asserted when made).

    With a reference, logit - reference_logit = sum of concept contrasts + unlabelled_contrast (asserted likewise).
    `rest` are the strongest unlabelled units. `residual` and `contrast_residual` are the relative errors found.
    `advice` says how to make an atlas where the model has none.
    """

    layer: str
    finding: str
    logit: float
    bias: float
    unlabelled: float
    unlabelled_above: float
    concepts: tuple[ConceptShare, ...]
    rest: tuple[UnitShare, ...]
    reference_logit: float | None
    reference_described: str | None
    unlabelled_contrast: float | None
    residual: float
    contrast_residual: float | None
    probes: tuple[str, ...]
    advice: str | None


@dataclass(frozen=True)
class ConceptChange:
    """What the units of one concept did to a logit between two films, and the part of it from where they fire."""

    concept: str
    change: float
    above: float
    units: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Change:
    """logit after - logit before = sum of concept changes + unlabelled, to 1e-4 relative (asserted when made).

    The bias is the same on both films and cancels, as does any reference. `concepts` and the units of each, as
    (unit, change), are sorted by |change|. `residual` is the relative error found.
    """

    finding: str
    before: float
    after: float
    concepts: tuple[ConceptChange, ...]
    unlabelled: float
    unlabelled_above: float
    residual: float

    @property
    def total(self) -> float:
        """The change of the logit."""
        return self.after - self.before


def split(
    model: ChestModel, maps: Tensor, logits: Tensor, finding: str, atlases: Sequence[Atlas]
) -> SemanticAttribution:
    """Split one film's logit over the concepts of its units, in float64.

    Args:
        model: what gave `maps` and `logits`; for regression outputs "logit" is the raw output.
        maps: rectified map of `norm5`, (1, U, h, w). `logits`: (1, F) of the same forward.
        finding: the output to split.
        atlases: what is known of the model's units, merged as `name_units` says.

    Raises:
        XrayInterpError: `unknown-finding`, `atlas-mismatch`, `unknown-layer` where the head is not average and linear,
            `internal` where concepts + unlabelled + bias miss the logit by more than `TOLERANCE`.
    """
    labels = name_units(model, atlases, LAYER)
    ledger = _Ledger.of(model, maps, finding, labels)
    logit = float(logits[0, model.index(finding)])
    by_concept: dict[str | None, list[UnitShare]] = {None: []}
    for share in ledger.shares():
        by_concept.setdefault(share.concept, []).append(share)
    rest = sorted(by_concept[None], key=strength, reverse=True)
    concepts = [_concept(name, shares) for name, shares in by_concept.items() if name is not None]
    unlabelled = sum(share.contribution for share in rest)
    reference_logit = contrast = None
    if ledger.normal is not None:
        reference_logit = ledger.bias + float(ledger.normal.sum())
        contrast = sum(share.contrast or 0.0 for share in rest)
    return SemanticAttribution(
        layer=LAYER,
        finding=finding,
        logit=logit,
        bias=ledger.bias,
        unlabelled=unlabelled,
        unlabelled_above=sum(share.above for share in rest),
        concepts=tuple(sorted(concepts, key=strength, reverse=True)),
        rest=tuple(rest[:REST]),
        reference_logit=reference_logit,
        reference_described=labels.reference.described if labels.reference else None,
        unlabelled_contrast=contrast,
        residual=_checked(logit, [c.contribution for c in concepts], unlabelled + ledger.bias),
        contrast_residual=None
        if reference_logit is None or contrast is None
        else _checked(logit, [c.contrast or 0.0 for c in concepts], contrast + reference_logit),
        probes=labels.probes,
        advice=None if labels.probes else how_to_label(model, LAYER),
    )


def concept_regions(
    model: ChestModel, maps: Tensor, finding: str, atlases: Sequence[Atlas]
) -> dict[str, npt.NDArray[np.float32]]:
    """For each concept of the model, what its units contribute where they fire: float32 (8h, 8w), 0 elsewhere.

    Maps (1, U, h, w) are drawn up bilinearly to the grid on which units were labelled and cut at the same thresholds.
    Values are in logit units a cell: a region's sum is what its units contribute there.
    """
    weight, _ = _head(model, finding, maps)
    A = maps[0].detach().cpu().double()
    share = torch.from_numpy(weight / A[0].numel())[:, None, None]
    return firing_regions(A, A * share, name_units(model, atlases, LAYER))


def firing_regions(A: Tensor, contributions: Tensor, names: UnitNames) -> dict[str, npt.NDArray[np.float32]]:
    """For each concept, what its units contribute where they fire, on a grid `FINENESS` times as fine as the map's.

    Args:
        A: rectified map (U, h, w). `contributions` (U, h, w) of each unit and cell; both are drawn up bilinearly, which
            keeps the sum of contributions, and cut where A exceeds the unit's threshold.
        names: of the layer's units.
    """
    found = {}
    for concept in sorted({row.concept for row in names.rows.values()}):
        units = [unit for unit, row in sorted(names.rows.items()) if row.concept == concept]
        fine, cells = (_drawn_up(values[units].cpu().double()) for values in (A, contributions))
        fires = fine > names.threshold[units][:, None, None]
        found[concept] = (np.where(fires, cells, 0.0).sum(0) / FINENESS**2).astype(np.float32)
    return found


def _drawn_up(maps: Tensor) -> Floats:
    size = (FINENESS * maps.shape[-2], FINENESS * maps.shape[-1])
    fine: Floats = F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0].numpy()
    return fine


def change(before: SemanticAttribution, after: SemanticAttribution) -> Change:
    """The change of one logit between two films of one model, split exactly over concepts.

    Raises:
        XrayInterpError: `bad-option` where the two are not splits of one finding over the same units; `internal` where
            the parts miss the change by more than `TOLERANCE`.
    """
    pairs = _paired(before, after)
    concepts = sorted((_concept_change(*pair) for pair in pairs), key=lambda part: abs(part.change), reverse=True)
    unlabelled = after.unlabelled - before.unlabelled
    scale = max(1.0, abs(before.logit), abs(after.logit))
    return Change(
        finding=after.finding,
        before=before.logit,
        after=after.logit,
        concepts=tuple(concepts),
        unlabelled=unlabelled,
        unlabelled_above=after.unlabelled_above - before.unlabelled_above,
        residual=_checked(after.logit - before.logit, [part.change for part in concepts], unlabelled, scale),
    )


def _paired(before: SemanticAttribution, after: SemanticAttribution) -> list[tuple[ConceptShare, ConceptShare]]:
    """Shares of the same concept in both, after checking that the two splits can be subtracted."""
    firsts, seconds = ({share.concept: share for share in side.concepts} for side in (before, after))
    units = [{name: {u.unit for u in share.units} for name, share in side.items()} for side in (firsts, seconds)]
    same = (before.finding, before.layer, before.bias) == (after.finding, after.layer, after.bias)
    if not same or units[0] != units[1]:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The splits of {before.finding!r} and {after.finding!r} are not of one output over the same units.",
            "Split the same finding on both films, with one model and the same atlases.",
        )
    return [(firsts[name], seconds[name]) for name in firsts]


def _concept_change(before: ConceptShare, after: ConceptShare) -> ConceptChange:
    firsts = {unit.unit: unit.contribution for unit in before.units}
    units = ((unit.unit, unit.contribution - firsts[unit.unit]) for unit in after.units)
    return ConceptChange(
        concept=after.concept,
        change=after.contribution - before.contribution,
        above=after.above - before.above,
        units=tuple(sorted(units, key=lambda unit: abs(unit[1]), reverse=True)),
    )


@dataclass(frozen=True)
class _Ledger:
    """Every unit's entries for one logit, each (U,) float64; `normal` is what it contributes to a normal film."""

    contribution: Floats
    above: Floats
    normal: Floats | None
    peak: Floats
    bias: float
    labels: UnitNames

    @classmethod
    def of(cls, model: ChestModel, maps: Tensor, finding: str, labels: UnitNames) -> _Ledger:
        weight, bias = _head(model, finding, maps)
        A = maps[0].detach().cpu().double().numpy()
        units, height, width = A.shape
        flat = A.reshape(units, -1)
        fires = flat > labels.threshold[:, None]
        row, column = np.divmod(flat.argmax(1), width)
        return cls(
            contribution=weight * flat.mean(1),
            above=weight * np.where(fires, flat, 0.0).mean(1),
            normal=None if labels.reference is None else weight * labels.reference.means,
            peak=np.stack([(row + 0.5) / height, (column + 0.5) / width], axis=1),
            bias=bias,
            labels=labels,
        )

    def shares(self) -> list[UnitShare]:
        """One share a unit, in the order of units."""
        contrast = [None] * len(self.above) if self.normal is None else (self.contribution - self.normal).tolist()
        columns = zip(self.contribution.tolist(), self.above.tolist(), contrast, self.peak.tolist(), strict=True)
        return [self._share(unit, *column) for unit, column in enumerate(columns)]

    def _share(
        self, unit: int, contribution: float, above: float, contrast: float | None, peak: Sequence[float]
    ) -> UnitShare:
        row = self.labels.rows.get(unit)
        return UnitShare(
            unit=unit,
            concept=row.concept if row else None,
            contribution=contribution,
            above=above,
            contrast=contrast,
            iou=row.iou if row else None,
            ceiling=row.ceiling if row else None,
            precision=row.precision if row else None,
            probe=row.probe if row else None,
            peak=(peak[0], peak[1]),
            joint=self.labels.joint.get(unit, ()),
        )


def _concept(name: str, shares: Sequence[UnitShare]) -> ConceptShare:
    contrasts = [share.contrast for share in shares if share.contrast is not None]
    return ConceptShare(
        concept=name,
        contribution=sum(share.contribution for share in shares),
        above=sum(share.above for share in shares),
        contrast=sum(contrasts) if contrasts else None,
        units=tuple(sorted(shares, key=strength, reverse=True)),
    )


def strength(share: UnitShare | ConceptShare) -> float:
    """What shares are ranked by: |contrast|, or |contribution| without a reference."""
    return abs(share.contribution if share.contrast is None else share.contrast)


def _checked(logit: float, parts: Sequence[float], rest: float, scale: float = 1.0) -> float:
    residual = abs(sum(parts) + rest - logit) / max(scale, abs(logit))
    if not residual <= TOLERANCE:  # so that a NaN is caught as well
        raise XrayInterpError(
            Code.INTERNAL,
            f"The parts of the logit {logit:.6g} miss it by {residual:.3g} relative; at most {TOLERANCE:g} is allowed.",
            "Maps and logits must come from one forward of this model.",
        )
    return residual


def _head(model: ChestModel, finding: str, maps: Tensor) -> tuple[Floats, float]:
    """Weights (U,) and bias of one output of the model's linear head, after checking that it fits the maps."""
    head = getattr(model.module, "classifier", None)
    if not isinstance(head, nn.Linear) or maps.ndim != 4 or len(maps) != 1 or maps.shape[1] != head.in_features:
        raise XrayInterpError(
            Code.UNKNOWN_LAYER,
            f"Model {model.name!r} and a map of shape {tuple(maps.shape)} allow no exact split.",
            f"It needs one film's map at {LAYER!r} of a model whose head is average pooling and a linear layer.",
        )
    index = model.index(finding)
    bias = 0.0 if head.bias is None else float(head.bias[index])
    return head.weight[index].detach().cpu().double().numpy(), bias


def how_to_label(model: ChestModel, layer: str) -> str:
    """How to make an atlas of a layer that has none."""
    return (
        f"No atlas says what the units of {model.name!r} respond to, so all of them are unlabelled. Make one with: "
        f"xrayinterp dissect --model {model.name} --probes chestx-det --layer {layer} --out FILE.parquet"
    )
