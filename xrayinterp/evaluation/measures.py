"""What is measured of a map when methods are compared over films: one table of measures, one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import torch

from ..attribution import Forward
from ..attribution.registry import method_named
from ..dissection.atlas import Atlas
from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel
from ..semantics import split
from .curves import Areas, areas
from .lamps import LAMPS, State
from .localisation import Localisation, Mask, localise
from .perturbation import at_size
from .randomisation import Randomised, randomised
from .readings import Shared, Subject, measured
from .references import Films
from .sensitivity_n import Removals, removals, sensitivity_n
from .similarity import constant


@dataclass(frozen=True)
class Metric:
    """One measure of maps.

    `direction` says which values are better; `unit` is what they are in. `lamp` names the lamp of the trust strip that
    it is. `outlined`: it needs an outline of the finding on the film.
    """

    name: str
    title: str
    direction: Literal["higher", "lower"]
    unit: str
    lamp: str | None = None
    outlined: bool = False


def _of_lamp(name: str, lamp: str, unit: str) -> Metric:
    return Metric(name, LAMPS[lamp].title, LAMPS[lamp].direction, unit, lamp)


DEFINITIONS = 2
"""Raised with every change of what a measure means: results of different definitions do not mix."""
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _of_lamp("weight-sensitivity", "follows-weights", "rho"),
            _of_lamp("class-sensitivity", "follows-finding", "rho"),
            _of_lamp("stability", "stable", "rho"),
            _of_lamp("faithful", "faithful", "share of rivals"),
            _of_lamp("covered", "covered-by-concepts", "share of contributions"),
            Metric("morf", "Most relevant filled first", "higher", "mean drop of the logit"),
            Metric("lerf", "Least relevant filled first", "lower", "mean change of the logit"),
            Metric("sensitivity-n", "Sensitivity-n", "higher", "r"),
            Metric("pointing", "Pointing game", "higher", "share of films", outlined=True),
            Metric("energy", "Energy inside the outline", "higher", "share of the map", outlined=True),
            Metric("iou", "IoU at the outline's area", "higher", "IoU", outlined=True),
        )
    }
)
"""Every measure by name, in the order of tables."""


@dataclass(frozen=True)
class Value:
    """One measure of one map; None where not measurable. `reference` and `state` are the lamp's, if it is one."""

    metric: str
    value: float | None
    reference: float | None = None
    state: State | None = None


@dataclass(frozen=True, eq=False)
class Copies:
    """A model at every depth of randomisation, made once for all films, when first asked for."""

    model: ChestModel
    seed: int

    @cached_property
    def all(self) -> tuple[Randomised, ...]:
        """Depth by depth, each a copy of its own."""
        return tuple(randomised(self.model, seed=self.seed, keep=True))


@dataclass(frozen=True, eq=False)
class Bench:
    """One film before one model, and what all methods and findings share on it."""

    model: ChestModel
    forward: Forward
    films: Films
    atlases: tuple[Atlas, ...]
    copies: Copies
    methods: tuple[str, ...]
    seed: int

    @cached_property
    def shared(self) -> Shared:
        """What all methods and findings are compared with on this film."""
        settings = {method: method_named(method).settings({}) for method in self.methods}
        return Shared(self.model, self.forward.x, settings, lambda: self.copies.all, self.seed)

    @cached_property
    def removed(self) -> Removals:
        """What the logits lose when cells of the film are filled."""
        return removals(self.model, self.forward.x, seed=self.seed)

    def subject(self, finding: str, method: str) -> Subject:
        """One method's map of one finding, with the method's default options."""
        cut = self.forward.cut()
        return Subject(
            forward=self.forward,
            model=self.model,
            finding=finding,
            method=method,
            settings=method_named(method).settings({}),
            films=self.films,
            semantic=lambda: split(self.model, cut.maps.detach(), cut.logits.detach(), finding, self.atlases),
            seed=self.seed,
            shared=self.shared,
        )


def metrics_named(names: Sequence[str]) -> tuple[Metric, ...]:
    """The measures of those names, in the order of `METRICS`.

    Raises:
        XrayInterpError: `bad-option` for a name that no measure bears, listing those there are.
    """
    for name in names:
        if name not in METRICS:
            raise XrayInterpError(Code.BAD_OPTION, f"There is no metric {name!r}.", f"There are: {', '.join(METRICS)}.")
    return tuple(metric for name, metric in METRICS.items() if name in names)


def measure(bench: Bench, finding: str, method: str, metrics: Sequence[Metric], outline: Mask | None) -> list[Value]:
    """Measures of one method's map of one finding on one film, in the order given.

    Those that need an outline are left out where there is none. A map that is the same everywhere has no MoRF, LeRF or
    Sensitivity-n, and in an outline only luck.
    """
    gauge = _Gauge(bench, bench.subject(finding, method), outline)
    return [gauge.value(metric) for metric in metrics if not (metric.outlined and outline is None)]


@dataclass(frozen=True, eq=False)
class _Gauge:
    bench: Bench
    subject: Subject
    outline: Mask | None

    def value(self, metric: Metric) -> Value:
        if metric.lamp is not None:
            reading = measured(self.subject, metric.lamp)
            return Value(metric.name, reading.value, reading.reference, reading.state)
        if metric.outlined:
            return Value(metric.name, getattr(self.localisation, metric.name))
        if constant(self.subject.native):
            return Value(metric.name, None)
        if metric.name == "sensitivity-n":
            return Value(metric.name, self._sensitivity_n())
        return Value(metric.name, getattr(self.areas, metric.name))

    @cached_property
    def areas(self) -> Areas:
        subject = self.subject
        x, target, most = subject.forward.x, subject.target, subject.drops
        return areas(subject.model, x, subject.full, target, most=most, seed=subject.seed)

    @cached_property
    def localisation(self) -> Localisation:
        if self.outline is None:
            raise XrayInterpError(Code.BAD_OPTION, "Localisation was asked for on a film without an outline.")
        return localise(self.subject.full, self.outline)

    def _sensitivity_n(self) -> float | None:
        signed = at_size(torch.from_numpy(self.subject.native), self.subject.forward.x)
        return sensitivity_n(signed, self.bench.removed, self.bench.model.index(self.subject.finding))
