"""The only caches of the page, and its only door to models and films.

A model is shared by all sessions, hence its lock; what comes of a film stays in its session, in memory, for an hour.
Nothing here imports torch before a film is read: an empty page does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING

import streamlit as st

from ..batch import Film, open_film
from ..datasets.examples import fetch_examples
from ..datasets.phantom import EXAMPLES
from ..download import Progress
from ..errors import Code, XrayInterpError
from ..imaging import reader
from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph, View
from ..models import registry, weights
from ..models.registry import ModelEntry

if TYPE_CHECKING:
    from ..explanation import Explanation, Trace
    from ..models.chest_model import ChestModel


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

    thread = Thread(target=prepare, daemon=True, name="xrayinterp-warm")
    thread.start()
    return thread


@st.cache_resource(max_entries=2, show_spinner=False)
def loaded(name: str, sha256: str | None) -> Loaded:
    """A model by name; `sha256` of its weights makes a newly imported file a new entry."""
    from ..models.zoo import load_model

    return Loaded(load_model(name), Lock())


@st.cache_resource(scope="session", max_entries=2, ttl=3600, show_spinner=False)
def _traced(
    sha256: str, recipe: str, model: str, weights: str | None, fit: Fit, _radiograph: Radiograph, _ready: Loaded
) -> Trace:
    from ..explanation import trace

    with _ready.lock:
        return trace(_radiograph, _ready.model, fit)


@st.cache_resource(scope="session", max_entries=48, ttl=3600, show_spinner=False)
def _explained(
    sha256: str, recipe: str, view: str, model: str, weights: str | None, finding: str | None, method: str, fit: Fit,
    _radiograph: Radiograph,
) -> Explanation:  # fmt: skip
    from ..explanation import explain

    ready = loaded(model, weights)
    run = _traced(sha256, recipe, model, weights, fit, _radiograph=_radiograph, _ready=ready)
    if run.model is not ready.model:  # the model was dropped from memory and loaded again
        _traced.clear()
        run = _traced(sha256, recipe, model, weights, fit, _radiograph=_radiograph, _ready=ready)
    with ready.lock:
        return explain(_radiograph, ready.model, finding, (method,), fit=fit, trace=run)


def explained(radiograph: Radiograph, model: str, finding: str | None, method: str, fit: Fit) -> Explanation:
    """The explanation of one finding (None: the model's most pressing one) on one film.

    Raises:
        XrayInterpError: whatever `load_model` and `explain` refuse.
    """
    weights = describe(model).card.sha256
    view = f"{radiograph.view}, {radiograph.view_from}"
    return _explained(
        radiograph.sha256, radiograph.recipe, view, model, weights, finding, method, fit, _radiograph=radiograph
    )  # fmt: skip


def read(file: Upload) -> Film:
    """One file, read in the decoding process; a refusal is its verdict."""
    return open_film(file.name, file.data, view=file.view)


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


def attempt(
    radiograph: Radiograph, model: str, finding: str | None, method: str, fit: Fit
) -> Explanation | XrayInterpError:
    """`explained`, or what went wrong in words a reader can act on."""
    try:
        return explained(radiograph, model, finding, method, fit)
    except XrayInterpError as error:
        return error
    except MemoryError:
        return XrayInterpError(Code.TOO_LARGE, "There is not enough memory for this.", "Close other films or programs.")
