"""Operators by name that are linear in what they are given, or pick from it: a rule for ReLUs need not know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

SHAPE = frozenset(
    {"flatten", "unflatten", "reshape", "reshape_as", "view", "view_as", "ravel", "squeeze", "unsqueeze", "permute"}
    | {"transpose", "t", "movedim", "swapaxes", "contiguous", "clone", "to", "float", "double", "type_as", "cat"}
    | {"concat", "stack", "chunk", "split", "unbind", "narrow", "select", "__getitem__", "expand", "expand_as"}
    | {"repeat", "flip", "roll", "pixel_shuffle", "channel_shuffle", "pad", "__get__"}
)
"""They move values without changing them."""
WINNERS = frozenset({f"{kind}max_pool{d}d" for kind in ("", "adaptive_") for d in (1, 2, 3)} | {"amax"})
"""They pick the largest value."""
AVERAGES = frozenset({f"{kind}avg_pool{d}d" for kind in ("", "adaptive_") for d in (1, 2, 3)} | {"mean", "sum"})
CONVOLUTIONS = frozenset({f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3)})
PRODUCTS = frozenset({"linear", "matmul", "__matmul__", "mm", "einsum"})
DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"})
ADDS = frozenset(
    {"add", "sub", "subtract", "rsub", "__add__", "__radd__", "__sub__", "__rsub__", "__iadd__", "__isub__"}
)
SCALES = frozenset({"mul", "multiply", "div", "divide", "true_divide", "__mul__", "__rmul__", "__truediv__", "neg"})
_OTHERS = frozenset({"batch_norm", "interpolate", "detach", "requires_grad"})


def base_name(func: Callable[..., Any]) -> str:
    """An operator's name without the underscore that says it works in place."""
    name: str = getattr(func, "__name__", "")
    return name if name.endswith("__") else name.removesuffix("_")


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in an operator's arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def is_linear(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """True for a call that is linear in, or picks from, the activations it is given; eval mode is taken for granted.

    Activations are what has a graph behind it, which parameters have not.
    """
    name = base_name(func)
    if name in SHAPE | WINNERS | AVERAGES | ADDS | DROPOUTS | _OTHERS:
        return True
    carried = [one for one in (*tensors(args), *tensors(list(kwargs.values()))) if one.grad_fn is not None]
    if name in CONVOLUTIONS | PRODUCTS:
        return len(carried) == 1
    if name in SCALES:
        return len(carried) == 1 and (name in ("mul", "multiply", "__mul__", "__rmul__") or carried[0] is args[0])
    return False
