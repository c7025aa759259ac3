"""What a training run is: everything that decides its outcome, and the key under which it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from ..errors import Code, XrayInterpError

Task = Literal["untrained", "self-supervised", "findings", "healthy", "healthy-combined", "severity"]
Loss = Literal["plain", "weighted", "mean-as-deviation", "zones", "zones-argmax"]
Sampling = Literal["natural", "enriched"]
Architecture = Literal["densenet", "resnet", "vgg"]


@dataclass(frozen=True)
class Run:
    """One network: what it learns, from which start, by which loss, on which draw of films, in which shape and seed.

    `start` is the run whose features it begins with; None begins with random weights, the same ones for every run of
    one seed and architecture. `shuffled` hands the targets to other films. `loss` is "plain" (cross-entropy, or squared
    error of the standardised score), "weighted" (positives by (N - P) / P), or one of the ways severity was trained.
    """

    task: Task
    seed: int = 0
    start: Run | None = None
    architecture: Architecture = "densenet"
    loss: Loss = "plain"
    sampling: Sampling = "natural"
    shuffled: bool = False

    def of_seed(self, seed: int) -> Self:
        """The same run, and the runs it starts from, with another seed."""
        return replace(self, seed=seed, start=None if self.start is None else self.start.of_seed(seed))

    @property
    def before(self) -> Run | None:
        """The network as it was before this run: its start, or the untrained one; None for the untrained itself."""
        if self.task == "untrained":
            return None
        return self.start or Run("untrained", self.seed, architecture=self.architecture)


@dataclass(frozen=True)
class Settings:
    """Sizes that all runs of a study share; the defaults finish a run in two minutes on one core.

    `size`: input side in pixels; `detail`: side to which films are first reduced; `width`: factor on all channel
    counts; `limit`: at most this many films a split; `folds`: of the cross-validation of severity. `started_rate` is
    the peak rate of severity from another start than random weights. `permutations` and `bootstraps` are those of the
    dissection.
    """

    size: int = 112
    detail: int = 128
    width: float = 1.0
    epochs: int = 14
    self_supervised_epochs: int = 16
    severity_epochs: int = 40
    batch: int = 32
    view_batch: int = 128
    severity_batch: int = 32
    rate: float = 3e-3
    view_rate: float = 2e-3
    severity_rate: float = 2e-3
    started_rate: float = 5e-4
    folds: int = 5
    limit: int | None = None
    permutations: int = 99
    bootstraps: int = 200

    def __post_init__(self) -> None:
        least = {
            "size": 32,
            "detail": 32,
            "batch": 2,
            "view_batch": 4,
            "severity_batch": 2,
            "folds": 2,
            "permutations": 19,
        }
        for name in ("epochs", "self_supervised_epochs", "severity_epochs", "bootstraps"):
            least[name] = 1
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise XrayInterpError(
                    Code.BAD_OPTION, f"{name} is {getattr(self, name)}, which is too small.", f"Use {bound} or more."
                )
        if self.width <= 0 or (self.limit is not None and self.limit < 20):
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"A width of {self.width} with a limit of {self.limit} films leaves nothing to train.",
                "Widths are above 0, limits 20 films or more.",
            )

    @property
    def training(self) -> Mapping[str, Any]:
        """The settings that decide what is learned."""
        return {name: value for name, value in asdict(self).items() if name not in ("permutations", "bootstraps")}

    @property
    def dissecting(self) -> Mapping[str, Any]:
        """The settings that decide how it is dissected."""
        return {"permutations": self.permutations, "bootstraps": self.bootstraps}


VERSION = 1
"""To be raised where a change of code changes what a run comes to."""


def content_key(*parts: object) -> str:
    """Twelve hexadecimal digits that differ where any part (JSON types) differs."""
    text = json.dumps([VERSION, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
