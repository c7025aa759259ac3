"""Which neurons stay: scores of all ReLU outputs, an exact threshold over them, and the network that they leave.

A neuron is one element of one ReLU's output, channel and position; ReLU sites are counted in call order. Everything is
per film: N films have N masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import Code, XrayInterpError
from ..operators.intercept import Cut
from ..operators.relevance import RelevanceGraph
from ..operators.tape import Edit, Tape, is_relu, record
from .forward import Forward
from .target import Target

Quota = Literal["global", "layer"]
"""Whether the sparsity holds over all ReLU sites together, or at each of them."""

FEW = 2**14
"""So many scores are not worth bracketing their threshold; of more, 1/256, but 1024 at least, are drawn for it."""


@dataclass(frozen=True, eq=False)
class Scores:
    """One number a neuron: `values` (N, n), 0 or more, all sites side by side; `shapes` are those of the sites."""

    values: Tensor
    shapes: tuple[torch.Size, ...]

    @classmethod
    def empty(cls, activations: Sequence[Tensor]) -> Scores:
        """Room for the scores of these ReLU outputs, of their type and on their device."""
        shapes = tuple(a.shape for a in activations)
        return cls(activations[0].new_empty(len(activations[0]), sum(s[1:].numel() for s in shapes)), shapes)

    def sites(self, flat: Tensor | None = None) -> tuple[Tensor, ...]:
        """Views (N, ...) of each site in `flat` (N, n), by default in the scores."""
        parts = (self.values if flat is None else flat).split([shape[1:].numel() for shape in self.shapes], 1)
        return tuple(part.view(shape) for part, shape in zip(parts, self.shapes, strict=True))


def taylor_scores(tape: Tape, target: Target) -> Scores:
    """s_i = |a_i df/da_i|, the first-order change of the target when neuron i is set to 0; dead neurons score 0."""
    scores = Scores.empty(tape.activations)
    gradients = tape.gradients(target.score, at=tape.activations)
    with torch.no_grad():
        for site, a, g in zip(scores.sites(), tape.activations, gradients, strict=True):
            torch.mul(a, g, out=site)
        scores.values.abs_()
    return scores


def select(scores: Scores, sparsity: float, quota: Quota = "global") -> Tensor:
    """The neurons that stay, bool (N, n): those that score more than the threshold, which is never below 0.

    The threshold is the largest score of the share `sparsity` to be removed, exactly. Neurons that tie with it go, so a
    few fewer may stay than asked, and a neuron that scores 0 goes at any sparsity.
    """
    stays = torch.empty_like(scores.values, dtype=torch.bool)
    sizes = [scores.values.shape[1]] if quota == "global" else [shape[1:].numel() for shape in scores.shapes]
    for part, out in zip(scores.values.split(sizes, 1), stays.split(sizes, 1), strict=True):
        torch.gt(part, thresholds(part, staying(part.shape[1], sparsity)), out=out)
    return stays


def staying(neurons: int, sparsity: float) -> int:
    """How many of so many neurons a sparsity leaves, rounded down, and one at least; rounding errors aside."""
    return max(1, neurons - math.ceil(round(sparsity * neurons, 6)))


def thresholds(scores: Tensor, stay: int) -> Tensor:
    """The (stay + 1)-th largest of each row of scores (N, n) >= 0, or 0 where there are no more; (N, 1)."""
    return torch.stack([_threshold(row, stay) for row in scores])[:, None]


def _threshold(row: Tensor, stay: int) -> Tensor:
    """Exact selection among the few scores between two brackets that a sample gives; among all, should these miss."""
    for low, high in (_bracket(row, stay), (0.0, math.inf)):
        above = row > high
        between = row[above ^ (row > low)]
        rank = stay + 1 - int(above.count_nonzero())
        if 1 <= rank <= len(between):
            return between.kthvalue(len(between) - rank + 1).values
    return row.new_zeros(())


def _bracket(row: Tensor, stay: int) -> tuple[float, float]:
    """Two scores between which the threshold lies, but for one case in millions."""
    if len(row) <= FEW or stay >= len(row):
        return 0.0, math.inf
    size = max(1024, len(row) // 256)
    drawn = torch.randint(len(row), (size,), generator=torch.Generator().manual_seed(0)).to(row.device)
    sample = row[drawn].sort(descending=True).values
    place = stay / len(row) * size
    slack = 5 * math.sqrt(place * (1 - place / size)) + 5
    first, last = int(place - slack), int(place + slack) + 1
    return float(sample[last]) if last < size else 0.0, float(sample[first]) if place > slack else math.inf


def keep(masks: Sequence[Tensor], dtype: torch.dtype) -> Edit:
    """Multiply each ReLU's output by its mask (N or 1, ...), in place and past autograd.

    The ReLU's backward then reads the masked output, a_i m_i > 0, which is the gradient of both at no further cost.
    """
    factors = [mask.to(dtype) for mask in masks]

    def edit(site: int, a: Tensor) -> Tensor:
        a.data.mul_(factors[site])
        return a

    return edit


class PrunedForward(Forward):
    """A Forward through the network that a mask leaves, on the same batch; everything that reads a Forward reads it.

    Args:
        whole: the Forward through the whole network.
        masks: one a ReLU site, (N or 1, ...), or None to remove nothing.
    """

    def __init__(self, whole: Forward, masks: Sequence[Tensor] | None) -> None:
        super().__init__(whole.module, whole.x)
        self._layers = whole._layers
        self._edit: Edit | None = None if masks is None else keep(masks, whole.x.dtype)

    def tape(self, *, biases: bool = False) -> Tape:
        """The pruned network's forward with its whole graph."""
        if self._tape is None or (biases and not self._tape.biased):
            self._tape = self.at(self.x, biases=biases)
        return self._tape

    def at(self, x: Tensor, *, biases: bool = False) -> Tape:
        """The pruned network's forward on another input, the mask unchanged."""
        return record(self.module, x, edit=self._edit, biases=biases)

    def outputs(self) -> Tensor:
        """The pruned network's logits (N, F), without a graph."""
        if self._outputs is None:
            self._outputs = self.logits(self.x)
        return self._outputs

    def relevance(self) -> RelevanceGraph:
        """Refused: relevance is defined on whole networks.

        Raises:
            XrayInterpError: `bad-option`.
        """
        raise XrayInterpError(
            Code.BAD_OPTION, "Relevance does not go through a pruned network.", "Take a gradient or a CAM of it."
        )

    def logits(self, x: Tensor) -> Tensor:
        """Logits (N, F) of the pruned network on another input, without a graph."""
        with torch.no_grad(), _Editing(self._edit):
            out: Tensor = self.module(x.clone())
        return out

    def _run_cut(self, layer: str | None) -> Cut:
        with _Editing(self._edit):
            return super()._run_cut(layer)


class _Editing(TorchFunctionMode):
    """Edits the outputs of ReLUs where no tape is recorded."""

    def __init__(self, edit: Edit | None) -> None:
        super().__init__()
        self._edit = edit
        self._site = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self._edit is None or not is_relu(func, args, kwargs or {}):
            return out
        self._site += 1
        return self._edit(self._site - 1, out)
