"""Local stand-in, replaced at the merge."""

from typing import Any, Protocol, Self

from torch import Tensor


class Detector(Protocol):
    """See the merge."""

    def fit(self, images: Tensor) -> Self: ...

    def scores(self, images: Tensor) -> Tensor: ...

    def maps(self, images: Tensor, **options: Any) -> Tensor: ...
