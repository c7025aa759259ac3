"""The detector of this package: expert, cloner, and the score and map of where they disagree."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..operators.batching import BATCH
from ..training.fixed import Tick
from .discrepancy import Discrepancies, Weights, standardised, weights_of
from .experts import Expert
from .fitting import Learned, Settings, learn
from .localisation import Localisation, localise
from .pair import Pair

HELD_OUT = 0.1
"""Share of the images held out of a fit where `fusion` needs normals the cloner has not seen and none are given."""


@dataclass(eq=False)
class DistillationDetector:
    """Multiresolution knowledge distillation (Salehi et al., CVPR 2021), a `detector.Detector`.

    `folder` keeps a broken fit to be gone on from; `tick` is called after every epoch. `learned` and `weights` are
    there once it is fitted.
    """

    expert: Expert
    settings: Settings = field(default_factory=Settings)
    folder: Path | None = None
    device: str = "cpu"
    tick: Tick = field(default=lambda: None, repr=False)
    learned: Learned | None = field(default=None, repr=False)
    weights: Weights | None = None
    _pair: tuple[object, Pair] | None = field(default=None, repr=False, init=False)

    def fit(self, images: Tensor, *, held_out: Tensor | None = None) -> Self:
        """Learn from normal images (N, C, H, W) in [0, 1]; `held_out` are further normals that standardise the terms.

        Raises:
            XrayInterpError: as `fitting.learn`.
        """
        if self.settings.fusion == "standardised" and held_out is None:
            images, held_out = divided(images, self.settings.seed)
        self.learned = learn(self.expert, images, self.settings, folder=self.folder, device=self.device, tick=self.tick)
        _, scoring = self.settings.points(self.expert)
        self.weights = weights_of(self.settings.terms, self.learned.balance, len(scoring))
        return self if held_out is None else self.standardise(held_out)

    def standardise(self, held_out: Tensor) -> Self:
        """Count the terms in standard deviations of these normals, where the settings say so."""
        if self.settings.fusion == "standardised":
            self.weights = standardised(self.settings.terms, self.discrepancies(held_out))
        return self

    def scores(self, images: Tensor) -> Tensor:
        """How unusual each image is, (N,), absolute."""
        return self._fitted[1].scores(self.discrepancies(images))

    def discrepancies(self, images: Tensor) -> Discrepancies:
        """Both terms of each image at every critical point for scoring, (N, P) each."""
        pair = self.pair
        found = [pair.discrepancies(part.to(self.device)).joined().cpu() for part in images.split(BATCH) if len(part)]
        return Discrepancies.split(torch.cat(found) if found else torch.empty(0, 2 * len(pair.points)))

    def parts(self, images: Tensor) -> Tensor:
        """What values and directions at each critical point give the scores, (N, 2, P); their sum is the score, but
        for an offset that is the same for every image.
        """
        return self._fitted[1].parts(self.discrepancies(images))

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """Where each image is unusual, (N, 1, H, W) >= 0; `options` are those of `localisation.Localisation`."""
        how = Localisation.of(**options)
        return localise(self.pair, self._fitted[1], images.to(self.device), how).cpu()

    @property
    def pair(self) -> Pair:
        """Expert and cloner at the critical points for scoring, on the detector's device."""
        learned, _ = self._fitted
        key = (self.expert, learned, self.settings, self.device)
        if self._pair is None or self._pair[0] != key:
            _, scoring = self.settings.points(self.expert)
            cloner = learned.cloner.to(self.device)
            self._pair = key, Pair(self.expert.on(self.device), cloner, scoring, self.settings.direction).eval()
        return self._pair[1]

    def ablated(self, **changes: Any) -> DistillationDetector:
        """The same detector, not fitted, with other settings: terms="value", scoring=(3,) and so on."""
        return replace(self, settings=replace(self.settings, **changes), learned=None, weights=None)

    @property
    def _fitted(self) -> tuple[Learned, Weights]:
        if self.learned is None or self.weights is None:
            raise XrayInterpError(Code.BAD_OPTION, "The detector has not been fitted.", "Call fit() first.")
        return self.learned, self.weights


def divided(images: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Images to learn from, and HELD_OUT of them to standardise by, drawn by `seed`.

    Raises:
        XrayInterpError: `bad-option` for fewer than twenty images.
    """
    if len(images) < 20:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{len(images)} images are too few to hold some out for standardised terms.",
            "Give held_out, or use fusion='sum'.",
        )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    count = max(10, round(HELD_OUT * len(images)))
    return images[order[count:]], images[order[:count]]
