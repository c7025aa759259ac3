"""See what a network computes while it runs: operators are intercepted, modules are not hooked.

A `TorchFunctionMode` meets `nn.ReLU`, `F.relu` and `Tensor.relu_` alike, lives on one thread and one `with` block, and
leaves nothing on the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import Code, XrayInterpError


@dataclass(frozen=True, eq=False)
class Cut:
    """One forward whose graph begins at a feature map.

    `maps`: (N, U, h, w). `logits`: (N, F), computed from `maps`; a gradient costs the backward of what lies above the
    map and can be asked for again. `number`: for a map found before pooling, how many such maps came before it.
    """

    maps: Tensor
    logits: Tensor
    number: int = 0

    def gradient(self, score: Callable[[Tensor], Tensor]) -> Tensor:
        """Gradient of score(logits) at the maps, (N, U, h, w)."""
        (gradient,) = torch.autograd.grad(score(self.logits), [self.maps], retain_graph=True)
        return gradient


def cut_at_last_map(module: nn.Module, x: Tensor) -> Cut:
    """Run `module` on x (N, C, H, W) with a graph that begins at its last spatial map before pooling.

    The last spatial map is the input of the last operator that turns a (N, U, h, w) tensor into one without positions:
    global or adaptive pooling to 1 x 1, a mean over positions, flatten, reshape or a kernel as large as the map.

    Raises:
        XrayInterpError: `unknown-layer` where the network has no such operator.
    """
    mode = _LastMap(x)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())  # the mode turns gradients on at the cut; this block turns them off again
        stack.enter_context(mode)
        logits: Tensor = module(mode.x)
    if mode.leaf is None:
        raise XrayInterpError(
            Code.UNKNOWN_LAYER,
            f"{type(module).__name__} has no feature map before its output.",
            "Use a method of another family, such as 'gradient', or name a layer.",
        )
    return Cut(mode.leaf, logits, mode.number)


def above_last_map(module: nn.Module, x: Tensor, cut: Cut, maps: Tensor) -> Tensor:
    """Logits (M, F) of one film x (1, C, H, W) with M other last maps (M, U, h, w) in place of its own.

    What lies below the maps runs once. `cut` is what `cut_at_last_map` gave for the module.

    Raises:
        XrayInterpError: `unsupported-operator` where what lies above takes more of the network than the last map.
    """
    mode = _OtherMaps(x.detach().clone(), cut.number, maps)
    try:
        with torch.inference_mode(), mode:
            logits: Tensor = module(mode.x)
    except RuntimeError as error:
        if not mode.replaced:
            raise
        raise XrayInterpError(
            Code.UNSUPPORTED_OPERATOR,
            f"{type(module).__name__} joins its last map with others before its output: it cannot be run from there.",
            "Use a method that needs gradients only, such as 'gradcam_signed'.",
        ) from error
    return logits


class _LastMap(TorchFunctionMode):
    """Replaces each map that is about to lose its positions by a leaf; the last one stays."""

    def __init__(self, x: Tensor) -> None:
        self.x = x.detach().clone()  # a clone, since the network may write into its input
        self.leaf: Tensor | None = None
        self.number = -1
        self._original: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = self._run(func, args, kwargs)
        source = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if source is None or source is self.x or source is self._original or not _loses_positions(source, out):
            return out
        torch.set_grad_enabled(True)
        self.number += 1
        self._original, self.leaf = source, source.detach().clone().requires_grad_()
        return self._run(func, args, kwargs)

    def _run(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The operator, with the leaf wherever the map it replaced is used."""
        if self.leaf is None:
            return func(*args, **kwargs)
        return _run_with(func, args, kwargs, self._original, self.leaf)


class _OtherMaps(TorchFunctionMode):
    """Puts other maps in place of the one, numbered in call order, that is about to lose its positions."""

    def __init__(self, x: Tensor, number: int, maps: Tensor) -> None:
        self.replaced = False
        self.x = x
        self._left, self._maps = number, maps
        self._original: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.replaced:
            return _run_with(func, args, kwargs, self._original, self._maps)
        out = func(*args, **kwargs)
        source = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if source is None or source is self.x or source is self._original or not _loses_positions(source, out):
            return out
        self._original, self._left = source, self._left - 1
        if self._left >= 0:
            return out
        self.replaced = True
        return _run_with(func, args, kwargs, source, self._maps)


def _run_with(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], original: Tensor | None, other: Tensor
) -> Any:
    """The operator, with `other` wherever `original` is an argument."""

    def swap(value: Any) -> Any:
        if value is original:
            return other.clone()  # a clone, since the network may go on in place
        if isinstance(value, list | tuple) and any(isinstance(v, Tensor) for v in value):
            return type(value)(swap(v) for v in value)
        return value

    return func(*map(swap, args), **{name: swap(value) for name, value in kwargs.items()})


def _loses_positions(source: Tensor, out: Any) -> bool:
    """True if `out` is what is left of the (N, U, h, w) map `source` once positions are pooled or flattened away."""
    if not isinstance(out, Tensor) or not out.is_floating_point() or source.ndim != 4 or out.ndim < 2:
        return False
    spatial = source.shape[2] * source.shape[3] > 1
    gone = out.ndim < 4 or (out.ndim == 4 and out.shape[2] * out.shape[3] == 1)
    return spatial and gone and out.shape[0] == source.shape[0]
