"""The network that learnt nothing: methods whose maps look the same on it show the film, not a model."""

from __future__ import annotations

from dataclasses import replace

from ..dissection.baselines import randomised
from ..models.architectures import DenseNet, DenseNetShape
from ..models.chest_model import ChestModel
from ..models.layout import dissection_layers

DENSENET_121 = DenseNetShape(growth=32, blocks=(6, 12, 24, 16), stem=64)


def untrained(model: ChestModel, shape: DenseNetShape = DENSENET_121, *, seed: int = 0) -> ChestModel:
    """A DenseNet of random weights with a model's outputs, input and recipe; the model is left as it is.

    Every output is explained, none flagged: there are no operating points.
    """
    module = DenseNet(shape, len(model.findings)).to(model.device)
    layers = dissection_layers(shape, model.size)
    return replace(randomised(replace(model, module=module, layers=layers), seed), name=f"untrained-{seed}")
