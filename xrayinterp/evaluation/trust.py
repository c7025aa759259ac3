"""The trust strip: what the lamps say of one method's map on one film, reading by reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from ..attribution import Forward
from ..attribution.registry import method_named
from ..dissection.atlas import Atlas
from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph
from ..models.card import readable
from ..models.chest_model import ChestModel
from ..models.prediction import Prediction, predictions
from ..operators.interrupt import Interrupted, interruptible
from ..semantics import SemanticAttribution, split
from .lamps import MapTrust, Reading, lamps_named
from .readings import Subject, measured, not_measurable
from .references import Films


class Traced(Protocol):
    """What the strip needs of `explanation.Trace`: one forward of one film through one model."""

    @property
    def model(self) -> ChestModel: ...  # noqa: D102

    @property
    def fit(self) -> Fit: ...  # noqa: D102

    @property
    def forward(self) -> Forward: ...  # noqa: D102

    @property
    def atlases(self) -> tuple[Atlas, ...]: ...  # noqa: D102

    @property
    def logits(self) -> Tensor: ...  # noqa: D102

    @property
    def maps(self) -> Tensor: ...  # noqa: D102


def trust_strip(
    trace: Traced,
    finding: str,
    method: str,
    options: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    lamps: Sequence[str] | None = None,
    films: Sequence[Radiograph] | None = None,
    semantic: SemanticAttribution | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Reading]:
    """Readings of one map's lamps, in the order of `LAMPS`, each as soon as it is measured.

    A map of something the model does not claim cannot be judged: where the finding is not flagged or not assessed,
    every lamp is "not-measurable" and says so. The model and the trace stay as they are.

    Args:
        trace: of the film and model; what it has computed is used again.
        finding: an output of the model.
        method: a name in `METHODS`, with its `options`.
        seed: of everything drawn at random; the same seed gives the same readings.
        lamps: names of lamps; None measures all.
        films: films to compare with; None takes built-in synthetic ones.
        semantic: the split of this finding's logit, where it is at hand.
        cancelled: asked between operators; once true, no further reading comes.

    Raises:
        XrayInterpError: `unknown-finding`, `unknown-method`, `bad-option`.
    """
    index = trace.model.index(finding)
    settings = method_named(method).settings(options or {})
    chosen = lamps_named(lamps)
    return _readings(
        [lamp.name for lamp in chosen],
        unclaimed(trace.model, predictions(trace.model, trace.logits)[index]),
        lambda: Subject(
            forward=trace.forward,
            model=trace.model,
            finding=finding,
            method=method,
            settings=settings,
            films=Films(trace.model, films, trace.fit),
            semantic=lambda: (
                split(trace.model, trace.maps, trace.logits, finding, trace.atlases) if semantic is None else semantic
            ),
            seed=seed,
        ),
        cancelled,
    )


def map_trust(
    trace: Traced, finding: str, method: str, options: Mapping[str, Any] | None = None, **settings: Any
) -> MapTrust:
    """The whole strip of one map at once; `settings` as in `trust_strip`."""
    return MapTrust(method, tuple(trust_strip(trace, finding, method, options, **settings)))


def unclaimed(model: ChestModel, prediction: Prediction) -> str | None:
    """Why nothing can be said of a map of this prediction; None where the model claims the finding.

    A severity model claims a score on every film.
    """
    if model.task == "severity":
        return None
    name = readable(prediction.finding)
    if not prediction.assessed:
        return f"{name} is not reliably assessed by this model"
    if prediction.operating_point is None:
        return f"{name} has no operating point, so nothing says whether the model claims it"
    if not prediction.positive:
        threshold = prediction.operating_point.threshold
        return f"{name} is not flagged on this film (logit {prediction.logit:.2f}, operating point {threshold:.2f})"
    return None


def _readings(
    lamps: Sequence[str], why: str | None, make: Callable[[], Subject], cancelled: Callable[[], bool]
) -> Iterator[Reading]:
    if why is not None:
        yield from (not_measurable(lamp, why, {}) for lamp in lamps)
        return
    try:
        with interruptible(cancelled):
            subject = make()
        for lamp in lamps:
            with interruptible(cancelled):  # never across a yield: the mode would stay with whoever reads
                reading = measured(subject, lamp)
            yield reading
    except Interrupted:
        return
