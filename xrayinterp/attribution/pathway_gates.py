"""Distillation-guided routing (Wang et al. 2018): a gate for each neuron, trained until few are open."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..operators.tape import Edit, record
from .forward import Forward
from .pathway_masks import Scores
from .pathway_search import Search
from .target import Target

LARGEST = 100.0
"""No gate opens further."""


def gate_scores(forward: Forward, target: Target, search: Search) -> Scores:
    """Gates lambda_i >= 0 after each ReLU that minimise D(f(x), f_lambda(x)) + penalty sum_i lambda_i.

    D is the cross-entropy between the outputs' softmax, or the sum of those between their sigmoids. Of all steps whose
    decision is unchanged (the largest output, or each output's side of 0) the one of lowest loss is taken. The target
    plays no part: the whole output is to stay. Where all outputs are negative, a network that passes nothing on may
    keep their signs as well.

    Raises:
        XrayInterpError: `no-pathway` where no step kept the decision, which only random gates can bring about.
    """
    scores = Scores.empty(forward.tape().activations)
    wanted = forward.tape().logits.detach()
    shapes = [torch.Size((1, *shape[1:])) for shape in scores.shapes]
    for film, row in enumerate(scores.values):
        with torch.inference_mode(False):  # where the caller has forbidden them, gates need gradients all the same
            found = _gates(forward.module, forward.x[film : film + 1], wanted[film : film + 1], shapes, search)
        row.copy_(found)
    return scores


def _gates(module: nn.Module, x: Tensor, wanted: Tensor, shapes: list[torch.Size], search: Search) -> Tensor:
    """Gates (n,) of one film."""
    penalty = search.penalty
    generator = torch.Generator().manual_seed(search.seed)
    for _ in range(search.attempts):
        if search.gates == "ones":
            gates = [x.new_ones(shape) for shape in shapes]
        else:
            gates = [torch.rand(shape, generator=generator).to(x) for shape in shapes]
        found = _descend(module, x, wanted, gates, penalty, search)
        if found is not None:
            return found
        penalty /= 10
    raise XrayInterpError(
        Code.NO_PATHWAY,
        f"No gates that keep the network's decision were found in {search.attempts} attempts.",
        "Start from gates='ones', or allow more iterations.",
    )


def _descend(
    module: nn.Module, x: Tensor, wanted: Tensor, gates: list[Tensor], penalty: float, search: Search
) -> Tensor | None:
    """Gradient descent with momentum on the gates; those of the lowest loss that kept the decision, or None."""
    speeds = [torch.zeros_like(gate) for gate in gates]
    best, lowest = None, math.inf
    for _ in range(search.iterations):
        leaves = [gate.detach().requires_grad_() for gate in gates]
        tape = record(module, x, edit=_gated(leaves))
        gradients = tape.gradients(lambda logits: _distance(logits, wanted, search), at=leaves)
        with torch.no_grad():
            loss = float(_distance(tape.logits, wanted, search)) + penalty * sum(float(gate.sum()) for gate in gates)
            if loss < lowest and _same_decision(tape.logits, wanted, search):
                best, lowest = torch.cat([gate.flatten() for gate in gates]), loss
            for gate, speed, gradient in zip(gates, speeds, gradients, strict=True):
                speed.mul_(search.momentum).add_(gradient).add_(penalty)
                gate.sub_(search.rate * speed).clamp_(0, LARGEST)
    return best


def _gated(gates: list[Tensor]) -> Edit:
    return lambda site, a: a * gates[site]


def _distance(logits: Tensor, wanted: Tensor, search: Search) -> Tensor:
    if search.agreement == "softmax":
        return F.cross_entropy(logits, wanted.softmax(1), reduction="sum")
    return F.binary_cross_entropy_with_logits(logits, wanted.sigmoid(), reduction="sum")


def _same_decision(logits: Tensor, wanted: Tensor, search: Search) -> bool:
    if search.agreement == "softmax":
        return torch.equal(logits.argmax(1), wanted.argmax(1))
    return torch.equal(logits > 0, wanted > 0)
