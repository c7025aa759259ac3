"""A ChestModel whose cause is known pixel by pixel, and methods that ignore everything: known truth for the lamps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from helpers.closed_form import frozen
from torch import Tensor, nn

from xrayinterp.attribution import Forward, Target, attribution, registry
from xrayinterp.models.chest_model import Card, ChestModel, OperatingPoint

SIDE = 32
LIT = (slice(2, 10), slice(17, 25))
"""Where the film of `lit_film` is bright: the only cause of "Bright"."""


class Lit(nn.Module):
    """A1 = relu(x), A2 = relu(-x); "Bright" = mean A1, "Dark" = mean A2, "Both" = their sum."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.split = nn.Conv2d(1, 2, 1, bias=False)
        self.classifier = nn.Linear(2, outputs)
        with torch.no_grad():
            self.split.weight.copy_(torch.tensor([1.0, -1.0])[:, None, None, None])
            self.classifier.weight.copy_(torch.tensor([[40.0, 0.0], [0.0, 40.0], [20.0, 20.0]])[:outputs])
            self.classifier.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(F.relu(self.split(x)).mean((2, 3)))
        return logits


def lit_model(outputs: int = 3, threshold: float = 0.5) -> ChestModel:
    """`Lit` as a model; every finding has that operating point."""
    findings = ("Bright", "Dark", "Both")[:outputs]
    return ChestModel(
        name="lit",
        module=frozen(Lit(outputs), torch.float32),
        findings=findings,
        layers={},
        size=SIDE,
        scale=1.0,
        detail=None,
        task="findings",
        card=Card("lit", "by hand", "none", "Apache-2.0", (), sha256=None),
        operating_points={name: OperatingPoint(threshold) for name in findings},
    )


def lit_film() -> Tensor:
    """(1, 1, 32, 32): dark all over, a little more so from left to right, save one bright square."""
    film = torch.linspace(-0.2, -0.3, SIDE).expand(SIDE, SIDE).clone()
    film[LIT] = 1.0
    return film[None, None]


@contextmanager
def extra_methods() -> Iterator[None]:
    """Methods `flat`, `noise` and `outline` (which look at the film at most) and `bursting`, while it lasts."""
    before = dict(registry._METHODS)

    @attribution("flat", family="baseline", cost=0, signed=False, paper="none")
    def flat(forward: Forward, target: Target) -> Tensor:
        """M(u) = 1."""
        return torch.ones_like(forward.x)

    @attribution("noise", family="baseline", cost=0, signed=True, paper="none")
    def noise(forward: Forward, target: Target, *, draw: int = 0) -> Tensor:
        """M(u) drawn at random, other for every film."""
        seed = draw + int(forward.x.abs().sum().item() * 1000)
        return torch.from_numpy(np.random.default_rng(seed).normal(size=forward.x.shape)).float()

    @attribution("outline", family="baseline", cost=0, signed=False, paper="none")
    def outline(forward: Forward, target: Target) -> Tensor:
        """M(u) = |x(u) - x(u + 1)|."""
        return (forward.x - forward.x.roll(1, 3)).abs()

    @attribution("bursting", family="gradient", cost=1, signed=True, paper="none")
    def bursting(forward: Forward, target: Target) -> Tensor:
        """M(u) = df/dx(u) on its first use, then nothing but an exception."""
        _BURSTS.append(1)
        if len(_BURSTS) > 1:
            raise RuntimeError("bursting")
        return forward.input_gradient(target)

    _BURSTS.clear()
    try:
        yield
    finally:
        registry._METHODS.clear()
        registry._METHODS.update(before)


_BURSTS: list[int] = []
