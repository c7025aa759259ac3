"""One memory-capped engine for everything that needs many forwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

BATCH = 16
"""Samples a forward: on a CPU, 16 in channels-last order cost 0.5 to 0.8 of what one by one does; more gain little."""

MEMORY = 2_000_000_000
"""Bytes that the intermediate results of one batch may take."""


def batched(
    function: Callable[[Tensor], Tensor], samples: Iterable[Tensor], *, batch: int = BATCH, memory: int = MEMORY
) -> Iterator[Tensor]:
    """Apply `function` (n, C, H, W) -> (n, ...) to a stream of samples (C, H, W); yields one result a sample, in order.

    Samples are drawn lazily. The first runs alone, and what it took sets how many of the next go together: at most
    `batch`, and no more than fit into `memory` bytes. The caller reduces: sums, means or rows.
    """
    stream = iter(samples)
    first = next(stream, None)
    if first is None:
        return
    with _Meter() as meter:
        results = function(_stack([first]))
    yield from results
    size = max(1, min(batch, memory // max(meter.bytes, 1)))
    while group := list(islice(stream, size)):
        yield from function(_stack(group))


def _stack(samples: list[Tensor]) -> Tensor:
    """(n, C, H, W) in channels-last order; `memory_format` alone would leave one-channel films as they are."""
    return torch.stack([sample.permute(1, 2, 0).contiguous() for sample in samples]).permute(0, 3, 1, 2)


class _Meter(TorchFunctionMode):
    """Estimates the bytes that a call holds at its peak: all results on the graph, plus four of the largest size."""

    def __init__(self) -> None:
        self._kept = 0
        self._largest = 0

    @property
    def bytes(self) -> int:
        return self._kept + 4 * self._largest

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for result in out if isinstance(out, tuple) else (out,):
            if isinstance(result, Tensor):
                self._largest = max(self._largest, result.nbytes)
                self._kept += result.nbytes if result.requires_grad else 0
        return out
