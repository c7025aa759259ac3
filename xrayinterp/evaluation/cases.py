"""Which findings are asked of which film when methods are compared, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..concepts.probes import ProbeFilm
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel
from ..models.prediction import Prediction, default_finding, predictions
from .localisation import Mask, outlines


@dataclass(frozen=True)
class Case:
    """One finding on one film.

    `flagged`: what the model says of it, None where it never flags it. `present`: whether readers outlined it, None
    where nobody looked. `primary`: the finding that the page would show first on this film, on which every measure is
    taken; on the others only localisation.
    """

    film: str
    patient: str
    split: str
    finding: str
    logit: float
    flagged: bool | None
    present: bool | None
    primary: bool


@dataclass(frozen=True, eq=False)
class FilmCases:
    """A film as the model sees it, x (1, 1, S, S), its cases, and outlines (S, S) of the findings outlined on it."""

    x: Tensor
    cases: tuple[Case, ...]
    outlines: Mapping[str, Mask]


def film_cases(model: ChestModel, film: ProbeFilm, fit: Fit = "crop") -> FilmCases:
    """The cases of a film: its outlined findings that the model has, and the primary one, in the model's order.

    The primary finding is the model's default finding if it is flagged; else, of those outlined, the one with the
    largest logit minus operating point; else the default finding.
    """
    x = model.prepare_pixels(film.pixels(), fit)
    predicted = predictions(model, model.logits(x))
    masks = outlines(film, model.findings, model.size, fit)
    outlined = {finding: mask for finding, mask in masks.items() if mask.any()}
    primary = _primary(model, predicted, set(outlined))
    cases = tuple(
        Case(
            film=film.id,
            patient=film.patient,
            split=film.split,
            finding=p.finding,
            logit=p.logit,
            flagged=p.positive,
            present=p.finding in outlined if p.finding in masks else None,
            primary=p.finding == primary,
        )
        for p in predicted
        if p.finding in outlined or p.finding == primary
    )
    return FilmCases(x, cases, outlined)


def _primary(model: ChestModel, predicted: tuple[Prediction, ...], outlined: set[str]) -> str:
    default = default_finding(model, predicted)
    flagged = any(p.positive for p in predicted if p.finding == default)
    candidates = [p for p in predicted if p.finding in outlined]
    return default if flagged or not candidates else max(candidates, key=_margin).finding


def _margin(prediction: Prediction) -> float:
    point = prediction.operating_point
    return prediction.logit - (point.threshold if point else 0.0)
