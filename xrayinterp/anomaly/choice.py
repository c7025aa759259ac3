"""Experts by name."""

from __future__ import annotations

from ..models.layout import DenseNetShape
from .expert_files import SHIPPED, shipped_expert
from .experts import Expert, model_expert, random_expert, vgg16_expert

RANDOM_DENSE = DenseNetShape(growth=16, blocks=(4, 8, 12, 8), stem=32)
"""Size of the built-in self-supervised expert, and of the random one beside it."""
NAMES = ("vgg16", SHIPPED, "random", "random-vgg16")
"""Experts that are no chest models."""


def expert_named(name: str, *, size: int | None = None, seed: int = 0) -> Expert:
    """An expert by name: one of NAMES, or a chest model's name or file.

    Args:
        name: "vgg16" (ImageNet), "self-supervised" (films without labels), "random" (a DenseNet that learned nothing),
            "random-vgg16" (a VGG-16 that learned nothing), or a model of the registry.
        size: side of its input in pixels; None takes its own (128 for those that have none).
        seed: of random weights.

    Raises:
        XrayInterpError: `unknown-model`; those of the weights.
    """
    if name == SHIPPED:
        return shipped_expert(size=size)
    if name == "vgg16":
        return vgg16_expert(size=size or 128)
    if name == "random-vgg16":
        return random_expert(seed, size=size or 128)
    if name == "random":
        return random_expert(seed, size=size or 128, shape=RANDOM_DENSE)
    from ..models.zoo import load_model

    return model_expert(load_model(name), size=size)
