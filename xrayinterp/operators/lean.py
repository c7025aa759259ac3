"""Gradients at the input of a frozen network, for less time and memory: same values, other ways to compute them.

On one thread of a CPU, DenseNet-121 takes 1.3 forwards for a sample's forward and backward instead of 2.1, and a graph
of half the size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = frozenset({F.conv2d, torch.conv2d})
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
PAYS_FROM = 2_000_000
"""Weights of a network from which on `Lean` saves time: asking every call of a small one costs more than it saves."""


class Lean(TorchFunctionMode):
    """Within, batch normalisation in eval mode keeps its scale alone, and 1 x 1 convolutions go to oneDNN.

    Gradients reach inputs, never parameters. Enter it outside of any mode that is to see the operators as they were
    written.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return leanly(func, args, kwargs or {})


def lean_for(network: nn.Module) -> AbstractContextManager[object]:
    """`Lean` where it pays, else nothing: the values are the same."""
    large = sum(weights.numel() for weights in network.parameters()) >= PAYS_FROM
    return Lean() if large else nullcontext()


def leanly(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of a call, computed as within `Lean`: for a mode that meets every call itself."""
    if func in _CONVOLUTIONS:
        given = dict(zip(_CONVOLUTION, args, strict=False)) | dict(kwargs)
        if given.get("bias") is None and _is_pointwise(given["input"], given["weight"]):
            return func(**given | {"dilation": 2})
    if func is F.batch_norm:
        given = dict(zip(_NORM, args, strict=False)) | dict(kwargs)
        if not given.get("training") and given["input"].requires_grad:
            return _Norm.apply(given.pop("input"), given)
    return func(*args, **kwargs)


class _Norm(torch.autograd.Function):
    """Batch normalisation in eval mode, a scale and a shift: the backward needs the scale, not the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, settings: Mapping[str, Any]) -> Tensor:
        scale = torch.rsqrt(settings["running_var"] + settings.get("eps", 1e-5))
        gamma = settings.get("weight")
        ctx.scale = (scale if gamma is None else gamma * scale).view(-1, *[1] * (x.ndim - 2))
        return F.batch_norm(x, **settings)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.scale, None


def _is_pointwise(x: Tensor, weight: Tensor) -> bool:
    """True for a 1 x 1 kernel that oneDNN may take.

    ATen gives it fewer than 16 samples on one thread only where the kernel is dilated; a 1 x 1 kernel has no gaps to
    widen, so dilation changes nothing else. With a bias ATen would take a slow path of its own instead.
    """
    onednn = x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return onednn and weight.shape[2:] == (1, 1)
