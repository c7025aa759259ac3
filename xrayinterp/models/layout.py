"""The size of a DenseNet and the layers that follow from it, free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from .card import Layer


@dataclass(frozen=True)
class DenseNetShape:
    """Size of a DenseNet: growth rate, layers in each block, channels after the stem, bottleneck factor."""

    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    stem: int = 64
    bottleneck: int = 4


def dissection_layers(shape: DenseNetShape, size: int) -> dict[str, Layer]:
    """Layers of a DenseNet by name, first to last, with grids at inputs of `size` pixels.

    "denseblockN" is block N behind the norm and ReLU of the transition that follows it; the last block is followed by
    "norm5", whose map is rectified likewise.
    """
    grid = _halved(_halved(size, 7, 3), 3, 1)
    channels = shape.stem
    layers: dict[str, Layer] = {}
    for number, count in enumerate(shape.blocks, start=1):
        channels += count * shape.growth
        if number < len(shape.blocks):
            layers[f"denseblock{number}"] = Layer(f"features.transition{number}.relu", grid, channels)
            grid, channels = grid // 2, channels // 2
    return layers | {"norm5": Layer("features.norm5", grid, channels)}


def _halved(side: int, kernel: int, padding: int) -> int:
    return (side + 2 * padding - kernel) // 2 + 1
