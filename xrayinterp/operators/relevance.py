"""Layer-wise relevance propagation: one forward whose graph carries relevance back instead of a gradient.

A `TorchFunctionMode` meets every operator that works on something made of x, however a network writes it, and puts one
of the same value in its place whose backward shares relevance out. Which rule it follows is chosen when a map is asked
for, so one graph serves all rules and targets; what they need beyond the forward is computed once, on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from .relevance_mode import Current, RelevanceMode
from .relevance_rules import Composite
from .relevance_shares import Lost, Passing, Weighted


@dataclass(frozen=True, eq=False)
class Relevance:
    """Where the score went: `output` (N,) = sum of `input` (N, C, H, W) + lost.biases + lost.denominators.

    `lost` is None unless it was asked for.
    """

    input: Tensor
    output: Tensor
    lost: Lost | None


@dataclass(frozen=True, eq=False)
class RelevanceGraph:
    """One forward of a network on x, ready to be asked for relevance under any rules."""

    x: Tensor
    logits: Tensor
    _current: Current

    def propagate(self, score: Callable[[Tensor], Tensor], rules: Composite, *, account: bool = False) -> Relevance:
        """Share score(logits), linear in the logits, out over x; ask as often as you like.

        Each logit starts with its own part of the score. A logit that the score subtracts is seen as the output of a
        head with opposite weights, so that what is positive for its rules is what speaks for the score. `account` keeps
        the books of what is lost, which costs a few passes over memory.
        """
        with torch.inference_mode(False), torch.enable_grad():
            logits = self.logits.detach().requires_grad_()
            (signs,) = torch.autograd.grad(score(logits), [logits])
            start = (self.logits * signs).detach()
            ledger: list[Lost] | None = [] if account else None
            found = torch.zeros_like(self.x)
            for minus, chosen in ((False, signs > 0), (True, signs < 0)):
                if bool(chosen.any()):
                    found = found + self._share(start * chosen, Passing(rules, minus, ledger))
        zero = start.new_zeros(len(start))
        lost = None if ledger is None else reduce(add, ledger, Lost(zero, zero))
        return Relevance(found.detach(), start.sum(1), lost)

    def _share(self, start: Tensor, passing: Passing) -> Tensor:
        with self._current.lock:
            self._current.passing = passing
            try:
                (found,) = torch.autograd.grad(self.logits, [self.x], start, retain_graph=True, materialize_grads=True)
            finally:
                self._current.passing = None
        return found


def record_relevance(module: nn.Module, x: Tensor) -> RelevanceGraph:
    """Run `module` on x (N, C, H, W) once and keep what relevance needs.

    Args:
        module: any module in eval mode, built of convolutions, linear maps, batch normalisation, ReLUs, pooling, sums,
            concatenation and changes of shape; neither it nor x is changed.
        x: the input.

    Raises:
        XrayInterpError: `unsupported-operator`, by name, for anything else that works on something made of x.
    """
    with torch.inference_mode(False):
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            start = leaf.clone()
        mode = RelevanceMode(start)
        with torch.no_grad(), mode:  # what has a graph within is made of x: parameters make none
            logits = module(start)
        _mark_head(logits)
    return RelevanceGraph(leaf, logits, mode.current)


def _mark_head(logits: Tensor) -> None:
    """Tell the operators nearest the logits that they are the head; a ReLU or a maximum ends the search."""
    nodes, seen = [logits.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen or "Max" in node.name():
            continue
        seen.add(node)
        operator = getattr(node, "operator", None)
        if operator is not None:
            operator.head = True
            if isinstance(operator, Weighted) or not operator.linear:
                continue
        nodes.extend(below for below, _ in node.next_functions)
