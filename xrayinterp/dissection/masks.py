"""Masks of many films as 64-pixel words, kept only where some concept is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .cells import Int, Words


@dataclass(frozen=True)
class Masks:
    """Masks of C concepts on N films, the cells where at least one of them is.

    `row` (N * cells,) int32 tells where a film's cell stands in `words` (P, C), -1 for cells without any concept.
    """

    row: Int
    words: Words
    cells: int

    @property
    def films(self) -> int:
        """Number of films."""
        return len(self.row) // self.cells

    @property
    def concepts(self) -> int:
        """Number of concepts."""
        return int(self.words.shape[1])

    @classmethod
    def of(cls, words: Words) -> Masks:
        """The masks whose words are (C, N, cells)."""
        concepts, films, cells = words.shape
        table = words.reshape(concepts, films * cells).T
        return cls.listed(np.flatnonzero(table.any(1)), np.ascontiguousarray(table[table.any(1)]), films, cells)

    @classmethod
    def listed(cls, place: npt.NDArray[np.integer], words: Words, films: int, cells: int) -> Masks:
        """The masks with `words` (P, C) at `place` (P,) = film * cells + cell."""
        row = np.full(films * cells, -1, dtype=np.int32)
        row[place] = np.arange(len(place))
        return cls(row, words, cells)

    def at(self, place: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.intp], Words]:
        """Which of `place` (K,) hold a concept, and the words there (k, C)."""
        row = self.row[place]
        kept = np.flatnonzero(row >= 0)
        return kept, self.words[row[kept]]

    def covered(self) -> npt.NDArray[np.int64]:
        """Pixels of each concept on each film, (N, C)."""
        place = np.flatnonzero(self.row >= 0)
        film = place // self.cells
        counts = np.bitwise_count(self.words[self.row[place]])
        out = [np.bincount(film, weights=column, minlength=self.films) for column in counts.T]
        return np.stack(out, axis=1).astype(np.int64)


def joined_masks(parts: Sequence[Masks], films: Sequence[npt.NDArray[np.integer]], total: int) -> Masks:
    """The masks of several lists of films as one of `total` films; part i holds films `films[i]`."""
    cells = parts[0].cells
    places, words = [], []
    for part, numbers in zip(parts, films, strict=True):
        place = np.flatnonzero(part.row >= 0)
        places.append(np.asarray(numbers, dtype=np.int64)[place // cells] * cells + place % cells)
        words.append(part.words[part.row[place]])
    return Masks.listed(np.concatenate(places), np.concatenate(words), total, cells)
