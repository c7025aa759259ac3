"""The network that learnt nothing: methods whose maps look the same on it show the film, not a model."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..dissection.baselines import randomised
from ..models.architectures import DenseNet, DenseNetShape
from ..models.chest_model import ChestModel
from ..models.layout import dissection_layers

DENSENET_121 = DenseNetShape(growth=32, blocks=(6, 12, 24, 16), stem=64)


def untrained(model: ChestModel, shape: DenseNetShape = DENSENET_121, *, seed: int = 0) -> ChestModel:
    """A DenseNet of random weights with a model's outputs, input and recipe; the model is left as it is.

    Every output is explained, none flagged: there are no operating points. Batch norms have random scales, shifts and
    statistics: at birth all their biases are 0, and methods that differ in what biases get would be one.
    """
    module = DenseNet(shape, len(model.findings)).to(model.device)
    layers = dissection_layers(shape, model.size)
    out = randomised(replace(model, module=module, layers=layers), seed)
    draws = torch.Generator().manual_seed(seed)
    for part in out.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            _drawn(part, draws)
    return replace(out, name=f"untrained-{seed}")


def _drawn(norm: nn.BatchNorm2d, draws: torch.Generator) -> None:
    """Scale and variance in [0.5, 1.5], shift and mean normal of deviation 0.3."""
    with torch.no_grad():
        for tensor in (norm.weight, norm.running_var):
            if tensor is not None:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draws))
        for tensor in (norm.bias, norm.running_mean):
            if tensor is not None:
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=draws))
