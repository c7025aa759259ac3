"""The films of the `shortcuts` probe sets: a film, and what is pasted on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from ..datasets.films import BoolMask, FloatImage
from .shortcuts import paste

ROUND: tuple[tuple[str, ...], ...] = (
    (),
    ("marker",),
    ("lead",),
    ("collimation",),
    ("text",),
    ("marker", "lead"),
    ("collimation", "text"),
)
"""What is pasted on seven films in turn; the two pairs lie apart, so that neither hides the other."""


class _Plain(Protocol):
    def pixels(self) -> FloatImage: ...


@dataclass(frozen=True, eq=False)
class PastedFilm:
    """A film on which the shortcuts `names` are pasted by `seed`, one after the other.

    Each is itself alone, so that what is made of it can be kept for a moment.
    """

    plain: _Plain
    names: tuple[str, ...]
    seed: int

    def pixels(self) -> FloatImage:
        """The film with its pastes, float32 (H, W) in [0, 1]."""
        return _made(self)[0]

    def masks(self, names: Sequence[str], /) -> BoolMask:
        """Pixels of each shortcut, bool (C, H, W); none where it was not pasted."""
        pixels, found = _made(self)
        empty = np.zeros(pixels.shape, dtype=bool)
        return np.stack([found.get(name, empty) for name in names])


@lru_cache(maxsize=16)
def _made(film: PastedFilm) -> tuple[FloatImage, dict[str, BoolMask]]:
    pixels, masks = film.plain.pixels(), {}
    for name in film.names:
        done = paste(name, pixels, film.seed)
        pixels, masks[name] = done.pixels, done.mask
    return pixels, masks


def pasted_films(plain: Sequence[_Plain], seed: int) -> list[PastedFilm]:
    """Those films with pastes in the order of ROUND; film i takes seed + i."""
    return [PastedFilm(film, ROUND[i % len(ROUND)], seed + i) for i, film in enumerate(plain)]
