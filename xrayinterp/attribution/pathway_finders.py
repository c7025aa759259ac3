"""How the neurons of a pathway are found: by their scores, or by removing them step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..operators.batching import BATCH
from ..operators.tape import record
from .forward import Forward
from .pathway_gates import gate_scores
from .pathway_masks import PrunedForward, Quota, Scores, select, staying, taylor_scores, thresholds
from .pathway_search import Search, refuse
from .target import Target

Scoring = Callable[[Forward, Target, Search], Scores]
Removal = Callable[[Forward, Target, float, Search], Tensor]


Masks = tuple[Tensor, ...]


@dataclass(frozen=True)
class Finder:
    """One way to find a pathway.

    `does`: one sentence. `cost`: in forwards, L the number of ReLU sites. `masks(forward, target, sparsities, search)`
    gives, for each sparsity, a mask for each ReLU site, bool (N, ...); what can be shared between sparsities is.
    """

    name: str
    does: str
    cost: str
    masks: Callable[[Forward, Target, Sequence[float], Search], list[Masks]]


def _by_score(scoring: Scoring, quota: Quota | None = None) -> Callable[..., list[Masks]]:
    """Rank the neurons once, then cut at each sparsity; `quota`, if given, is the only one that has a meaning."""

    def masks(forward: Forward, target: Target, sparsities: Sequence[float], search: Search) -> list[Masks]:
        scores = scoring(forward, target, search)
        return [scores.sites(select(scores, sparsity, quota or search.quota)) for sparsity in sparsities]

    return masks


def _by_removal(removal: Removal) -> Callable[..., list[Masks]]:
    """Search anew at each sparsity."""

    def masks(forward: Forward, target: Target, sparsities: Sequence[float], search: Search) -> list[Masks]:
        layout = Scores.empty(forward.tape().activations)
        return [layout.sites(removal(forward, target, sparsity, search)) for sparsity in sparsities]

    return masks


def marginal_taylor(forward: Forward, target: Target, search: Search) -> Scores:
    """s_i = |a_i df/da_i| (NeuronMCT)."""
    return taylor_scores(forward.tape(), target)


def integrated(forward: Forward, target: Target, search: Search) -> Scores:
    """s_i = |a_i (1/n) sum_j df/da_i at alpha_j a|, alpha_j = (j - 1/2)/n, one ReLU site at a time (NeuronIntGrad).

    Without the absolute value, a site's sum tends to f - f(site := 0). One forward and a backward down to the site for
    each site and point; points go together in batches.
    """
    tape = forward.tape()
    scores = taylor_scores(tape, target)
    count = len(tape.activations)
    chosen = range(count) if search.sites is None else search.sites
    for site in chosen:
        if not 0 <= site < count:
            refuse("sites", search.sites, f"ReLU sites 0 to {count - 1}")
        mean = mean_gradient(forward, target, site, search.steps)
        with torch.no_grad():
            torch.mul(tape.activations[site], mean, out=scores.sites()[site]).abs_()
    return scores


def mean_gradient(forward: Forward, target: Target, site: int, steps: int) -> Tensor:
    """Mean over alpha_j of df/da with the whole site scaled by alpha_j, (N, ...)."""
    films = len(forward.x)
    alphas = (torch.arange(steps, dtype=forward.x.dtype, device=forward.x.device) + 0.5) / steps
    parts = []
    for some in alphas.split(max(1, BATCH // films)):
        scale = some.repeat_interleave(films)

        def scaled(at: int, a: Tensor, scale: Tensor = scale) -> Tensor:
            return a if at != site else (a.detach() * scale.view(-1, *[1] * (a.ndim - 1))).requires_grad_()

        tape = record(forward.module, forward.x.repeat(len(some), 1, 1, 1), edit=scaled)
        (gradient,) = tape.gradients(_repeated(target, len(some)).score, at=[tape.activations[site]])
        parts.append(gradient.unflatten(0, (len(some), films)).sum(0))
    return torch.stack(parts).sum(0) / steps


def _repeated(target: Target, times: int) -> Target:
    """The target for a batch that holds the films so many times over."""
    index = target.index
    return Target(index.repeat(times) if isinstance(index, Tensor) and index.ndim == 1 else index, target.sign)


def random(forward: Forward, target: Target, search: Search) -> Scores:
    """Uniform numbers: as many neurons stay at each ReLU site, whichever they are."""
    scores = Scores.empty(forward.tape().activations)
    generator = torch.Generator().manual_seed(search.seed)
    drawn = 1 - torch.rand(scores.values.shape, generator=generator)
    return Scores(drawn.to(scores.values), scores.shapes)


def active(forward: Forward, target: Target, sparsity: float, search: Search) -> Tensor:
    """Every neuron with a_i > 0, whatever the sparsity asked: the network as it is, told by its mask."""
    return torch.cat([(a.detach() > 0).flatten(1) for a in forward.tape().activations], 1)


def iterative(forward: Forward, target: Target, sparsity: float, search: Search) -> Tensor:
    """Remove the lowest |a_i df/da_i|, score those left in the pruned network, and again (PruneGrad).

    The share that stays falls by the same factor each round. What is removed stays removed.
    """
    scores = taylor_scores(forward.tape(), target)
    for number in range(1, search.rounds + 1):
        stays = select(scores, 1 - (1 - sparsity) ** (number / search.rounds), search.quota)
        if number < search.rounds:
            scores = taylor_scores(PrunedForward(forward, scores.sites(stays)).tape(), target)
    return stays


def greedy(forward: Forward, target: Target, sparsity: float, search: Search) -> Tensor:
    """Remove the lowest positive |a_i df/da_i|, score again, and so on; neurons that score 0 are never removed.

    It keeps the response and is pathological on purpose: dead neurons stay. Each round removes the same share of the
    neurons with positive scores, so that the share asked for of them is gone at the end; together with the dead ones,
    the sparsity asked for is seldom reached.
    """
    scores = taylor_scores(forward.tape(), target)
    stays = torch.ones_like(scores.values, dtype=torch.bool)
    share = 1 - (1 - sparsity) ** (1 / search.rounds)
    for number in range(search.rounds):
        if number:
            scores = taylor_scores(PrunedForward(forward, scores.sites(stays)).tape(), target)
        for row, left in zip(scores.values, stays, strict=True):
            positive = int((row > 0).sum())
            surplus = int(left.sum()) - staying(len(row), sparsity)
            removed = min(round(share * positive), surplus)
            if removed > 0:
                left &= (row <= 0) | (row > thresholds(row[None], positive - removed)[0])
    return stays


FINDERS: Mapping[str, Finder] = MappingProxyType(
    {
        finder.name: finder
        for finder in (
            Finder("marginal_taylor", "Keeps the largest |a df/da|.", "3", _by_score(marginal_taylor)),
            Finder("integrated", "Keeps the largest integrated gradients.", "about 2 L steps", _by_score(integrated)),
            Finder("iterative", "Removes the lowest |a df/da| in rounds.", "about 4 rounds", _by_removal(iterative)),
            Finder("greedy", "Removes the lowest |a df/da| above 0 only.", "about 4 rounds", _by_removal(greedy)),
            Finder("distillation_guided", "Trains a gate a neuron.", "about 4 iterations", _by_score(gate_scores)),
            Finder("random", "Keeps neurons by lot, as many at each layer.", "1", _by_score(random, "layer")),
            Finder("active", "Keeps every neuron that fires.", "1", _by_removal(active)),
        )
    }
)
"""Every finder by name."""


def finder_named(name: str) -> Finder:
    """The finder of that name.

    Raises:
        XrayInterpError: `unknown-method`, listing those there are.
    """
    if name not in FINDERS:
        raise XrayInterpError(
            Code.UNKNOWN_METHOD, f"There is no path finder {name!r}.", f"There are: {', '.join(FINDERS)}."
        )
    return FINDERS[name]
