"""Ending long work from outside: a mode that asks, at every operator of its thread, whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_SWITCHES = frozenset({torch._C._set_grad_enabled})
"""Calls that end a `with` block: interrupted, they would leave gradients off on this thread."""


class Interrupted(Exception):  # noqa: N818  (a request that was granted, not an error)
    """The work was asked to end; nothing of it is of use."""


@contextmanager
def interruptible(cancelled: Callable[[], bool]) -> Iterator[None]:
    """Within, the next operator after `cancelled` turns true raises `Interrupted`; other threads are not touched."""
    with _Asking(cancelled):
        yield


class _Asking(TorchFunctionMode):
    def __init__(self, cancelled: Callable[[], bool]) -> None:
        super().__init__()
        self._cancelled = cancelled
        self._raised = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if not self._raised and func not in _SWITCHES and self._cancelled():
            self._raised = True  # what ends the blocks on the way out is not interrupted again
            raise Interrupted
        return func(*args, **(kwargs or {}))
