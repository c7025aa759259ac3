"""Work beside the page: what takes long, kept by film, model and question, and begun one thing at a time.

Each piece makes a trace of its own, since the page goes on using the other one meanwhile. Nothing here imports torch
before a film is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph
from . import atlas_services, services
from .measuring import Measurement, Steps

if TYPE_CHECKING:
    from ..attribution.pathway_masks import Quota
    from ..dissection.atlas import Atlas
    from ..dissection.exemplars import Exemplar
    from ..evaluation.lamps import Reading
    from ..evaluation.pathways import FinderComparison, PathFigures
    from ..explanation import Explanation, Trace
    from ..semantics_earlier import LayerAttribution
    from .depths import Depth
    from .exemplar_work import FilmsRead
    from .paths import LinearClaim, OnPath

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """One finding of one film by one model, which all work here is about."""

    radiograph: Radiograph
    model: str
    finding: str
    fit: Fit


def asked_of(explanation: Explanation) -> Question:
    """The question that an explanation answers."""
    return Question(explanation.radiograph, explanation.model, explanation.finding, explanation.fit)


@dataclass(frozen=True)
class PathChoice:
    """Which path of a film is asked for: by which finder, at what share of neurons removed, counted where."""

    finder: str
    sparsity: float
    quota: Quota


def begin(work: Measurement[Any]) -> None:
    """Start work; what this session had running ends, one thing at a time."""
    yield_to(work)
    work.start()
    st.session_state["running"] = work


def yield_to(work: Measurement[Any] | None) -> None:
    """End what this session has running, unless it is `work`: whatever was clicked comes first."""
    running: Measurement[Any] | None = st.session_state.get("running")
    if running is not None and running is not work:
        running.stop()


def alongside(work: Measurement[Any] | None) -> None:
    """Start short work that was asked for, next to what runs; what was started so before ends, unless it is `work`."""
    running: Measurement[Any] | None = st.session_state.get("alongside")
    if running is not None and running is not work:
        running.stop()
    if work is not None:
        work.start()
    st.session_state["alongside"] = work


def explaining(asked: Question, method: str) -> Measurement[Explanation]:
    """`services.explained`, for methods that take long."""
    from ..explanation import explain
    from ..operators.interrupt import interruptible

    ready, anatomy = services.ready(asked.model), services.segmented(asked.radiograph)
    normality = services.normality(asked.radiograph)

    def steps(cancelled: Callable[[], bool]) -> Iterator[Explanation]:
        with interruptible(cancelled):  # never across a yield: the mode would stay with whoever reads
            made = explain(
                asked.radiograph, ready.model, asked.finding, (method,), fit=asked.fit, anatomy=anatomy,
                normality=normality,
            )  # fmt: skip
        yield made

    return _kept("map", asked, (method,), steps)


def trusted(asked: Question, method: str) -> Measurement[Reading]:
    """The trust strip of one map, lamp by lamp."""
    from ..evaluation.trust import trust_strip

    make = _tracing(asked)
    return _kept("trust", asked, (method,), lambda c: trust_strip(make(), asked.finding, method, cancelled=c))


def faithful(asked: Question, methods: Sequence[str]) -> Measurement[Reading]:
    """The lamp "faithful" alone of several maps that are to be ranked, one after the other."""
    from ..evaluation.trust import trust_strip

    make, lamps = _tracing(asked), ["faithful"]

    def steps(cancelled: Callable[[], bool]) -> Iterator[Reading]:
        run = make()
        for method in methods:
            yield from trust_strip(run, asked.finding, method, lamps=lamps, cancelled=cancelled)

    return _kept("faithful", asked, tuple(methods), steps)


def at_layer(asked: Question, layer: str) -> Measurement[LayerAttribution]:
    """What the concepts of an earlier layer give."""
    from ..explanation import at_layer
    from ..operators.interrupt import interruptible

    make = _tracing(asked)

    def steps(cancelled: Callable[[], bool]) -> Iterator[LayerAttribution]:
        with interruptible(cancelled):  # never across a yield: the mode would stay with whoever reads
            made = at_layer(make(), asked.finding, layer)
        yield made

    return _kept("layer", asked, (layer,), steps)


def depths(asked: Question, method: str) -> Measurement[Depth]:
    """A map while the model's weights are destroyed from the head down."""
    from .depths import depths

    make = _tracing(asked)
    return _kept("depths", asked, (method,), lambda c: depths(make, asked.finding, method, c))


def path(asked: Question, choice: PathChoice) -> Measurement[OnPath]:
    """One path of a film."""
    from .paths import on_path

    make = _tracing(asked)
    return _kept(
        "path", asked, astuple(choice),
        lambda c: on_path(make, asked.finding, choice.finder, choice.sparsity, choice.quota, c),
    )  # fmt: skip


def linear(asked: Question, choice: PathChoice) -> Measurement[LinearClaim]:
    """Whether the network that a path leaves is linear near the film."""
    from .paths import linear

    make = _tracing(asked)
    return _kept(
        "linear", asked, astuple(choice),
        lambda c: linear(make, asked.finding, choice.finder, choice.sparsity, choice.quota, c),
    )  # fmt: skip


def overlap(asked: Question, choice: PathChoice, *, every: bool) -> Measurement[FinderComparison]:
    """Paths of one film by several finders, compared."""
    from .paths import overlap

    make, sparsity, quota = _tracing(asked), choice.sparsity, choice.quota
    return _kept(
        "overlap", asked, (sparsity, quota, every),
        lambda c: overlap(make, asked.finding, sparsity, quota, every=every, cancelled=c),
    )  # fmt: skip


def retention(asked: Question, quota: Quota) -> Measurement[dict[str, tuple[PathFigures, ...]]]:
    """What paths keep of the response at rising sparsity."""
    from .paths import retention

    make = _tracing(asked)
    return _kept("retention", asked, (quota,), lambda c: retention(make, asked.finding, quota, c))


def films_of_units(model: str, atlas: Atlas, layer: str) -> Measurement[FilmsRead]:
    """The strongest films of every unit of a layer: one reading of the films behind an atlas."""
    from .exemplar_work import strongest

    ready, fit = services.ready(model), _fit_of(atlas)
    return services.kept(
        "strongest", (services.describe(model).card.sha256, model), (atlas.probe, id(atlas), layer),
        _steps=lambda c: strongest(ready.model, layer, atlas_services.probed(atlas), fit, c),
    )  # fmt: skip


def regions_of_unit(model: str, atlas: Atlas, layer: str, unit: int, films: Sequence[str]) -> Measurement[Exemplar]:
    """Where a unit fires on some films."""
    from .exemplar_work import Region, regions

    ready, asked = services.ready(model), Region(atlas, layer, unit, tuple(films), _fit_of(atlas))
    return services.kept(
        "regions", (services.describe(model).card.sha256, model), (atlas.probe, id(atlas), layer, unit, tuple(films)),
        _steps=lambda c: regions(ready.model, asked, atlas_services.probed(atlas), c),
    )  # fmt: skip


def _fit_of(atlas: Atlas) -> Fit:
    return "pad" if atlas.provenance.get("fit") == "pad" else "crop"


def _tracing(asked: Question) -> Callable[[], Trace]:
    from ..explanation import trace

    ready = services.ready(asked.model)
    return lambda: trace(asked.radiograph, ready.model, asked.fit)


def _kept(kind: str, asked: Question, wanted: tuple[Any, ...], steps: Steps[T]) -> Measurement[T]:
    key = (*services.key_of(asked.radiograph, asked.model), asked.finding, asked.fit)
    work: Measurement[T] = services.kept(kind, key, wanted, _steps=steps)
    return work
