"""Label rules of the studies, and how films are drawn by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..datasets.films import Film

Floats = npt.NDArray[np.floating]


def healthy(film: Film) -> bool | None:
    """Whether a film counts as healthy; None where its data set does not say.

    A film with Brixia scores is healthy if all raters gave all six zones 0; any other if its data set labels it normal
    (NIH: all fourteen labels 0). Source: Khakzar et al., MICCAI 2021.
    """
    if film.scores:
        return all(score == 0 for zones in film.scores.values() for score in zones)
    return film.normal


def positive_weights(targets: Tensor) -> Tensor:
    """(N - P) / P of each column of 0/1 targets (N, T), by which positives count as much as negatives in all.

    A column without positives gets 1: nothing is ever multiplied by it.
    """
    positives = targets.sum(0)
    weights = (len(targets) - positives) / positives.clamp(min=1)
    return torch.where(positives > 0, weights, torch.ones_like(weights))


def enriching_weights(targets: Tensor) -> Tensor:
    """Drawing weight (N,) of each film, inverse to the prevalence of its rarest label, or of having none.

    Rare findings are thereby drawn about as often as common ones; a label under 1 % counts as one of 1 %.
    """
    prevalence = targets.mean(0).clamp(min=0.01)
    none = (targets.sum(1) == 0).float().mean().clamp(min=0.01)
    by_label = (targets / prevalence).amax(1)
    return torch.where(targets.sum(1) > 0, by_label, 1 / none)


def shuffled_between_patients(patients: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """An order of films in which each one gets the targets of a film of another patient, where that is possible."""
    rng = np.random.default_rng(seed)
    names = np.asarray(patients)
    order = rng.permutation(len(names))
    for _ in range(20):
        clashes = np.flatnonzero(names[order] == names)
        if not len(clashes):
            break
        partners = rng.choice(len(names), len(clashes), replace=False)
        for a, b in zip(clashes, partners, strict=True):
            order[a], order[b] = order[b], order[a]
    return order
