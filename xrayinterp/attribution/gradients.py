"""Methods that read the gradient at the input."""

from __future__ import annotations

from torch import Tensor

from .forward import Forward
from .registry import attribution
from .target import Target


@attribution(
    "gradient", family="gradient", cost=2.25, signed=True, linear=True, paper="Simonyan et al. 2014, arXiv 1312.6034"
)
def gradient(forward: Forward, target: Target) -> Tensor:
    """M(u) = df/dx_c(u) of the channel c with the largest |df/dx_c(u)|: how the logit moves if the pixel brightens."""
    g = forward.input_gradient(target)
    return g.gather(1, g.abs().argmax(1, keepdim=True))


@attribution(
    "input_x_gradient",
    family="gradient",
    cost=2.25,
    signed=True,
    linear=True,
    paper="Shrikumar et al. 2016, arXiv 1605.01713",
)
def input_x_gradient(forward: Forward, target: Target) -> Tensor:
    """M(u) = sum_c x_c(u) df/dx_c(u); without biases in the network, sum_u M(u) = f."""
    return (forward.x * forward.input_gradient(target)).sum(1, keepdim=True)
