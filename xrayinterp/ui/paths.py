"""A critical pathway in figures, concepts and a map: what the page Pathways computes beside itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..attribution.pathway_masks import PrunedForward, Quota
from ..attribution.pathways import Pathway
from ..attribution.target import Target
from ..evaluation.pathway_concepts import PathConcepts, concepts_on_path
from ..evaluation.pathway_linear import SHARES, LinearCheck, linear_check
from ..evaluation.pathways import (
    CANDIDATES,
    QUICK,
    FinderComparison,
    PathFigures,
    candidate_paths,
    compare_finders,
    retention_curves,
)
from ..explanation import SaliencyMap, Trace
from ..operators.interrupt import interruptible

DIRECTIONS = 2
"""Random directions of the linear check, beside the gradient's."""
GAUSSIANS = 4
"""Directions that the estimate of the linear radius uses."""

Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class OnPath:
    """One path of one film.

    `reached`: the share of neurons removed. `retention`: what is left of the response, 1 for all of it. `dead_share`:
    of what stays, the part that is dead in the whole network. `occupancy`: the part of each ReLU site that stays.
    `sites` names them. `whole` and `pruned` are the gradients of the whole network and of the path.
    """

    label: str
    neurons: int
    reached: float
    logit: float
    pruned_logit: float
    retention: float
    dead_share: float
    occupancy: tuple[float, ...]
    sites: tuple[str, ...]
    concepts: PathConcepts
    whole: SaliencyMap
    pruned: SaliencyMap


@dataclass(frozen=True)
class LinearClaim:
    """How far the pruned and the whole network are linear on this film."""

    pruned: LinearCheck
    whole: LinearCheck


def on_path(
    make: Callable[[], Trace], finding: str, label: str, sparsity: float, quota: Quota, cancelled: Cancelled
) -> Iterator[OnPath]:
    """The path that a candidate finder gives."""
    with interruptible(cancelled):
        run = make()
        target = Target(run.model.index(finding))
        found = _described(run, finding, target, label, _path(run, target, label, sparsity, quota))
    yield found


def linear(
    make: Callable[[], Trace], finding: str, label: str, sparsity: float, quota: Quota, cancelled: Cancelled
) -> Iterator[LinearClaim]:
    """Whether the network that a path leaves, and the whole one, are linear near the film; in float64, hence slow."""
    with interruptible(cancelled):
        run = make()
        target = Target(run.model.index(finding))
        path = _path(run, target, label, sparsity, quota)
        pruned, whole = (
            linear_check(
                run.model,
                run.forward.x,
                target,
                masks,
                shares=SHARES[::2],
                directions=DIRECTIONS,
                gaussians=GAUSSIANS,
            )
            for masks in (path.masks, None)
        )
    yield LinearClaim(pruned, whole)


def overlap(
    make: Callable[[], Trace], finding: str, sparsity: float, quota: Quota, *, every: bool, cancelled: Cancelled
) -> Iterator[FinderComparison]:
    """How far finders agree at one sparsity; `every` takes the slow ones as well."""
    labels = tuple(CANDIDATES) if every else QUICK
    with interruptible(cancelled):
        run = make()
        index = run.model.index(finding)
        made = compare_finders(run.model, run.forward.x, index, labels, sparsity=sparsity, quota=quota)
    yield made


def retention(
    make: Callable[[], Trace], finding: str, quota: Quota, cancelled: Cancelled
) -> Iterator[dict[str, tuple[PathFigures, ...]]]:
    """What paths of the quick finders keep of the response, at rising sparsity."""
    with interruptible(cancelled):
        run = make()
        made = retention_curves(run.model, run.forward.x, run.model.index(finding), QUICK, quota=quota)
    yield made


def _path(run: Trace, target: Target, label: str, sparsity: float, quota: Quota) -> Pathway:
    return candidate_paths(run.forward, target, label, [sparsity], quota=quota)[0]


def _described(run: Trace, finding: str, target: Target, label: str, path: Pathway) -> OnPath:
    shapes = [tuple(mask.shape[1:]) for mask in path.masks]
    return OnPath(
        label=label,
        neurons=int(path.neurons.sum()),
        reached=float(path.reached),
        logit=float(path.logit),
        pruned_logit=float(path.pruned_logit),
        retention=float(path.retention),
        dead_share=float(path.dead_share),
        occupancy=tuple(path.occupancy[0].tolist()),
        sites=tuple(f"ReLU {n + 1}: {' × '.join(map(str, shape))}" for n, shape in enumerate(shapes)),
        concepts=concepts_on_path(run.model, run.forward.x, finding, path, run.atlases),
        whole=_gradient(run.forward.input_gradient(target).cpu().numpy()),
        pruned=_gradient(PrunedForward(run.forward, path.masks).input_gradient(target).cpu().numpy()),
    )


def _gradient(values: np.ndarray) -> SaliencyMap:
    """A gradient (1, C, H, W) as a map: of each pixel the channel where it is largest."""
    largest = np.abs(values).argmax(1, keepdims=True)
    plain = np.take_along_axis(values, largest, axis=1)[0, 0]
    return SaliencyMap("gradient", np.asarray(plain, dtype=np.float32), signed=True, options={})
