"""Shortcut units: those that fire on markers, leads, borders or text pasted on films, and what they push then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..concepts.probes import Pictured, ProbeFilm, ProbeSet
from ..datasets.films import BoolMask, FloatImage
from .atlas import Atlas
from .pooled import Floats, PooledUnits
from .unit_facts import ShortcutUnit


def shortcut_units(atlas: Atlas, layer: str, read: PooledUnits, shown: npt.NDArray[np.bool_]) -> list[ShortcutUnit]:
    """The labelled units of an atlas over a shortcuts probe set, strongest first.

    Args:
        atlas: of that probe set; its concepts are the shortcuts.
        layer: the layer that the head averages.
        read: pooled units of films with pastes.
        shown: (N, C) which shortcut is on which of them, C as in the atlas.
    """
    concepts = list(dict.fromkeys(row.concept for row in atlas.rows))
    labelled = [row for row in atlas.rows if row.label and row.layer == layer]
    pushes = {name: _pushes(read, shown[:, concepts.index(name)]) for name in {row.concept for row in labelled}}
    found = []
    for row in labelled:
        push = pushes[row.concept][:, row.unit]
        most = int(np.abs(push).argmax())
        found.append(
            ShortcutUnit(
                atlas.probe,
                row.concept,
                row.unit,
                row.iou,
                row.ci_low,
                row.ci_high,
                row.ceiling,
                row.precision,
                row.null_p,
                read.findings[most],
                float(push[most]),
            )
        )
    return sorted(found, key=lambda unit: (concepts.index(unit.concept), -unit.iou))


def _pushes(read: PooledUnits, shown: npt.NDArray[np.bool_]) -> Floats:
    """What each unit adds to each output where the shortcut is, against where it is not: (F, U)."""
    gap = read.values[shown].mean(0) - read.values[~shown].mean(0)
    out: Floats = read.weights * gap
    return out


def shown_on(films: Sequence[ProbeFilm], concepts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which concept is on which film, (N, C)."""
    return np.array([film.masks(concepts).any((1, 2)) for film in films])


def kept_in_memory(probes: ProbeSet) -> ProbeSet:
    """The same films, each made once: synthetic films take longer to make than a network to look at."""
    return replace(probes, films=tuple(replace(film, picture=_Kept(film)) for film in probes.films))


class _Kept:
    """A film's pixels and masks, made when first asked for."""

    def __init__(self, film: ProbeFilm) -> None:
        self._picture: Pictured = film.picture
        self._concepts = sorted(film.annotated)

    @cached_property
    def _pixels(self) -> FloatImage:
        return self._picture.pixels()

    @cached_property
    def _masks(self) -> BoolMask:
        return self._picture.masks(self._concepts)

    def pixels(self) -> FloatImage:
        return self._pixels

    def masks(self, names: Sequence[str], /) -> BoolMask:
        return np.asarray(self._masks[[self._concepts.index(name) for name in names]])
