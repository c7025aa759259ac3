"""What every detector of the unusual does: learn from normal images alone, score others, show where."""

from __future__ import annotations

from typing import Any, Protocol, Self

from torch import Tensor


class Detector(Protocol):
    """A detector of images unlike those it was fitted on.

    Images are (N, C, H, W) floats in [0, 1]. Scores and maps are absolute: the same for an image whatever others are
    asked about beside it, and comparable between images.
    """

    def fit(self, images: Tensor) -> Self:
        """Learn what is normal from normal images alone."""
        ...

    def scores(self, images: Tensor) -> Tensor:
        """How unusual each image is, (N,); higher is more unusual."""
        ...

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """Where each image is unusual, (N, 1, H, W), never below 0."""
        ...
