"""The strongest films of every unit of a layer, and one unit's region on its own: steps of work beside the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..concepts.probes import ProbeSet
from ..dissection.atlas import Atlas
from ..dissection.exemplars import Exemplar, exemplars, strongest_by
from ..dissection.pooled import pooled_values
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel
from ..operators.interrupt import interruptible

BATCH = 16


@dataclass(frozen=True)
class FilmsRead:
    """How far the reading is; `strongest` names the films of highest mean of each unit, once all are read."""

    done: int
    of: int
    strongest: tuple[tuple[str, ...], ...] = ()


def strongest(
    model: ChestModel, layer: str, probes: ProbeSet, fit: Fit, cancelled: Callable[[], bool]
) -> Iterator[FilmsRead]:
    """One reading of all films, for every unit of the layer."""
    films, values = probes.films, []
    for start in range(0, len(films), BATCH):
        part = films[start : start + BATCH]
        with interruptible(cancelled):  # never across a yield: the mode would stay with whoever reads
            values.append(pooled_values(model, part, layer, fit=fit, batch=BATCH, progress=False)[0])
        if start + BATCH < len(films):
            yield FilmsRead(start + len(part), len(films))
    yield FilmsRead(len(films), len(films), strongest_by(np.concatenate(values), films))


@dataclass(frozen=True)
class Region:
    """Which unit of which atlas is drawn on which films."""

    atlas: Atlas
    layer: str
    unit: int
    films: Sequence[str]
    fit: Fit


def regions(model: ChestModel, asked: Region, probes: ProbeSet, cancelled: Callable[[], bool]) -> Iterator[Exemplar]:
    """Where the unit fires on each film, one forward a film."""
    for name in asked.films:
        with interruptible(cancelled):
            (made,) = exemplars(model, asked.atlas, asked.layer, asked.unit, probes, names=[name], fit=asked.fit)
        yield made
