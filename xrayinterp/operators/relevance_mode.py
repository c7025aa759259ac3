"""Which operator of a forward is what to relevance: its place is taken by one of the same value that shares it out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from ..errors import Code, XrayInterpError
from .in_place import Rewritten, writes_into_input
from .linear import ADDS, AVERAGES, CONVOLUTIONS, DROPOUTS, SCALES, SHAPE, WINNERS, base_name, tensors
from .relevance_shares import Mix, Operator, Passing, Shift, Sum, Through, Weighted, by_unit
from .tape import entering_bias, is_relu, operator_name


@dataclass
class Current:
    """What is being passed down a graph; one at a time."""

    passing: Passing | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


class _Passed(torch.autograd.Function):
    """An operator's output a, with a graph to its inputs that carries relevance."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, operator: Operator, current: Current, *inputs: Tensor) -> Tensor:
        ctx.operator, ctx.current = operator, current
        return a.detach()

    @staticmethod
    def backward(ctx: Any, *relevance: Any) -> Any:
        return None, None, None, *ctx.operator.receive(relevance[0], ctx.current.passing)


@dataclass(frozen=True)
class _Call:
    """One call of an operator that leaves its inputs alone: its name and its arguments."""

    func: Callable[..., Any]
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    @classmethod
    def out_of_place(cls, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Call:
        name = base_name(func)
        if name != getattr(func, "__name__", ""):
            func = getattr(Tensor, name, func)
        return cls(func, name, args, kwargs)

    def run(self) -> Any:
        return self.func(*self.args, **self.kwargs)

    def tensors(self) -> list[Tensor]:
        return [*tensors(self.args), *tensors(list(self.kwargs.values()))]

    def given(self, position: int, name: str, default: Any = None) -> Any:
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def replaced(self, new: Mapping[int, Any]) -> Any:
        """The result with other tensors in the place of some, by id."""

        def swap(value: Any) -> Any:
            return new.get(id(value), value) if isinstance(value, Tensor) else value

        return self.func(*map(swap, self.args), **{name: swap(value) for name, value in self.kwargs.items()})

    def unsupported(self, why: str = "") -> XrayInterpError:
        return XrayInterpError(
            Code.UNSUPPORTED_OPERATOR,
            f"The network uses {operator_name(self.func)}{why}, for which relevance has no rule.",
            "Use 'gradient' or another method that needs no rule for it.",
        )


class RelevanceMode(TorchFunctionMode):
    """Puts `_Passed` operators in the place of those that work on something made of `x`.

    It runs under `no_grad`: what has a graph is made of x, since parameters make none.
    """

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.current = Current()
        self._rewritten = Rewritten()
        self._raw = WeakIdKeyDictionary({x: True})  # the input, still without weights or ReLUs on its way
        self._nonnegative = WeakIdKeyDictionary()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        args = [self._rewritten.read(value) for value in args]
        kwargs = {name: self._rewritten.read(value) for name, value in (kwargs or {}).items()}
        call = _Call.out_of_place(func, args, kwargs)
        carried = [tensor for tensor in call.tensors() if tensor.grad_fn is not None]
        if not carried:
            return call.run()
        with torch.enable_grad():
            out = self._meet(call, carried)
            if isinstance(out, Tensor) and out is not carried[0] and writes_into_input(func, args, kwargs):
                if carried[0]._is_view():
                    raise call.unsupported(" in place on a view")
                out = self._rewritten.write(carried[0], out)
        return out

    def _meet(self, call: _Call, carried: list[Tensor]) -> Any:
        name = call.name
        if is_relu(call.func, call.args, call.kwargs):
            return self._relu(carried[0])
        if name in CONVOLUTIONS or name in ("linear", "matmul", "__matmul__", "mm"):
            return self._weighted(call, carried)
        if name == "batch_norm":
            return self._batch_norm(call, carried[0])
        if name in AVERAGES or name == "interpolate" or (name == "einsum" and len(call.tensors()) == 1):
            return self._sum(call, carried)
        if name in ADDS:
            return self._shift(call, carried[0]) if len(carried) == 1 else self._sum(call, carried)
        if name in SCALES:
            return self._scale(call, carried)
        if name in DROPOUTS:
            if call.given(2, "training", True):
                raise call.unsupported(" in training mode")
            return carried[0]
        return self._moved(call, carried)

    def _relu(self, z: Tensor) -> Tensor:
        a = self._pass(torch.relu(z.detach()), Through(z.shape, linear=False), [z])
        self._nonnegative[a] = True
        return a

    def _moved(self, call: _Call, carried: list[Tensor]) -> Any:
        """Changes of shape, whose own graph is right, and what gives no values, such as a size; all else is refused."""
        known = call.name in SHAPE or call.name in WINNERS
        with torch.set_grad_enabled(known):
            moved = call.run()
        for result in tensors(moved):
            if result.is_floating_point() and result.ndim and not (known and result.grad_fn is not None):
                raise call.unsupported()  # but for a lone number, such as the least grey: it is a constant to relevance
            if all(tensor in self._nonnegative for tensor in call.tensors()) and call.name != "pad":
                self._nonnegative[result] = True
            if all(tensor in self._raw for tensor in carried):
                self._raw[result] = True
        return moved

    def _weighted(self, call: _Call, carried: list[Tensor]) -> Tensor:
        affine = call.name in CONVOLUTIONS or call.name == "linear"
        x, weight = call.given(0, "input"), call.given(1, "weight" if affine else "other")
        bias = call.given(2, "bias") if affine else None
        if x is not carried[0] or len(carried) > 1:
            raise call.unsupported(" of two feature maps")
        rest = call.args[3:]
        named = {key: value for key, value in call.kwargs.items() if key not in ("input", "weight", "bias", "other")}

        def apply(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            result: Tensor = call.func(x, w, b, *rest, **named) if affine else call.func(x, w)
            return result

        weight, bias = weight.detach(), None if bias is None else bias.detach()
        kind: Literal["dense", "convolution"] = "convolution" if call.name in CONVOLUTIONS else "dense"
        leaf = _leaf(x)
        z = apply(leaf, weight, bias)
        forward = Mix((leaf,), z, None if bias is None else by_unit(bias, z, kind))
        operator = Weighted(
            kind, apply, x.detach(), weight, bias, forward, nonnegative=x in self._nonnegative, first=x in self._raw
        )
        return self._pass(z, operator, [x], raw=False)

    def _batch_norm(self, call: _Call, x: Tensor) -> Tensor:
        if call.given(5, "training", False):
            raise call.unsupported(" in training mode")
        bias = entering_bias(call.func, call.args, call.kwargs)

        def mix() -> Mix:
            leaf = _leaf(x)
            z: Tensor = call.replaced({id(x): leaf})
            return Mix((leaf,), z, None if bias is None else by_unit(bias.detach(), z, "norm"))

        return self._pass(call.replaced({id(x): x.detach()}), Shift(x.shape, mix), [x])

    def _sum(self, call: _Call, carried: list[Tensor]) -> Tensor:
        inputs = list({id(tensor): tensor for tensor in carried}.values())
        monotone = call.name in AVERAGES or call.name in ("add", "__add__", "__radd__", "einsum")
        nonnegative = monotone and all(tensor in self._nonnegative for tensor in inputs)

        def apply(*values: Tensor) -> Tensor:
            new = {id(tensor): value for tensor, value in zip(inputs, values, strict=True)}
            result: Tensor = call.replaced(new)
            return result

        leaves = tuple(_leaf(tensor) for tensor in inputs)
        z = apply(*leaves)
        out = self._pass(z, Sum(apply, Mix(leaves, z), monotone, nonnegative), inputs)
        if nonnegative:
            self._nonnegative[out] = True
        return out

    def _shift(self, call: _Call, x: Tensor) -> Tensor:
        """A map x plus or minus a constant."""

        def mix() -> Mix:
            leaf = _leaf(x)
            return Mix((leaf,), call.replaced({id(x): leaf}), call.replaced({id(x): torch.zeros_like(x)}).detach())

        return self._pass(call.replaced({id(x): x.detach()}), Shift(x.shape, mix), [x])

    def _scale(self, call: _Call, carried: list[Tensor]) -> Tensor:
        """A map x times or divided by a constant."""
        x = carried[0]
        if len(carried) > 1 or (call.name not in ("mul", "multiply") and call.args[0] is not x):
            raise call.unsupported(" of two feature maps")
        return self._pass(call.replaced({id(x): x.detach()}), Through(x.shape, linear=True), [x])

    def _pass(self, a: Tensor, operator: Operator, inputs: list[Tensor], *, raw: bool = True) -> Tensor:
        out: Tensor = _Passed.apply(a, operator, self.current, *inputs)
        if raw and operator.linear and all(tensor in self._raw for tensor in inputs):
            self._raw[out] = True
        return out


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_()
