"""FullGrad: the logit is exactly the input's share plus every bias's share, f = <x, df/dx> + sum_l <b_l, df/dz_l>.

z_l is the output of an operator that adds the bias b_l; batch normalisation adds beta - gamma mu / sqrt(var + eps). The
map lays every layer's shares over each other, each first put through psi.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .forward import Forward
from .registry import attribution
from .target import Target

SRINIVAS = "Srinivas & Fleuret 2019, arXiv 1905.00780"
KHAKZAR = "Khakzar, Baselizadeh & Navab 2020, arXiv 2012.00362"
Rescale = Literal["layer", "none"]
Answer = Literal["no", "yes"]


@dataclass(frozen=True, eq=False)
class Completeness:
    """All terms of f = input + sum of biases, per film.

    `score` (N,): the signed logit f. `input` (N,): <x, df/dx>. `biases` (L, N): <b_l, df/dz_l> for each place where a
    bias enters, in call order; for DenseNet-121, 121 batch normalisations and the classifier.
    """

    score: Tensor
    input: Tensor
    biases: Tensor

    @property
    def residual(self) -> Tensor:
        """What the terms leave of the logit (N,): rounding, unless the network has biases or bends of another kind."""
        return self.score - self.input - self.biases.sum(0)


def completeness(forward: Forward, target: Target) -> Completeness:
    """The logit split over the input and all biases."""
    g_x, *rest = _gradients(forward, target)
    biased = forward.tape(biases=True).biased
    terms = [torch.einsum("nk...,k->n", g, site.b.detach()) for site, g in zip(biased, rest, strict=True)]
    score = target.scores(forward.tape().logits.detach())
    biases = torch.stack(terms) if terms else score.new_zeros((0, len(score)))
    return Completeness(score, (forward.x * g_x).sum((1, 2, 3)), biases)


@attribution("fullgrad", family="fullgrad", cost=2.9, signed=False, paper=SRINIVAS)
def fullgrad(forward: Forward, target: Target, *, rescale: Rescale = "layer", align_corners: Answer = "no") -> Tensor:
    """M(u) = sum_c psi(x_c df/dx_c)(u) + sum_l sum_k psi(b_lk df/dz_lk)(u), psi drawing up |.| rescaled layer by layer.

    `layer` rescales each layer's values, all units together, to [0, 1] film by film; as published, with `align_corners`
    for its corner-to-corner enlargement. `none` leaves them, and each layer keeps its total. Dense biases have no place
    and stay out.
    """
    return _overlay(forward, target, Tensor.abs_, rescale, align_corners)


@attribution("fullgrad_signed", family="fullgrad", cost=2.9, signed=True, linear=True, paper=KHAKZAR)
def fullgrad_signed(
    forward: Forward, target: Target, *, rescale: Rescale = "none", align_corners: Answer = "no"
) -> Tensor:
    """M(u) = sum_c psi(x_c df/dx_c)(u) + sum_l sum_k psi(b_lk df/dz_lk)(u), psi only drawing up: signs are kept.

    Unless rescaled, sum_u M(u) + dense biases = f wherever the film's sides are multiples of each map's. `layer`
    divides each layer's values by the largest magnitude among them.
    """
    return _overlay(forward, target, None, rescale, align_corners)


@attribution("fullgrad_positive", family="fullgrad", cost=2.9, signed=False, paper=KHAKZAR)
def fullgrad_positive(
    forward: Forward, target: Target, *, rescale: Rescale = "layer", align_corners: Answer = "no"
) -> Tensor:
    """M(u) = sum_c psi(x_c df/dx_c)(u) + sum_l sum_k psi(b_lk df/dz_lk)(u), psi drawing up max(0, .) rescaled by layer.

    Otherwise as `fullgrad`.
    """
    return _overlay(forward, target, Tensor.relu_, rescale, align_corners)


def _overlay(
    forward: Forward,
    target: Target,
    rectify: Callable[[Tensor], Tensor] | None,
    rescale: Rescale,
    align_corners: Answer,
) -> Tensor:
    """All layers' maps on the film's grid; units are summed before each resolution is drawn up, which is linear.

    `rectify` None keeps signs.
    """
    by_size: dict[torch.Size, Tensor] = {}
    for values in _shares(forward, target):
        kept = values if rectify is None else rectify(values)
        scaled = rescale == "layer"
        layer = _rescaled_sum(kept, signed=rectify is None) if scaled else kept.sum(1, keepdim=True)
        size = layer.shape[-2:]
        by_size[size] = by_size[size] + layer if size in by_size else layer
    full = forward.x.shape[-2:]
    total = forward.x.new_zeros((len(forward.x), 1, *full))
    for size, layer in by_size.items():
        drawn = F.interpolate(layer, full, mode="bilinear", align_corners=align_corners == "yes")
        total += drawn if rescale == "layer" else drawn * (size.numel() / full.numel())
    return total


def _shares(forward: Forward, target: Target) -> Iterator[Tensor]:
    """Yields x df/dx (N, C, H, W), then b_l df/dz_l (N, U, h, w) of each layer with positions."""
    g_x, *rest = _gradients(forward, target)
    yield forward.x * g_x
    for site, g in zip(forward.tape(biases=True).biased, rest, strict=True):
        if g.ndim == 4:
            yield g * site.b.detach()[:, None, None]


def _gradients(forward: Forward, target: Target) -> tuple[Tensor, ...]:
    """df/dx, then df/dz_l where each bias enters."""
    tape = forward.tape(biases=True)
    return tape.gradients(target.score, at=[tape.x, *(site.z for site in tape.biased)])


def _rescaled_sum(values: Tensor, *, signed: bool) -> Tensor:
    """Values (N, U, h, w) summed over units, (N, 1, h, w), after what each film's are rescaled by.

    Signed values are divided by their largest magnitude, others go to [0, 1]; an even layer of these becomes 0.
    """
    low, high = (torch.stack(ends) for ends in zip(*(film.aminmax() for film in values), strict=True))
    offset = torch.zeros_like(low) if signed else low
    spread = torch.maximum(-low, high) if signed else high - low
    total = values.sum(1, keepdim=True) - values.shape[1] * offset[:, None, None, None]
    return total / torch.where(spread > 0, spread, torch.inf)[:, None, None, None]
