"""The films of the `phantom` probe set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from ..datasets.films import BoolMask, FloatImage
from ..datasets.phantom import FINDINGS, Phantom, phantom


@dataclass(frozen=True)
class PhantomFilm:
    """A synthetic film as a recipe; made when it is looked at, and kept for a moment."""

    seed: int
    size: int
    findings: tuple[str, ...]
    view: Literal["PA", "AP"]

    def pixels(self) -> FloatImage:
        """The film, float32 (size, size) in [0, 1]."""
        return _made(self).pixels

    def masks(self, names: Sequence[str], /) -> BoolMask:
        """Masks by name, bool (C, size, size); empty for findings that were not planted."""
        masks, empty = _made(self).masks, np.zeros((self.size, self.size), dtype=bool)
        return np.stack([masks.get(name, empty) for name in names])


@lru_cache(maxsize=16)
def _made(film: PhantomFilm) -> Phantom:
    return phantom(film.seed, size=film.size, findings=film.findings, view=film.view)


def phantom_films(*, films: int, size: int, seed: int) -> list[PhantomFilm]:
    """Recipes of `films` synthetic films with seeds from `seed` on.

    Half show nothing; the others show one finding in turn, every third of them with a second one. The view changes
    after each round of findings, so that each comes in both.
    """
    out = []
    for i in range(films):
        turn = i // 2
        planted: list[str] = []
        if i % 2:
            planted = [FINDINGS[turn % len(FINDINGS)]]
            if turn % 3 == 2:
                planted.append(FINDINGS[(turn + 3) % len(FINDINGS)])
        view: Literal["PA", "AP"] = "AP" if (turn // len(FINDINGS)) % 2 else "PA"
        out.append(PhantomFilm(seed + i, size, tuple(planted), view))
    return out
