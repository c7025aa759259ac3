"""Taps: read the rectified maps of named modules during one forward, leaving the model untouched.

Hooks sit on a private structural copy that shares every parameter and buffer with the model, so other threads may run
the model, or tap it, at the same time. What is kept is never a tensor that the network changes in place.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import Code, XrayInterpError
from .in_place import Rewritten, writes_into_input
from .tape import is_relu


def feature_maps(
    module: nn.Module, x: Tensor, paths: Sequence[str], *, grad: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of `module(x)` and the rectified output of every submodule in `paths`, from one forward.

    Args:
        module: any module; it keeps its hooks, flags, gradients and parameters.
        x: input batch (N, ...).
        paths: dotted names as in `module.named_modules()`; a submodule that runs twice is read the second time.
        grad: keep the graph, so that `torch.autograd.grad(logits[..], maps[path])` gives the gradient with respect to
            the map *after* its ReLU, wherever the model writes that ReLU. The graph starts at the earliest map unless
            `x` or the parameters ask for gradients themselves.

    Returns:
        Logits (N, F) and a map (N, units, h, w) for each path, both detached unless `grad`.

    Raises:
        XrayInterpError: `unknown-layer` where a path is not in the module, was not reached, gives no tensor, or (with
            `grad`) is signed and not followed by a ReLU, so that its rectified map is no step of the computation.
    """
    tapped = _tapped(module, tuple(dict.fromkeys(paths)))
    if not grad:
        with torch.no_grad(), tapped.reading() as outputs:
            logits: Tensor = tapped.module(x.clone())  # a clone, since the network may write into its input
        return logits, {path: outputs[path] for path in _reached(outputs, paths)}
    with torch.inference_mode(False), torch.enable_grad(), tapped.reading(grad=True) as outputs:
        mode = _KeepRectified(outputs)
        with mode:
            logits = tapped.module(_own(x))
    return logits, {path: mode.map(path) for path in _reached(outputs, paths)}


@dataclass
class _Reading(threading.local):
    """What the current thread's forward has met: module outputs by path, or None while nobody reads."""

    outputs: dict[str, Tensor] | None = None
    grad: bool = False


@dataclass
class _Tapped:
    """A structural copy with a hook on each path; `shared` are the tensors and flags it was copied with."""

    module: nn.Module
    shared: tuple[Tensor, ...]
    training: tuple[bool, ...]
    state: _Reading = field(default_factory=_Reading)

    @contextmanager
    def reading(self, *, grad: bool = False) -> Iterator[dict[str, Tensor]]:
        """Collect the outputs of this thread's forward."""
        self.state.outputs, self.state.grad = {}, grad
        try:
            yield self.state.outputs
        finally:
            self.state.outputs = None

    def fits(self, module: nn.Module) -> bool:
        """True while the copy still shares all tensors with `module` and agrees on train and eval."""
        tensors = _tensors(module)
        same = len(tensors) == len(self.shared) and all(a is b for a, b in zip(tensors, self.shared, strict=True))
        return same and self.training == _training(module)


class _KeepRectified(TorchFunctionMode):
    """Replaces a ReLU of a tapped output by an out-of-place one and keeps its result: the map inside the graph."""

    def __init__(self, outputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.outputs = outputs
        self.rectified: dict[str, Tensor] = {}
        self._rewritten = Rewritten()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        args = [self._rewritten.read(value) for value in args]
        kwargs = {name: self._rewritten.read(value) for name, value in (kwargs or {}).items()}
        if not is_relu(func, args, kwargs):
            return func(*args, **kwargs)
        z: Tensor = args[0] if args else kwargs["input"]
        consumed = [path for path, output in self.outputs.items() if output is z]
        if not consumed:
            return func(*args, **kwargs)
        rectified = torch.relu(z)
        self.rectified.update(dict.fromkeys(consumed, rectified))
        return self._rewritten.write(z, rectified) if writes_into_input(func, args, kwargs) else rectified

    def map(self, path: str) -> Tensor:
        """The map of `path`: its ReLU's result, or the output itself where that is rectified already."""
        if path in self.rectified:
            return self.rectified[path]
        if bool((self.outputs[path] < 0).any()):
            raise XrayInterpError(
                Code.UNKNOWN_LAYER,
                f"Layer {path!r} gives signed values and no ReLU follows it, so its rectified map has no gradient.",
                "Choose a layer that ends in a ReLU, or one whose output goes straight into one.",
            )
        return self.outputs[path]


_copies: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], _Tapped]] = WeakKeyDictionary()
_lock = threading.Lock()


def _tapped(module: nn.Module, paths: tuple[str, ...]) -> _Tapped:
    with _lock:
        known = _copies.setdefault(module, {})
        if paths not in known or not known[paths].fits(module):
            known[paths] = _copy(module, paths)
        return known[paths]


def structural_copy(module: nn.Module) -> nn.Module:
    """A copy that shares every parameter and buffer with `module`: hooks on it leave the original untouched."""
    return copy.deepcopy(module, {id(tensor): tensor for tensor in _tensors(module)})


def _copy(module: nn.Module, paths: tuple[str, ...]) -> _Tapped:
    twin = structural_copy(module)
    tapped = _Tapped(twin, _tensors(module), _training(module))
    submodules = dict(twin.named_modules())
    for path in paths:
        if path not in submodules:
            raise XrayInterpError(
                Code.UNKNOWN_LAYER,
                f"{type(module).__name__} has no layer at {path!r}.",
                "Take a name from module.named_modules(), or one of the model's named layers.",
            )
        submodules[path].register_forward_hook(partial(_keep, tapped.state, path))
    return tapped


def _keep(state: _Reading, path: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    if state.outputs is None:
        return
    if not isinstance(output, Tensor):
        raise XrayInterpError(
            Code.UNKNOWN_LAYER, f"Layer {path!r} gives a {type(output).__name__}, not one tensor.", "Choose another."
        )
    if not state.grad:
        state.outputs[path] = torch.relu(output)
        return
    if not output.requires_grad:
        output.requires_grad_()
    state.outputs[path] = output


def _own(x: Tensor) -> Tensor:
    return x if x.requires_grad else x.detach().clone()  # neither flags nor values of the caller's tensor may change


def _reached(outputs: dict[str, Tensor], paths: Sequence[str]) -> Sequence[str]:
    missing = [path for path in paths if path not in outputs]
    if missing:
        raise XrayInterpError(
            Code.UNKNOWN_LAYER, f"The forward pass did not reach {', '.join(map(repr, missing))}.", "Choose another."
        )
    return paths


def _tensors(module: nn.Module) -> tuple[Tensor, ...]:
    held = ((*part._parameters.values(), *part._buffers.values()) for part in module.modules())  # thrice as fast
    return tuple(tensor for tensor in chain.from_iterable(held) if tensor is not None)


def _training(module: nn.Module) -> tuple[bool, ...]:
    return tuple(part.training for part in module.modules())
