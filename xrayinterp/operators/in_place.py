"""Operators that write into their input, met by a mode that computes them out of place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor


class Rewritten:
    """What in-place operators have made of the tensors of one forward."""

    def __init__(self) -> None:
        self._latest: dict[int, tuple[Tensor, Tensor]] = {}  # holds the tensors: an id is used again once they are gone

    def write(self, z: Tensor, a: Tensor) -> Tensor:
        """From here on the network means a wherever it names z; returns what it goes on with."""
        if z._is_view():
            return z.copy_(a)  # what z is a view of changes with it
        self._latest[id(z)] = (z, a)
        return a

    def read(self, value: Any) -> Any:
        """An operator's argument, every rewritten tensor in it replaced."""
        if not self._latest:
            return value
        if isinstance(value, Tensor):
            while id(value) in self._latest:
                value = self._latest[id(value)][1]
            return value
        if isinstance(value, list | tuple) and any(isinstance(v, Tensor) for v in value):
            return type(value)(self.read(v) for v in value)
        return value


def writes_into_input(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """True for `relu_`, `add_`, `F.relu(z, inplace=True)` and their like."""
    name = getattr(func, "__name__", "")
    if name.endswith("_") and not name.endswith("__"):
        return True
    return bool(kwargs.get("inplace") or (func is F.relu and len(args) > 1 and args[1]))
