"""What a family of tasks is, and the task in which one class is normal and all others are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from ..concepts.manifests import Seen, fitted_to
from .protocol import ALL, BoolMask, Task, Trial

UNTAUGHT = ("random", "random-vgg16")
"""Experts that learned nothing, whose weights a seed decides."""


@dataclass(frozen=True)
class Loading:
    """How images are read: data root (None: XRAYINTERP_DATA), side in pixels, and at most so many of each set."""

    root: Path | None = None
    size: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Family:
    """Tasks of one data set: `parts` lists their names, `load` reads one; `size` is the usual side in pixels.

    `effort`: factor on the steps of training, less where images are small and soon learned.
    `films`: whether they are of chest films. `seen`: names of weights to the splits of this data set they were fitted
    to, as in a probe manifest ("*" for any, and who is not named is unknown); `tested`: splits the trials are of.
    """

    name: str
    title: str
    size: int
    parts: Callable[[Loading], Sequence[str]]
    load: Callable[[str, Loading], Task]
    effort: float = 1.0
    films: bool = False
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    tested: tuple[str, ...] = ("test",)

    def seen_by(self, weights: str) -> Seen:
        """Whether weights, "" for none, were fitted to images of the trials."""
        return fitted_to({"": (), **dict.fromkeys(UNTAUGHT, ()), **self.seen}, weights, self.tested)


def one_class(
    name: str, family: str, title: str, images: Tensor, classes: Sequence[str], normal: str, patients: Sequence[str],
    trained: BoolMask,
) -> Task:  # fmt: skip
    """One class normal, all others not.

    Args:
        name: of the task; `family` and `title` as in `Task`.
        family: see there.
        title: see there.
        images: (N, C, H, W) uint8.
        classes: (N,) names.
        normal: the normal class.
        patients: (N,) names.
        trained: (N,) whether an image may be learnt from; the others are for the test.
    """
    is_normal = np.array([one == normal for one in classes])
    train, test = np.flatnonzero(trained & is_normal), np.flatnonzero(~trained)
    shown = np.array(classes)[test]
    others = {str(one): shown == one for one in np.unique(shown) if one != normal}
    groups = {ALL: shown != normal, **(others if len(others) > 1 else {})}
    trial = Trial("classes", "other classes", images[test], picked(patients, test), shown == normal, groups)
    return Task(name, family, title, images[train], picked(patients, train), (trial,))


def picked(values: Sequence[str], at: Sequence[int] | np.ndarray) -> tuple[str, ...]:
    """The values at these positions."""
    return tuple(values[i] for i in at)


def at_most(limit: int | None, classes: Sequence[str], trained: BoolMask) -> list[int]:
    """Positions of at most `limit` images of each class and side, in order."""
    counts: dict[tuple[str, bool], int] = {}
    kept = []
    for i, key in enumerate(zip(classes, trained.tolist(), strict=True)):
        counts[key] = counts.get(key, 0) + 1
        if limit is None or counts[key] <= limit:
            kept.append(i)
    return kept
