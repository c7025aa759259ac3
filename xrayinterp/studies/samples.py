"""The films of the studies in memory, with the targets of each task; each split is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..datasets.films import Film, load_films, load_manifest
from ..errors import Code, XrayInterpError
from ..training.brixia import fold_of, scored
from ..training.films import auxiliary_targets, finding_targets, squares
from .labels import healthy
from .plan import Settings, Task, content_key

UNHEALTHY = "unhealthy"
MIN_WIDTH = 128
"""NIH films that were narrower before storage are left out."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Sample:
    """Films with targets.

    `squares` (N, d, d) uint8; `targets` (N, T) named by `names`; `covariates` (N, 3) view, sex and age; `sources` the
    data set of each film. For severity `zones` holds the raters' scores (N, R, 6) and targets is their global mean.
    """

    squares: Tensor
    targets: Tensor
    names: tuple[str, ...]
    patients: tuple[str, ...]
    covariates: Floats
    sources: tuple[str, ...]
    ids: tuple[str, ...]
    zones: Tensor | None = None

    def __len__(self) -> int:
        return len(self.squares)

    def at(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Sample:
        """The films at these positions."""
        chosen = np.asarray(rows, dtype=np.int64)

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[i] for i in chosen)

        return Sample(
            self.squares[chosen],
            self.targets[chosen],
            self.names,
            pick(self.patients),
            self.covariates[chosen],
            pick(self.sources),
            pick(self.ids),
            None if self.zones is None else self.zones[chosen],
        )


@dataclass
class Samples:
    """All films that the studies learn from and are tested on.

    Raises:
        XrayInterpError: `data-missing` where a table is not there.
    """

    root: Path | None
    settings: Settings
    _squares: dict[tuple[str, ...], Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def scored(self) -> list[Film]:
        """Films with Brixia scores of both raters, in table order."""
        return self._limited(scored(load_films("cohen", root=self.root)))

    @cached_property
    def outlined_patients(self) -> frozenset[str]:
        """Patients of the Cohen collection with outlined films: unseen by nets that are dissected on those."""
        films = load_films("cohen", root=self.root)
        return frozenset(film.patient for film in films if "GeneralBlockchain" in film.annotated)

    def nih(self, split: str) -> list[Film]:
        """NIH films of a split, wide enough."""
        found = self._nih.get(split, [])
        if not found:
            raise XrayInterpError(
                Code.DATA_MISSING, f"The NIH table has no film of split {split!r} of {MIN_WIDTH} px or more."
            )
        return found

    def sample(self, task: Task, split: str) -> Sample:
        """Films of a split ("train" or "test") with the targets of a task.

        Severity has no splits: all scored films, to be cross-validated.
        """
        if task == "severity":
            return self._severity()
        films = self.nih(split)
        if task == "healthy-combined":
            films = [*films, *(film for film in self.scored if film.split == split)]
        if task in ("healthy", "healthy-combined"):
            films = [film for film in films if healthy(film) is not None]
            targets = np.array([[0.0 if healthy(film) else 1.0] for film in films], dtype=np.float32)
            return self._made(films, targets, (UNHEALTHY,))
        names = load_manifest("nih").findings
        return self._made(films, finding_targets(films, names), names)

    def folds(self) -> npt.NDArray[np.int64]:
        """Fold of each scored film, (N,): patients stay together."""
        fold = fold_of([film.patient for film in self.scored], self.settings.folds)
        return np.array([fold[film.patient] for film in self.scored], dtype=np.int64)

    @cached_property
    def digest(self) -> str:
        """Key of all films and targets that runs learn from and are tested on: another copy, another key."""
        films = [*self.scored, *self.nih("train"), *self.nih("test")]
        return content_key([[f.id, f.patient, f.split, dict(f.labels), f.normal, _plain(f.scores)] for f in films])

    @cached_property
    def _nih(self) -> dict[str, list[Film]]:
        found: dict[str, list[Film]] = {}
        for film in load_films("nih", root=self.root, min_native_width=MIN_WIDTH):
            found.setdefault(film.split, []).append(film)
        return {split: self._limited(films) for split, films in found.items()}

    def _severity(self) -> Sample:
        films = self.scored
        if len({film.patient for film in films}) < self.settings.folds:
            raise XrayInterpError(
                Code.DATA_MISSING,
                f"{len(films)} films with Brixia scores are too few for {self.settings.folds} folds of patients.",
                "Put the scored films there, or ask for fewer folds.",
            )
        zones = np.array([[film.scores[rater] for rater in sorted(film.scores)] for film in films], dtype=np.float32)
        total = zones.sum(2).mean(1, keepdims=True)
        return self._made(films, total, ("severity",), zones=torch.from_numpy(zones))

    def _made(
        self, films: Sequence[Film], targets: Floats, names: tuple[str, ...], zones: Tensor | None = None
    ) -> Sample:
        return Sample(
            self._read(films),
            torch.from_numpy(targets.astype(np.float32)),
            names,
            tuple(film.patient for film in films),
            auxiliary_targets(films),
            tuple(film.dataset for film in films),
            tuple(film.id for film in films),
            zones,
        )

    def _read(self, films: Sequence[Film]) -> Tensor:
        """Squares in the order of `films`, those of one data set after those of another; each set is read once."""
        parts = []
        for source in dict.fromkeys(film.dataset for film in films):
            members = [film for film in films if film.dataset == source]
            key = tuple(film.id for film in members)
            if key not in self._squares:
                self._squares[key] = squares(members, self.settings.detail)
            parts.append(self._squares[key])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _limited(self, films: list[Film]) -> list[Film]:
        limit = self.settings.limit
        if limit is None or len(films) <= limit:
            return films
        chosen = np.random.default_rng(0).choice(len(films), limit, replace=False)
        return [films[i] for i in sorted(chosen)]


def _plain(scores: Any) -> dict[str, list[float]]:
    return {rater: list(zones) for rater, zones in scores.items()}
