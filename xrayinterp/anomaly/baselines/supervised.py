"""The upper line: a model that was told which films bear a finding."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from ...attribution import attribute
from ...models.prepare import to_input
from ...models.zoo import load_model
from .features import batches

_MAPPED = 16  # films in work together where maps are made


class Supervised:
    """A built-in model's first logit; it learns nothing from normal images.

    Args:
        model: a model's name.
        method: of attribution, for maps.
        device: where to compute.
    """

    def __init__(self, model: str = "weak", *, method: str = "gradcam", device: str = "cpu") -> None:
        self.model, self.method, self.device = load_model(model, device=device), method, device

    def fit(self, images: Tensor) -> Self:
        """Nothing: the model was trained before."""
        return self

    def scores(self, images: Tensor) -> Tensor:
        """Logits (N,) of images (N, C, H, W) in [0, 1], the mean of their channels."""
        return torch.cat([self.model.logits(self._input(batch))[:, 0] for batch in batches(images, self.device)]).cpu()

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """What speaks for a finding: (N, 1, H, W), nowhere below 0."""
        size = images.shape[-1]
        found = [
            attribute(self.model, self._input(batch), 0, self.method) for batch in batches(images, self.device, _MAPPED)
        ]
        maps = torch.cat(found).detach().clamp(min=0)
        return torch.nn.functional.interpolate(maps, (size, size), mode="bilinear", antialias=True).cpu()

    def _input(self, images: Tensor) -> Tensor:
        grey = images.mean(1, keepdim=True)
        return to_input(grey, size=self.model.size, detail=self.model.detail, scale=self.model.scale)
