"""Two different questions to one film, kept apart: is it a frontal chest film at all, and how unusual is it?

The input gate is fitted on all frontal films, so that the sickest pass; unusualness on films without findings. Neither
is a statement about health.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..imaging.radiograph import Radiograph
from .calibration import Percentile
from .expert_files import at_home
from .files import read_record
from .gate import Judgement, judge
from .model import AnomalyModel, PointScore, load
from .reference import Reference, reference_of
from .shelf import UNUSUALNESS, find, names


@dataclass(frozen=True)
class Unusualness:
    """How unusual a film is to a detector: see `model.Score`; `reference` says which films its percentile is among."""

    detector: str
    sha256: str | None
    score: float
    percentile: Percentile
    points: tuple[PointScore, ...]
    offset: float
    reference: str


@dataclass(frozen=True)
class Normality:
    """What the gate says and how unusual a film is; each None where this installation cannot tell."""

    gate: Judgement | None
    unusualness: Unusualness | None


def normality_of(radiograph: Radiograph) -> Normality:
    """Gate and unusualness of a film, at the cost of about three forwards of a built-in model.

    Both look at the film's centre square, as of the films that they know, however a model sees the film.

    Raises:
        XrayInterpError: where a built-in file is damaged.
    """
    model = detector()
    return Normality(judge(radiograph), None if model is None else unusualness(model, radiograph))


def unusualness(model: AnomalyModel, radiograph: Radiograph) -> Unusualness:
    """How unusual a film is to a detector."""
    found, record = model.score(radiograph), model.record
    reference = record.calibration.description
    return Unusualness(
        model.name, record.tensors_sha256, found.score, found.percentile, found.points, found.offset, reference
    )


def detector() -> AnomalyModel | None:
    """The detector of unusualness, read once; None where this installation lacks it or the network it was fitted to.

    Raises:
        XrayInterpError: as `model.load`.
    """
    return known_detector() if UNUSUALNESS in names() and _at_home(find(UNUSUALNESS)) else None


def known_detector() -> AnomalyModel:
    """The detector of unusualness.

    Raises:
        XrayInterpError: `unknown-model` where this installation has none; as `model.load`.
    """
    return _loaded(path := find(UNUSUALNESS), path.stat().st_mtime_ns)


def known_reference() -> Reference | None:
    """What held-out normals look like to the detector of unusualness; None where that was not measured."""
    return reference_of(known_detector(), find(UNUSUALNESS))


def _at_home(path: Path) -> bool:
    """Whether the model that a detector was fitted to is the one of that name here."""
    expert = read_record(path).expert
    return expert.kind != "model" or at_home(expert.name, expert.sha256)


@lru_cache(maxsize=2)
def _loaded(path: Path, _changed: int) -> AnomalyModel:
    return load(path)
