"""One forward that keeps what backward rules need; each rule then costs one backward over the same graph.

A `TorchFunctionMode` replaces every ReLU, however it is written, by one whose backward is chosen when a gradient is
asked for. Nothing is left on the network, and tapes of different films never meet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from ..errors import Code, XrayInterpError
from .in_place import Rewritten, writes_into_input
from .lean import leanly
from .linear import base_name, is_linear, tensors

RELUS = frozenset({F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_})
_CLAMPS = frozenset({"clamp", "clamp_min", "clip"})
_MAX_POOLS = frozenset({F.max_pool1d, F.max_pool2d, F.max_pool3d, torch.max_pool1d, torch.max_pool2d, torch.max_pool3d})


ReluRule = Callable[[int, Tensor, Tensor], Tensor]
"""What a ReLU passes back: rule(site, a, R), `site` counting ReLUs in call order, a its output, R what arrives."""

Pool = Callable[[Tensor], Tensor]
PoolRule = Callable[["PoolSite", Tensor], Tensor]
"""What a max pooling passes back: rule(site, R), R what arrives at its output."""

Edit = Callable[[int, Tensor], Tensor]
"""Changes the output a of ReLU `site` during the forward: a mask, a gate, a scale."""


def plain(site: int, a: Tensor, R: Tensor) -> Tensor:
    """The gradient: R [a > 0]."""
    passed: Tensor = torch.ops.aten.threshold_backward(R, a, 0)  # one pass over memory instead of two
    return passed


@dataclass(frozen=True, eq=False)
class PoolSite:
    """One max pooling of a forward: its input z, its output a with the graph from z to a, and its window's settings."""

    z: Tensor
    a: Tensor
    settings: Mapping[str, Any]


def winner(site: PoolSite, R: Tensor) -> Tensor:
    """The gradient: all of R goes to the largest value of its window."""
    (passed,) = torch.autograd.grad(site.a, [site.z], R, retain_graph=True)
    return passed


@dataclass(frozen=True, eq=False)
class Biased:
    """Where a bias enters: z (N, U, ...) is the output of a biased operator, b its bias per unit, (U,).

    In eval mode, batch normalisation adds b = beta - gamma mu / sqrt(var + eps).
    """

    z: Tensor
    b: Tensor


@dataclass(frozen=True, eq=False)
class Tape:
    """One forward of a network on x, with its graph.

    `activations`: the outputs a of all ReLUs in call order, as the network went on with them. `biased`: every place
    where a bias enters, if asked for. `unruled`: operators met that are neither ReLUs nor known to be linear.
    """

    x: Tensor
    logits: Tensor
    activations: tuple[Tensor, ...]
    biased: tuple[Biased, ...]
    unruled: tuple[str, ...]
    _rule: _Current

    def gradients(
        self,
        score: Callable[[Tensor], Tensor],
        at: Sequence[Tensor] | None = None,
        rule: ReluRule = plain,
        *,
        pool: PoolRule = winner,
    ) -> tuple[Tensor, ...]:
        """What arrives at the tensors `at` (default: at x) from score(logits) under a rule; ask as often as you like.

        `rule` is for ReLUs, `pool` for max pooling.

        Raises:
            XrayInterpError: `unsupported-operator` where the rule is not `plain` and an operator is neither a ReLU nor
                linear.
        """
        if rule is not plain and self.unruled:
            raise XrayInterpError(
                Code.UNSUPPORTED_OPERATOR,
                f"The network uses {', '.join(self.unruled)}, for which this rule says nothing.",
                "Use 'gradient' or another method that needs no rule at its nonlinear operators.",
            )
        with torch.inference_mode(False), torch.enable_grad(), self._rule.set(rule, pool):
            wanted = [self.x] if at is None else list(at)
            return torch.autograd.grad(score(self.logits), wanted, retain_graph=True, materialize_grads=True)


def record(module: nn.Module, x: Tensor, *, edit: Edit | None = None, biases: bool = False) -> Tape:
    """Run `module` on x (N, C, H, W) once and keep its graph.

    Args:
        module: any module in eval mode; neither it nor x is changed.
        x: the input.
        edit: applied to every ReLU's output on the way up; the graph goes through it.
        biases: keep the outputs of biased operators, which costs memory.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        mode = _Recorder(edit, biases)
        with mode:
            logits = module(leaf.clone())  # a clone, since the network may write into its input
    return Tape(
        leaf, logits, tuple(mode.activations), tuple(mode.biased), tuple(dict.fromkeys(mode.unruled)), mode.rule
    )


@dataclass
class _Current:
    """The rules in force during a backward; one backward at a time on each tape."""

    rule: ReluRule = plain
    pool: PoolRule = winner
    lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def set(self, rule: ReluRule, pool: PoolRule) -> Iterator[None]:
        with self.lock:
            self.rule, self.pool = rule, pool
            try:
                yield
            finally:
                self.rule, self.pool = plain, winner


class _RuledRelu(torch.autograd.Function):
    """max(0, z), with the backward that the tape's rule gives."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, site: int, current: _Current) -> Tensor:
        a = torch.relu(z)
        ctx.save_for_backward(a)
        ctx.site, ctx.current = site, current
        return a

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (a,) = ctx.saved_tensors
        return ctx.current.rule(ctx.site, a, gradients[0]), None, None


class _RuledPool(torch.autograd.Function):
    """A max pooling, with the backward that the tape's rule gives."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, site: PoolSite, current: _Current) -> Tensor:
        ctx.site, ctx.current = site, current
        return site.a.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return ctx.current.pool(ctx.site, gradients[0]), None, None


class _Recorder(TorchFunctionMode):
    """Replaces ReLUs and max pooling, and remembers activations, biased outputs and what else is nonlinear."""

    def __init__(self, edit: Edit | None, biases: bool) -> None:
        super().__init__()
        self.rule = _Current()
        self.activations: list[Tensor] = []
        self.biased: list[Biased] = []
        self.unruled: list[str] = []
        self._edit, self._biases = edit, biases
        self._rewritten = Rewritten()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        args = [self._rewritten.read(value) for value in args]
        kwargs = {name: self._rewritten.read(value) for name, value in (kwargs or {}).items()}
        z = args[0] if args else kwargs.get("input")
        if isinstance(z, Tensor) and z.requires_grad:
            if is_relu(func, args, kwargs):
                return self._relu(z, in_place=writes_into_input(func, args, kwargs))
            if func in _MAX_POOLS and not kwargs.get("return_indices"):
                return self._pool(func, args, kwargs)
        out = leanly(func, args, kwargs)
        maps = [one for one in tensors(out) if one.grad_fn is not None and one.ndim]  # a lone number is bookkeeping
        if maps and not is_linear(func, args, kwargs):
            self.unruled.append(operator_name(func))
        if self._biases and (bias := entering_bias(func, args, kwargs)) is not None:
            self.biased.append(Biased(out, bias))
        return out

    def _relu(self, z: Tensor, *, in_place: bool) -> Tensor:
        site = len(self.activations)
        a: Tensor = _RuledRelu.apply(z, site, self.rule)
        if self._edit is not None:
            a = self._edit(site, a)
        self.activations.append(a)
        return self._rewritten.write(z, a) if in_place else a

    def _pool(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
        settings = dict(zip(names, args, strict=False)) | dict(kwargs)
        x: Tensor = settings.pop("input")
        z = x.detach().requires_grad_()
        pooled: Tensor = _RuledPool.apply(x, PoolSite(z, func(z, **settings), settings), self.rule)
        return pooled


def is_relu(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """True for a call that computes max(0, z), also where it is written as a clamp."""
    if func in RELUS:
        return True
    if base_name(func) not in _CLAMPS:
        return False
    low = args[1] if len(args) > 1 else kwargs.get("min")
    high = args[2] if len(args) > 2 else kwargs.get("max")
    return high is None and isinstance(low, int | float) and low == 0


def operator_name(func: Callable[..., Any]) -> str:
    """The name a user knows an operator by, such as `torch.nn.functional.silu`."""
    name: str = resolve_name(func) or getattr(func, "__name__", repr(func))
    return name


def entering_bias(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The bias per unit (U,) that a call of convolution, linear map or batch normalisation adds, or None."""
    if func is F.batch_norm:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        mean, variance = given["running_mean"], given["running_var"]
        scale = torch.rsqrt(variance + given.get("eps", 1e-5))
        gamma, beta = given.get("weight"), given.get("bias")
        shift: Tensor = -mean * scale * (1 if gamma is None else gamma)
        return shift if beta is None else shift + beta
    if func in (F.conv1d, F.conv2d, F.conv3d, torch.conv2d, F.linear):
        bias: Tensor | None = args[2] if len(args) > 2 else kwargs.get("bias")
        return bias
    return None
