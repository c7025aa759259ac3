"""A training loop of a fixed number of epochs: nothing is chosen on any film, and a broken run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..paths import whole_file
from .loop import parameter_groups

Step = Callable[[nn.Module, Tensor, Tensor, int, torch.Generator], Tensor]
"""Loss of one batch: network, squares (B, d, d) uint8, rows (B,) of the films, input size, generator."""
Tick = Callable[[], None]

SMALLER = 5 / 7


@dataclass(frozen=True)
class Schedule:
    """Length and pace of a run; `rate` is the peak of one cycle that ends near zero (Smith & Topin 2019).

    The first half of the epochs sees inputs of SMALLER times `size`, which costs half as much.
    """

    size: int
    epochs: int
    batch: int
    rate: float
    decay: float = 0.05

    def size_at(self, epoch: int) -> int:
        """Input side in an epoch, counted from 0; whole cells of sixteen pixels."""
        return self.size if epoch >= self.epochs // 2 else max(16, 16 * round(SMALLER * self.size / 16))


def fit(
    model: nn.Module,
    films: Tensor,
    step: Step,
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path | None,
    weights: Tensor | None = None,
    device: str = "cpu",
    tick: Tick = lambda: None,
) -> tuple[nn.Module, tuple[float, ...]]:
    """Train; return the network of the last epoch, in eval mode on the processor, and the mean loss of every epoch.

    The checkpoint is written after every epoch and gone on from; it stays, so that the same call ends at once. The same
    seed gives the same order of films and the same augmentation, so a broken run ends in the same weights.

    Args:
        films: squares (N, d, d) uint8.
        step: loss of one batch.
        weights: (N,) to draw films by, with replacement, N a pass; None takes each film once.
        checkpoint: file for the state after each epoch and the losses so far; None keeps none.
        tick: called after every epoch.
    """
    batch = min(schedule.batch, len(films))
    steps = len(films) // batch
    model = model.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(parameter_groups(model, schedule.decay), lr=schedule.rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=max(5, schedule.epochs * steps + 1), pct_start=0.25
    )
    films = films.to(device)
    curve = [] if checkpoint is None else _resumed(checkpoint, model, optimiser, pace, device)
    for epoch in range(len(curve), schedule.epochs):
        generator = torch.Generator().manual_seed(seed * 1000 + epoch)
        order = _order(len(films), weights, generator)[: steps * batch]
        model.train()
        parts = []
        for rows in order.split(batch):
            loss = step(model, films[rows.to(device)], rows.to(device), schedule.size_at(epoch), generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            pace.step()
            parts.append(loss.detach())
        curve.append(float(torch.stack(parts).mean()))
        if checkpoint is not None:
            _keep(checkpoint, curve, model, optimiser, pace)
        tick()
    return model.cpu().eval(), tuple(curve)


def _order(films: int, weights: Tensor | None, generator: torch.Generator) -> Tensor:
    if weights is None:
        return torch.randperm(films, generator=generator)
    return torch.multinomial(weights, films, replacement=True, generator=generator)


def _keep(
    file: Path,
    curve: list[float],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    pace: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    state = {
        "losses": curve,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "pace": pace.state_dict(),
    }
    with whole_file(file) as partial:
        torch.save(state, partial)


def _resumed(
    file: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    pace: torch.optim.lr_scheduler.LRScheduler,
    device: str,
) -> list[float]:
    """Losses of the epochs already done; their state is loaded. A checkpoint without them is an earlier version's."""
    if not file.is_file():
        return []
    state = torch.load(file, weights_only=True, map_location=device)
    if "losses" not in state:
        return []
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    pace.load_state_dict(state["pace"])
    return list(state["losses"])
