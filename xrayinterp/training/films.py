"""Training films in memory: 8-bit squares and the target table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ..datasets.films import Film
from ..datasets.squares import square

AUXILIARY = ("view AP", "sex M", "age")
"""Targets that help features form and are dropped from the finished model."""


@dataclass(frozen=True)
class TrainingSet:
    """Films (N, d, d) uint8 and targets (N, T) in [0, 1] named by `names`; patients as strings."""

    films: Tensor
    targets: Tensor
    names: tuple[str, ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.films)

    def on(self, device: str) -> Self:
        """The same set with films and targets on a device."""
        return replace(self, films=self.films.to(device), targets=self.targets.to(device))


def squares(films: Sequence[Film], detail: int) -> Tensor:
    """Centre crops of films, antialiased to `detail` pixels, from the cache where kept: uint8 (N, detail, detail)."""
    out = torch.empty((len(films), detail, detail), dtype=torch.uint8)
    for i, film in enumerate(track(films, "reading films", transient=True, console=Console(stderr=True))):
        out[i] = torch.from_numpy(square(film, detail))
    return out


def finding_targets(films: Sequence[Film], findings: Sequence[str]) -> np.ndarray:
    """Image-level labels (N, F), 0 or 1."""
    return np.array([[film.labels[f] for f in findings] for film in films], dtype=np.float32)


def any_finding(films: Sequence[Film]) -> np.ndarray:
    """1 where the film has a finding, 0 where the data set says there is none: (N, 1)."""
    return np.array([[0.0 if film.normal else 1.0] for film in films], dtype=np.float32)


def auxiliary_targets(films: Sequence[Film]) -> np.ndarray:
    """View is AP, sex is male, age over 100 years, each in [0, 1]: (N, 3)."""
    rows = [
        (float(f.view.startswith("AP")), float(f.sex == "M"), min((f.age if f.age is not None else 50.0) / 100, 1.0))
        for f in films
    ]
    return np.array(rows, dtype=np.float32)
