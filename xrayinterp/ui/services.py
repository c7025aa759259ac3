"""The only caches of the page, and its only door to models and films.

A model is shared by all sessions, hence its lock; what comes of a film stays in its session, in memory, for an hour.
Nothing here imports torch before a film is read: an empty page does not wait for it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from ..batch import Film, open_film
from ..datasets.examples import fetch_examples
from ..datasets.phantom import EXAMPLES
from ..download import Progress
from ..errors import Code, XrayInterpError
from ..evaluation.standing import Standing, standing
from ..imaging import reader
from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph, View
from ..models import registry, weights
from ..models.registry import ModelEntry
from .measuring import Measurement, Steps
from .threads import spawn

if TYPE_CHECKING:
    from ..anomaly.normality import Normality
    from ..explanation import Explanation, SaliencyMap, Trace
    from ..models.chest_model import ChestModel
    from ..models.segmentation import Segmentation
    from ..semantics import SemanticAttribution


T = TypeVar("T")

LITTLE = 20.0
"""Cost of a map, in runs of the model, up to which its trust strip is measured unasked."""
SLOW = 100.0
"""Cost of a map, in runs of the model, from which it is made beside the page."""


@dataclass(frozen=True)
class Upload:
    """A file as it arrives; `view` where whoever brought it knows the view better than the file."""

    name: str
    data: bytes
    view: View | None = None


@dataclass(frozen=True)
class Loaded:
    """A model in memory and the lock that whoever computes with it holds."""

    model: ChestModel
    lock: Lock


@st.cache_resource(show_spinner=False)
def warm() -> Thread:
    """Once a server, beside the first page: start the decoding process and import what the first film will need."""

    def prepare() -> None:
        reader.warm()
        import_module("xrayinterp.ui.reading")
        _settle()

    return spawn(prepare, "warm")


@st.cache_resource(show_spinner=False)
def _settle() -> None:
    """Once a server, when torch is there: what has been imported stays, and is left out of garbage collection.

    Streamlit collects after every run of a page, twice a second where work is watched; through torch that takes a
    quarter of a second each, with the interpreter's lock held.
    """
    gc.collect()
    gc.freeze()


@st.cache_resource(max_entries=2, show_spinner=False)
def loaded(name: str, sha256: str | None) -> Loaded:
    """A model by name; `sha256` of its weights makes a newly imported file a new entry."""
    from ..models.zoo import load_model

    _settle()
    return Loaded(load_model(name), Lock())


@st.cache_resource(scope="session", max_entries=8, ttl=3600, show_spinner=False)
def _segmented(sha256: str, recipe: str, _radiograph: Radiograph) -> Segmentation | None:
    from ..models.segmenter import segment

    return segment(_radiograph)


def segmented(radiograph: Radiograph) -> Segmentation | bool:
    """Lungs, heart and mediastinum of a film, found once whatever is asked of it; False without a segmenter.

    Raises:
        XrayInterpError: where the segmenter's files are damaged.
    """
    return _segmented(radiograph.sha256, radiograph.recipe, _radiograph=radiograph) or False


@st.cache_resource(scope="session", max_entries=16, ttl=3600, show_spinner=False)
def _normality(sha256: str, recipe: str, _radiograph: Radiograph) -> Normality:
    from ..anomaly.normality import normality_of

    return normality_of(_radiograph)


def normality(radiograph: Radiograph) -> Normality:
    """What the input gate says of a film and how unusual it is, found once whatever is asked of it.

    Raises:
        XrayInterpError: where a built-in file is damaged.
    """
    return _normality(radiograph.sha256, radiograph.recipe, _radiograph=radiograph)


@st.cache_resource(scope="session", max_entries=2, ttl=3600, show_spinner=False)
def _traced(
    sha256: str, recipe: str, model: str, weights: str | None, fit: Fit, _radiograph: Radiograph, _ready: Loaded
) -> Trace:
    from ..explanation import trace

    with _ready.lock:
        return trace(_radiograph, _ready.model, fit)


def _run(radiograph: Radiograph, model: str, fit: Fit) -> tuple[Loaded, Trace]:
    """A model, and its one forward of a film."""
    weights = describe(model).card.sha256
    ready = loaded(model, weights)
    run = _traced(radiograph.sha256, radiograph.recipe, model, weights, fit, _radiograph=radiograph, _ready=ready)
    if run.model is not ready.model:  # the model was dropped from memory and loaded again
        _traced.clear()
        run = _traced(radiograph.sha256, radiograph.recipe, model, weights, fit, _radiograph=radiograph, _ready=ready)
    return ready, run


@st.cache_resource(scope="session", max_entries=48, ttl=3600, show_spinner=False)
def _explained(
    sha256: str, recipe: str, view: str, model: str, weights: str | None, finding: str | None, methods: tuple[str, ...],
    fit: Fit,
    _radiograph: Radiograph,
) -> Explanation:  # fmt: skip
    from ..explanation import explain

    ready, run = _run(_radiograph, model, fit)
    anatomy, known = segmented(_radiograph), normality(_radiograph)
    with ready.lock:
        return explain(_radiograph, ready.model, finding, methods, fit=fit, trace=run, anatomy=anatomy, normality=known)


def explained(
    radiograph: Radiograph, model: str, finding: str | None, methods: tuple[str, ...], fit: Fit
) -> Explanation:
    """The explanation of one finding (None: the model's most pressing one) on one film.

    Raises:
        XrayInterpError: whatever `load_model` and `explain` refuse.
    """
    return _explained(*key_of(radiograph, model), finding, methods, fit, _radiograph=radiograph)


@st.cache_resource(scope="session", max_entries=200, ttl=3600, show_spinner=False)
def _mapped(
    sha256: str, recipe: str, view: str, model: str, weights: str | None, finding: str, method: str, fit: Fit,
    _radiograph: Radiograph,
) -> SaliencyMap:  # fmt: skip
    from ..explanation import saliency

    ready, run = _run(_radiograph, model, fit)
    with ready.lock:
        return saliency(run, finding, method)


def mapped(radiograph: Radiograph, model: str, finding: str, method: str, fit: Fit) -> SaliencyMap:
    """One method's map for a finding on a film.

    Raises:
        XrayInterpError: whatever `load_model` and `saliency` refuse.
    """
    return _mapped(*key_of(radiograph, model), finding, method, fit, _radiograph=radiograph)


@st.cache_resource(scope="session", max_entries=8, ttl=3600, show_spinner=False)
def _splits(
    sha256: str, recipe: str, view: str, model: str, weights: str | None, fit: Fit, _radiograph: Radiograph
) -> tuple[SemanticAttribution, ...]:
    from ..semantics import split

    ready, run = _run(_radiograph, model, fit)
    with ready.lock:
        return tuple(split(run.model, run.maps, run.logits, name, run.atlases) for name in run.model.findings)


def splits(radiograph: Radiograph, model: str, fit: Fit) -> tuple[SemanticAttribution, ...]:
    """Every logit of a film, split over concepts, in the model's order.

    Raises:
        XrayInterpError: whatever `load_model` and `split` refuse.
    """
    return _splits(*key_of(radiograph, model), fit, _radiograph=radiograph)


@st.cache_resource(scope="session", max_entries=120, ttl=3600, show_spinner=False, on_release=Measurement.stop)
def kept(kind: str, key: tuple[Any, ...], wanted: tuple[Any, ...], _steps: Steps[Any]) -> Measurement[Any]:
    """Work beside the page, the same for the same question; see `beside`."""
    return Measurement(_steps)


def forget() -> None:
    """Drop what this session keeps of its films, and end what still runs on them."""
    from . import unusual_services

    unusual_services.forget()
    for cache in (kept, _segmented, _normality, _traced, _explained, _mapped, _splits):
        cache.clear()


def key_of(radiograph: Radiograph, model: str) -> tuple[str, str, str, str, str | None]:
    """What a result depends on: film, recipe, view, model, weights."""
    view = f"{radiograph.view}, {radiograph.view_from}"
    return radiograph.sha256, radiograph.recipe, view, model, describe(model).card.sha256


def ready(model: str) -> Loaded:
    """A model in memory, by name.

    Raises:
        XrayInterpError: whatever `load_model` refuses.
    """
    return loaded(model, describe(model).card.sha256)


def named_layers(model: str) -> tuple[str, ...]:
    """Layers of a model at which units bear names, the last first.

    Raises:
        XrayInterpError: whatever `load_model` refuses; `atlas-mismatch`.
    """
    from ..dissection.io import atlases_for
    from ..semantics_earlier import named_layers

    chosen = ready(model).model
    return named_layers(chosen, atlases_for(chosen))


def read(file: Upload) -> Film:
    """One file, read in the decoding process and seen by the input gate; a refusal is its verdict."""
    warm().join()  # the gate needs what is being imported
    from ..anomaly.gate import load_gate

    gate = attempt(load_gate)
    known = None if isinstance(gate, XrayInterpError) else gate  # the explanation says what is wrong with it
    return open_film(file.name, file.data, view=file.view, gate=known)


def example_titles() -> tuple[str, ...]:
    """Titles of the built-in synthetic films."""
    return tuple(example.title for example in EXAMPLES)


def example(title: str) -> Upload:
    """A built-in synthetic film as a file; it goes the way of every upload, and its view is known."""
    chosen = next(example for example in EXAMPLES if example.title == title)
    return Upload(chosen.title, chosen.png(), chosen.view)


def public_examples() -> list[Upload]:
    """Public radiographs, fetched once.

    Raises:
        XrayInterpError: where this machine is offline or a file is not the one expected.
    """
    return [Upload(path.name, path.read_bytes()) for path in fetch_examples()]


def models() -> tuple[ModelEntry, ...]:
    """All models, as they are at this moment."""
    return tuple(describe(name) for name in registry.model_names())


def standing_of(name: str | None) -> Standing:
    """How the attribution methods stand on a model, as measured with its present weights."""
    return standing(name or "", describe(name).card.sha256 if name else None)


def describe(name: str) -> ModelEntry:
    """What is known of a model without loading it."""
    return registry.describe(name)


def fetch(name: str, progress: Progress) -> None:
    """Fetch a model's weights; what arrived is kept when the page is left, and resumed.

    Raises:
        XrayInterpError: see `models.weights.fetch`.
    """
    weights.fetch(name, progress=progress)


def import_weights(file: Path, name: str | None) -> Path:
    """Take weights from a file.

    Raises:
        XrayInterpError: see `models.weights.import_weights`.
    """
    return weights.import_weights(file, name)


def methods() -> tuple[str, ...]:
    """Names of the saliency methods."""
    from ..attribution import METHODS

    return tuple(METHODS)


def family_of(method: str) -> str:
    """The family a saliency method belongs to."""
    from ..attribution.registry import method_named

    return method_named(method).family


def is_trusted_unasked(method: str) -> bool:
    """Whether a trust strip is measured without being asked for, since a map costs little."""
    return cost_of(method) <= LITTLE


def cost_of_trust(method: str) -> float:
    """What a trust strip costs, in runs of the model: its lamps need about 30 maps, and deletions."""
    return 60 + 30 * cost_of(method)


def is_slow(method: str) -> bool:
    """Whether a map is made beside the page, since a click should not wait for it."""
    return cost_of(method) >= SLOW


def cost_of(method: str) -> float:
    """What a map costs, in runs of the model."""
    from ..attribution.registry import method_named

    return method_named(method).cost


def attempt(work: Callable[[], T]) -> T | XrayInterpError:
    """What `work` gives, or what went wrong in words a reader can act on."""
    try:
        return work()
    except XrayInterpError as error:
        return error
    except (MemoryError, RuntimeError) as error:  # torch tells of memory in a RuntimeError
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return XrayInterpError(Code.TOO_LARGE, "There is not enough memory for this.", "Close other films or programs.")
