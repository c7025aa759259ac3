"""Where training runs keep what they have reached, and how they go on from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..paths import cache_dir, whole_file


def training_folder() -> Path:
    """Checkpoints and logs of training runs: in the user's cache, so that a run survives a fresh checkout."""
    return cache_dir() / "training"


class NamedRecipe(Protocol):
    """A recipe: its `repr` tells all that determines a run, besides the films."""

    @property
    def name(self) -> str:
        """What files of the run are called."""


@dataclass(kw_only=True)
class Checkpointed:
    """A training run under way, kept in `folder` after every epoch.

    `folder/NAME.last.pt` is what it goes on from, `folder/NAME.log.jsonl` holds a line an epoch. `best_weights` are the
    averaged weights of the epoch with the highest score, `best`.
    """

    recipe: NamedRecipe
    folder: Path
    model: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0
    best: float = -1.0
    best_weights: dict[str, Tensor] | None = None

    def resume(self, device: str = "cpu") -> None:
        """Take up the run that was broken off in the folder, where there is one.

        Raises:
            XrayInterpError: `bad-option` where that is a run of another recipe by the same name.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._last.is_file():
            return
        state = torch.load(self._last, weights_only=True, map_location=device)
        if state.get("recipe") != repr(self.recipe):
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"{self._last} was left by another recipe, or an earlier version, of the name {self.recipe.name!r}.",
                "Remove it to train anew.",
            )
        self.epoch, self.best, self.best_weights = state["epoch"], state["best"], state["best_weights"]
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])

    def keep(self, line: dict[str, Any]) -> None:
        """Write the checkpoint of an epoch that ended, and its line of the log."""
        state = {"recipe": repr(self.recipe), "epoch": self.epoch, "best": self.best, "best_weights": self.best_weights}
        with whole_file(self._last) as partial:
            torch.save(state | {name: getattr(self, name).state_dict() for name in _STATEFUL}, partial)
        with (self.folder / f"{self.recipe.name}.log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"epoch": self.epoch} | line) + "\n")

    @property
    def _last(self) -> Path:
        return self.folder / f"{self.recipe.name}.last.pt"


_STATEFUL = ("model", "averaged", "optimiser", "schedule")
