"""What a model is to the rest of the house: a frozen module that gives logits, and a card that says its worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..imaging import geometry
from ..imaging.geometry import Fit, FloatImage, Frame
from ..imaging.radiograph import Radiograph
from .card import Calibration, Card, FindingMetrics, Interval, Layer, OperatingPoint
from .prepare import as_square, on_film, to_input

__all__ = [
    "Calibration",
    "Card",
    "ChestModel",
    "FindingMetrics",
    "Interval",
    "Layer",
    "OperatingPoint",
]


@dataclass(frozen=True)
class ChestModel:
    """A model ready to predict and to be explained.

    `module`: eval mode, parameters frozen, no in-place ReLU, (N, 1, size, size) in [-scale, scale] -> logits (N, F).
    `findings`: names of the F outputs, trained ones only. `layers`: dissection layers by name; values at a layer are
    its rectified map. `detail`: side in pixels to which films are first reduced, or None. `task`: for "severity" the
    outputs are zone scores A to F (0 to 3) and `global`, and a logit is the raw output.
    """

    name: str
    module: nn.Module
    findings: tuple[str, ...]
    layers: Mapping[str, Layer]
    size: int
    scale: float
    detail: int | None
    task: Literal["findings", "severity"]
    card: Card
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    metrics: Mapping[str, FindingMetrics] = field(default_factory=dict)

    def index(self, finding: str) -> int:
        """Position of a finding among the outputs.

        Raises:
            XrayInterpError: `unknown-finding`, listing those there are.
        """
        if finding not in self.findings:
            raise XrayInterpError(
                Code.UNKNOWN_FINDING,
                f"Model {self.name!r} has no finding {finding!r}.",
                f"It has: {', '.join(self.findings)}.",
            )
        return self.findings.index(finding)

    def layer(self, name: str) -> Layer:
        """A dissection layer by name.

        Raises:
            XrayInterpError: `unknown-layer`, listing those there are.
        """
        if name not in self.layers:
            raise XrayInterpError(
                Code.UNKNOWN_LAYER, f"Model {self.name!r} has no layer {name!r}.", f"It has: {', '.join(self.layers)}."
            )
        return self.layers[name]

    def frame(self, radiograph: Radiograph, fit: Fit = "crop") -> Frame:
        """The square of the film that the model sees."""
        return geometry.frame(*radiograph.shape, fit)

    def prepare(self, radiograph: Radiograph, fit: Fit = "crop") -> Tensor:
        """Input (1, 1, size, size) float32 in [-scale, scale] on the module's device."""
        return self.prepare_pixels(radiograph.pixels, fit)

    def prepare_pixels(self, pixels: FloatImage, fit: Fit = "crop") -> Tensor:
        """`prepare` for a film that is no `Radiograph`: pixels (H, W) in [0, 1], bone white."""
        height, width = pixels.shape
        square = as_square(geometry.cut(pixels, geometry.frame(height, width, fit)))
        return to_input(square, size=self.size, detail=self.detail, scale=self.scale).to(self.device)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (N, F) of prepared inputs, without a graph."""
        with torch.inference_mode():
            out: Tensor = self.module(x)
        return out

    def to_display(
        self, values: Tensor, radiograph: Radiograph, fit: Fit = "crop", *, smooth: bool = True
    ) -> FloatImage:
        """A map (h, w) over the model's square drawn on the film's grid: (H, W), NaN where the model saw nothing.

        `smooth` interpolates bilinearly; otherwise each cell is drawn as it is.
        """
        return on_film(values.detach().float().cpu().numpy(), self.frame(radiograph, fit), smooth=smooth)

    @property
    def device(self) -> torch.device:
        """Where the module's weights are."""
        return next(self.module.parameters()).device
