"""Maps of the pruned network: f^m is the network with only a pathway's neurons, m their mask, g = df^m/dx.

`sparsity` is the share of neurons removed; 0 removes none and gives the plain gradient. `quota` says whether it holds
over all ReLU sites together or at each.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Code, XrayInterpError
from .forward import Forward
from .pathway_finders import finder_named
from .pathway_masks import PrunedForward, Quota
from .pathway_search import Search
from .registry import Range, attribution
from .target import Target

Sparsity = Annotated[float, Range(0.0, 0.999)]
Rounds = Annotated[int, Range(1, 50)]
PATHWAYS = "Khakzar et al. 2021, arXiv 2103.16886"
PRUNEGRAD = "Khakzar et al. 2019, arXiv 1911.11081"


@attribution("pathway_gradient", family="pathway", cost=4.9, signed=True, linear=True, single=False, paper=PATHWAYS)
def pathway_gradient(
    forward: Forward,
    target: Target,
    *,
    sparsity: Sparsity = 0.9,
    contribution: Literal["marginal_taylor", "integrated"] = "marginal_taylor",
    quota: Quota = "global",
    steps: Annotated[int, Range(1, 100)] = 10,
) -> Tensor:
    """M(u) = df^m/dx_c(u) of the channel c where it is largest, m_i = [s_i > tau], tau the `sparsity` quantile of s.

    s_i = |a_i df/da_i|, or with `integrated` |a_i (1/n) sum_j df/da_i at alpha_j a|, alpha_j = (j - 1/2)/n, a site at
    a time with n = `steps`, which costs some 2 n forwards for each ReLU site.
    """
    search = Search(quota=quota, steps=steps)
    return _largest_channel(_pruned(forward, target, contribution, sparsity, search).input_gradient(target))


@attribution("prunegrad", family="pathway", cost=17.6, signed=True, linear=True, single=False, paper=PRUNEGRAD)
def prunegrad(
    forward: Forward, target: Target, *, sparsity: Sparsity = 0.9, rounds: Rounds = 5, quota: Quota = "global"
) -> Tensor:
    """M(u) = df^m/dx_c(u) of the channel c where it is largest; m is left by `rounds` of removing the lowest |a_i g_i|.

    g_i = df^m/da_i is taken anew in each pruned network, some 3 forwards a round; with one round, this is Taylor
    `pathway_gradient`.
    """
    search = Search(quota=quota, rounds=rounds)
    return _largest_channel(_pruned(forward, target, "iterative", sparsity, search).input_gradient(target))


@attribution("prunegrad_pgd", family="pathway", cost=107.0, signed=True, single=False, paper=PRUNEGRAD)
def prunegrad_pgd(
    forward: Forward,
    target: Target,
    *,
    sparsity: Sparsity = 0.9,
    budget: Annotated[float, Range(1e-4, 4.0)] = 1.28,
    steps: Annotated[int, Range(1, 500)] = 50,
    rounds: Rounds = 1,
    quota: Quota = "global",
) -> Tensor:
    """M(u) = delta_c(u) of the channel c where it is largest; delta maximises f^m(x + delta), ||delta||_2 <= eps.

    By `steps` of length eps/20 up the gradient, delta <- P(delta + (eps/20) g/||g||_2), each projected into the ball of
    radius eps = `budget` ||x||_2; 1.28 is the published 500 for ImageNet inputs. m as in `prunegrad`, frozen. Each step
    costs some 2.1 forwards. Raises `no-gradient` where the pruned network no longer depends on x.
    """
    search = Search(quota=quota, rounds=rounds)
    pruned = _pruned(forward, target, "iterative", sparsity, search)
    eps = budget * norms(forward.x)
    return _largest_channel(ascend(pruned, target, eps, eps / 20, steps))


@attribution("pruned_layer_cam", family="pathway", cost=4.1, signed=True, linear=True, single=False, paper=PRUNEGRAD)
def pruned_layer_cam(
    forward: Forward,
    target: Target,
    *,
    sparsity: Sparsity = 0.9,
    layer: str | None = None,
    smooth: Literal["yes", "no"] = "yes",
    quota: Quota = "global",
) -> Tensor:
    """M(u) = sum_k A_k(u) df^m/dA_k(u), A a layer of the Taylor-pruned network; `smooth` averages cells 2 x 2.

    Maps of at most 7 cells are never averaged. `layer` None is the last map before pooling.
    """
    A, g = _pruned(forward, target, "marginal_taylor", sparsity, Search(quota=quota)).map_gradient(target, layer)
    cam = (A * g).sum(1, keepdim=True)
    return F.avg_pool2d(cam, 2) if smooth == "yes" and min(cam.shape[-2:]) > 7 else cam


def ascend(pruned: PrunedForward, target: Target, eps: Tensor, step: Tensor, steps: int) -> Tensor:
    """The perturbation delta (N, C, H, W) that projected gradient ascent finds from 0; eps and step (N, 1, 1, 1), L2.

    Raises:
        XrayInterpError: `no-gradient`, naming the film and the step, where the gradient is 0.
    """
    delta = torch.zeros_like(pruned.x)
    for number in range(steps):
        (gradient,) = pruned.at(pruned.x + delta).gradients(target.score)
        length = norms(gradient)
        if bool((length == 0).any()):
            film = int((length.flatten() == 0).nonzero()[0])
            raise XrayInterpError(
                Code.NO_GRADIENT,
                f"Film {film}: after {number} steps the pruned network no longer depends on the input.",
                "Choose a lower sparsity, or a quota for each layer.",
            )
        delta = delta + step * gradient / length
        delta = delta * (eps / norms(delta)).clamp(max=1)
    return delta


def norms(values: Tensor) -> Tensor:
    """L2 norm of each film, (N, 1, 1, 1)."""
    length: Tensor = torch.linalg.vector_norm(values, dim=(1, 2, 3), keepdim=True)
    return length


def _pruned(forward: Forward, target: Target, finder: str, sparsity: float, search: Search) -> PrunedForward:
    """The network that a finder leaves; with nothing to be removed, the network as it is."""
    if sparsity == 0:
        return PrunedForward(forward, None)
    (masks,) = finder_named(finder).masks(forward, target, [sparsity], search)
    return PrunedForward(forward, masks)


def _largest_channel(values: Tensor) -> Tensor:
    """(N, 1, H, W): of each pixel's channels the one of largest magnitude, with its sign."""
    return values.gather(1, values.abs().argmax(1, keepdim=True))
