"""What a model's logits do when something that is no disease is put on a film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..concepts.pasted import PastedFilm
from ..concepts.probes import ProbeFilm
from ..concepts.shortcuts import SHORTCUTS
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.card import Interval
from ..models.chest_model import ChestModel
from ..operators.batching import batched
from .statistics import mean_interval


@dataclass(frozen=True)
class Insertion:
    """One shortcut and one finding: `change` is the mean rise of the logit when the shortcut is put on, per film.

    `spread`: standard deviation of the logit over the films as they are, to read the change by. `flagged`, `unflagged`:
    shares of films that cross the operating point upwards and downwards; None where the finding has no such point.
    """

    shortcut: str
    finding: str
    change: Interval
    spread: float
    flagged: float | None
    unflagged: float | None
    films: int
    patients: int


def insertion_effect(
    model: ChestModel,
    films: Sequence[ProbeFilm],
    *,
    shortcuts: Sequence[str] = tuple(SHORTCUTS),
    fit: Fit = "crop",
    seed: int = 0,
) -> tuple[Insertion, ...]:
    """Every shortcut by every finding, in that order; each film is its own control.

    Args:
        model: whose logits are read.
        films: films without pastes, `normal_films()` for one; what `fit` cuts off is not seen, pasted or not.
        shortcuts: names in `SHORTCUTS`.
        fit: how a film becomes the model's square.
        seed: film i takes its pastes by seed + i.

    Raises:
        XrayInterpError: `data-missing` without films, `bad-option` for a name that is no shortcut.
    """
    if not films:
        raise XrayInterpError(Code.DATA_MISSING, "There are no films to put anything on.", "Name a set that has some.")
    plain = _logits(model, films, fit)
    patients = [film.patient for film in films]
    rows = []
    for name in shortcuts:
        changed = _logits(model, [_with(film, name, seed + i) for i, film in enumerate(films)], fit)
        rows += [
            _row(model, name, finding, plain[:, j], changed[:, j], patients) for j, finding in enumerate(model.findings)
        ]
    return tuple(rows)


def _row(
    model: ChestModel,
    shortcut: str,
    finding: str,
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    patients: Sequence[str],
) -> Insertion:
    change = mean_interval(after - before, patients)
    if change is None:
        raise XrayInterpError(
            Code.INTERNAL, f"{model.name!r} gives {finding!r} no finite logit on these films.", "Look at its weights."
        )
    point = model.operating_points.get(finding)
    up = down = None
    if point is not None:
        low, high = before >= point.threshold, after >= point.threshold
        up, down = float((~low & high).mean()), float((low & ~high).mean())
    return Insertion(shortcut, finding, change, float(before.std()), up, down, len(before), len(set(patients)))


def _with(film: ProbeFilm, name: str, seed: int) -> ProbeFilm:
    """The film with a paste; its own masks no longer count."""
    return replace(film, picture=PastedFilm(film, (name,), seed), box=None, annotated=frozenset((name,)))


def _logits(model: ChestModel, films: Sequence[ProbeFilm], fit: Fit) -> npt.NDArray[np.float64]:
    """Logits (N, F) of films."""

    def inputs() -> Iterator[Tensor]:
        for film in films:
            yield model.prepare_pixels(film.pixels(), fit)[0]

    return np.stack([row.double().cpu().numpy() for row in batched(model.logits, inputs())])
