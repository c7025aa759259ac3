"""Semantic attribution at any layer, measured twice: gradient x activation, and taking units out.

At the last map the two are the same number and the split is exact (`semantics`). At an earlier layer they part:
gradient x activation is the first order of what ablation does, and a network with biases is not homogeneous, so that
not even the sum over all units is the logit's change. Nothing here adds up by construction, hence both measures, their
disagreement and what stays unexplained are the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor

from .attribution.forward import Forward
from .attribution.target import Target
from .dissection.ablation import Baseline, held_values
from .dissection.atlas import Atlas
from .dissection.naming import UnitNames, name_units
from .models.chest_model import ChestModel
from .operators.batching import batched
from .operators.replacing import MapReplacement
from .semantics import firing_regions, how_to_label

STRONGEST = 12
"""Units taken out one by one because their gradient x activation is largest in absolute value."""
SPREAD = 20
"""Further units taken out one by one, at even steps down the ranks: a rank correlation must not be of the top alone."""
BATCH = 64
"""Maps run on together from the layer, memory permitting: what lies below the layer runs once a batch."""

Floats = npt.NDArray[np.float64]
Units = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Measured:
    """What some units give a logit, by both measures, beyond what they would give at the baseline m.

    `gradient` is sum_k sum_u (A_k(u) - m_k) df/dA_k(u); `ablation` is f(x) - f(x; A_k := m_k for all of them), by a
    real forward.
    """

    gradient: float
    ablation: float

    @property
    def difference(self) -> float:
        """Ablation minus gradient x activation: what the first order does not tell."""
        return self.ablation - self.gradient

    @property
    def same_sign(self) -> bool:
        """Whether both measures say that the units support, or both that they oppose."""
        return bool(np.sign(self.gradient) == np.sign(self.ablation))


@dataclass(frozen=True)
class LayerUnit(Measured):
    """One unit. `above` is the part of sum_u A_k(u) df/dA_k(u), from zero, that comes from where the unit fires.

    `peak` is (y, x) in [0, 1] of the model's square where |A_k df/dA_k| is largest; the rest is as in `UnitShare`.
    """

    unit: int
    concept: str | None
    above: float
    iou: float | None
    ceiling: float | None
    precision: float | None
    probe: str | None
    peak: tuple[float, float]
    joint: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerConcept(Measured):
    """The units of one concept (None: those without) taken together, and taken out together."""

    concept: str | None
    above: float
    units: tuple[int, ...]


@dataclass(frozen=True)
class LayerMeasures:
    """Both measures against one baseline; concepts sorted by the larger of their two sizes.

    `total` is the whole layer, so that `total.difference` is what gradient x activation leaves unexplained. `units` are
    those taken out one by one, strongest first, over which `rank_correlation` (Spearman) is taken: None where a measure
    is constant. `described` says what normal films are, None for the baseline zero.
    """

    baseline: Baseline
    described: str | None
    concepts: tuple[LayerConcept, ...]
    unlabelled: LayerConcept
    total: Measured
    units: tuple[LayerUnit, ...]
    rank_correlation: float | None

    @property
    def unexplained(self) -> float | None:
        """|total.difference| as a share of the larger measure of the whole layer; None where both are zero."""
        larger = _size(self.total)
        return abs(self.total.difference) / larger if larger else None

    @property
    def opposed(self) -> tuple[LayerConcept, ...]:
        """Concepts of which one measure says that they support the finding, the other that they oppose it."""
        return tuple(concept for concept in self.concepts if not concept.same_sign)


@dataclass(frozen=True)
class LayerAttribution:
    """One finding of one film at one layer: measures from zero and, where a reference is known, from normal films.

    `regions` maps a concept to float32 (8h, 8w): gradient x activation of its units where they fire, 0 elsewhere.
    `ablations` counts the maps that were run on from the layer. `advice` says how to name units where nobody did.
    """

    layer: str
    finding: str
    logit: float
    measures: tuple[LayerMeasures, ...]
    regions: Mapping[str, npt.NDArray[np.float32]]
    ablations: int
    probes: tuple[str, ...]
    advice: str | None

    def against(self, baseline: Baseline) -> LayerMeasures:
        """The measures from this baseline, or from zero where there are none."""
        return next((one for one in self.measures if one.baseline is baseline), self.measures[0])


def attribute_layer(
    forward: Forward, model: ChestModel, finding: str, layer: str, names: UnitNames
) -> LayerAttribution:
    """Measure what the units of a layer, and their concepts, give one film's logit.

    Costs the gradient of one backward from the logit to the layer, and for each baseline one run of what lies above the
    layer a concept, one a unit of `STRONGEST` + `SPREAD`, and two more.

    Args:
        forward: the model on one film.
        model: its layers; for regression outputs "logit" is the raw output.
        finding: the output.
        layer: a dissection layer.
        names: of the layer's units, as `name_units` gives them.

    Raises:
        XrayInterpError: `unknown-finding`; `unknown-layer` where the layer has no map with a gradient;
            `unsupported-operator` where the network cannot be run on from there.
    """
    index = model.index(finding)
    maps, slope = forward.map_gradient(Target(index), layer)
    A, g = maps[0].cpu().double(), slope[0].cpu().double()
    ledgers = [_Ledger.of(A, g, names, baseline) for baseline in _baselines(names)]
    network = MapReplacement(model.module, model.layer(layer).path, forward.x)
    changed = chain.from_iterable(ledger.changed(maps[0]) for ledger in ledgers)
    logits = [float(row[index]) for row in batched(network, changed, batch=BATCH)]
    whole, runs = float(forward.cut(layer).logits.detach()[0, index]), iter(logits)
    return LayerAttribution(
        layer=layer,
        finding=finding,
        logit=whole,
        measures=tuple(ledger.measures([whole - next(runs) for _ in ledger.sets]) for ledger in ledgers),
        regions=firing_regions(A, A * g, names),
        ablations=len(logits),
        probes=names.probes,
        advice=None if names.probes else how_to_label(model, layer),
    )


def named_layers(model: ChestModel, atlases: Sequence[Atlas]) -> tuple[str, ...]:
    """Layers of a model at which some atlas labels units, the last first."""
    return tuple(layer for layer in reversed(tuple(model.layers)) if name_units(model, atlases, layer).rows)


def _baselines(names: UnitNames) -> tuple[Baseline, ...]:
    return (Baseline.ZERO,) if names.reference is None else (Baseline.ZERO, Baseline.NORMAL_MEAN)


@dataclass(frozen=True)
class _Ledger:
    """Every unit's gradient x activation from one baseline, (U,) float64, and the sets of units to take out.

    `sets`: each concept's units, those without a name, all, then single ones in the order of `singles`.
    """

    baseline: Baseline
    names: UnitNames
    held: Floats
    gradient: Floats
    above: Floats
    peak: Floats
    concepts: Mapping[str | None, Units]
    singles: Units

    @classmethod
    def of(cls, A: Tensor, g: Tensor, names: UnitNames, baseline: Baseline) -> _Ledger:
        units, height, width = A.shape
        means = np.zeros(units) if names.reference is None else names.reference.means
        held = held_values(baseline, means)
        flat, product = A.reshape(units, -1).numpy(), (A * g).reshape(units, -1).numpy()
        gradient = product.sum(1) - held * g.sum((1, 2)).numpy()
        row, column = np.divmod(np.abs(product).argmax(1), width)
        return cls(
            baseline=baseline,
            names=names,
            held=held,
            gradient=gradient,
            above=np.where(flat > names.threshold[:, None], product, 0.0).sum(1),
            peak=np.stack([(row + 0.5) / height, (column + 0.5) / width], axis=1),
            concepts=_by_concept(names, units),
            singles=_singles(gradient),
        )

    @property
    def sets(self) -> list[Units]:
        """Units to take out together, in order."""
        return [*self.concepts.values(), np.arange(len(self.held)), *self.singles[:, None]]

    def changed(self, maps: Tensor) -> Iterator[Tensor]:
        """The map (U, h, w) without each set of units."""
        held = torch.from_numpy(self.held).to(maps)[:, None, None]
        for units in self.sets:
            out = maps.clone()
            out[units] = held[units].expand_as(out[units])
            yield out

    def measures(self, ablations: Sequence[float]) -> LayerMeasures:
        """Everything measured, given what each set's ablation took away."""
        runs = iter(ablations)
        concepts = [self._concept(name, units, next(runs)) for name, units in self.concepts.items()]
        total = Measured(float(self.gradient.sum()), next(runs))
        units = [self._unit(int(unit), next(runs)) for unit in self.singles]
        pairs = np.array([(unit.gradient, unit.ablation) for unit in units])
        return LayerMeasures(
            baseline=self.baseline,
            described=self.names.reference.described if self._against_normal and self.names.reference else None,
            concepts=tuple(sorted((c for c in concepts if c.concept is not None), key=_size, reverse=True)),
            unlabelled=next(c for c in concepts if c.concept is None),
            total=total,
            units=tuple(units),
            rank_correlation=_rank_correlation(pairs),
        )

    @property
    def _against_normal(self) -> bool:
        return self.baseline is Baseline.NORMAL_MEAN

    def _concept(self, name: str | None, units: Units, ablation: float) -> LayerConcept:
        gradient, above = float(self.gradient[units].sum()), float(self.above[units].sum())
        return LayerConcept(gradient, ablation, name, above, tuple(units.tolist()))

    def _unit(self, unit: int, ablation: float) -> LayerUnit:
        row = self.names.rows.get(unit)
        return LayerUnit(
            gradient=float(self.gradient[unit]),
            ablation=ablation,
            unit=unit,
            concept=row.concept if row else None,
            above=float(self.above[unit]),
            iou=row.iou if row else None,
            ceiling=row.ceiling if row else None,
            precision=row.precision if row else None,
            probe=row.probe if row else None,
            peak=(float(self.peak[unit, 0]), float(self.peak[unit, 1])),
            joint=self.names.joint.get(unit, ()),
        )


def _by_concept(names: UnitNames, units: int) -> dict[str | None, Units]:
    """Units of each concept by its name, and those without under None."""
    of = np.array([names.rows[unit].concept if unit in names.rows else "" for unit in range(units)])
    return {name or None: np.flatnonzero(of == name) for name in sorted({*of.tolist(), ""})}


def _singles(gradient: Floats) -> Units:
    """The strongest units, and others at even steps down the ranks, strongest first."""
    order = np.argsort(-np.abs(gradient), kind="stable")
    rest = order[STRONGEST:]
    steps = np.unique(np.linspace(0, len(rest) - 1, min(SPREAD, len(rest))).round().astype(np.intp))
    return np.concatenate([order[:STRONGEST], rest[steps]])


def _rank_correlation(pairs: Floats) -> float | None:
    """Spearman's rho of two columns, ties at their mean rank."""
    if len(pairs) < 3 or (np.ptp(pairs, axis=0) == 0).any():
        return None
    return float(np.corrcoef(rankdata(pairs, axis=0), rowvar=False)[0, 1])


def _size(measured: Measured) -> float:
    return max(abs(measured.gradient), abs(measured.ablation))
