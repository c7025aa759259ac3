"""Units taken out of a network: held at zero, or at what they give normal films, and what that does to the logits.

On the map that a linear head averages, this is arithmetic on pooled units and exact. On earlier layers it takes a
forward a film and set of units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.chest_model import Layer
from ..operators.replacing import UnitReplacement
from ..operators.taps import feature_maps
from .pooled import Floats, PooledUnits

Films = npt.NDArray[np.intp]
Units = npt.NDArray[np.int64]


class Baseline(StrEnum):
    """What a unit is held at when it is taken out.

    `NORMAL_MEAN`, the default, keeps the network near films it knows: most units are active on every film, so that zero
    shifts the logits of all films alike and by far more than the concept does. For AUROC at the last map the two agree.
    """

    NORMAL_MEAN = "normal-mean"
    ZERO = "zero"


class Ablation(Protocol):
    """A network on N films with F findings, from which units can be taken out."""

    @property
    def logits(self) -> Floats:
        """Logits of the whole network, (N, F)."""
        ...

    @property
    def units(self) -> int:
        """Number of units of the layer."""
        ...

    def changes(self, sets: Units, finding: int, films: Films) -> Floats:
        """What taking out each set of units (D, n) adds to a finding's logit on some films: (D, films)."""
        ...

    def strength(self, finding: int, films: Films) -> Floats:
        """How much each unit contributes to a finding, beyond the baseline, in absolute value: (U,) mean over films."""
        ...


@dataclass(frozen=True)
class PooledAblation:
    """Ablation at the map that a linear head averages, without a forward.

    With unit k held at m_k, logit_f changes by -w_fk (p_k - m_k), p its pooled value. `held` (U,) is m.
    """

    read: PooledUnits
    held: Floats

    @property
    def logits(self) -> Floats:
        """Logits of the whole network, (N, F)."""
        return self.read.logits

    @property
    def units(self) -> int:
        """Number of units of the layer."""
        return int(self.read.values.shape[1])

    def changes(self, sets: Units, finding: int, films: Films) -> Floats:
        """See `Ablation`."""
        taken = np.zeros((len(sets), self.units))
        np.put_along_axis(taken, sets, 1.0, axis=1)
        out: Floats = -(taken * self.read.weights[finding]) @ (self.read.values[films] - self.held).T
        return out

    def strength(self, finding: int, films: Films) -> Floats:
        """See `Ablation`: the mean of |w_fk (p_k - m_k)|."""
        out: Floats = np.abs((self.read.values[films] - self.held) * self.read.weights[finding]).mean(0)
        return out


@dataclass(frozen=True)
class ForwardAblation:
    """Ablation at any layer by real forwards; every set of units costs one forward a film.

    `x` (N, 1, S, S) are prepared films; `held` (U,) is the value of each unit at every position. Strength is the mean
    over films of |sum_u (A_k(u) - m_k) dlogit_f/dA_k(u)|, the first order of what ablation does.
    """

    module: nn.Module
    layer: Layer
    x: Tensor
    held: Floats
    batch: int = 16

    @property
    def units(self) -> int:
        """Number of units of the layer."""
        return self.layer.units

    @cached_property
    def logits(self) -> Floats:
        """Logits of the whole network, (N, F)."""
        return self._run((), np.arange(len(self.x)))

    def changes(self, sets: Units, finding: int, films: Films) -> Floats:
        """See `Ablation`."""
        whole = self.logits[films, finding]
        return np.stack([self._run(units.tolist(), films)[:, finding] - whole for units in sets])

    def strength(self, finding: int, films: Films) -> Floats:
        """See `Ablation`."""
        total = np.zeros(self.units)
        held = torch.from_numpy(self.held)[:, None, None]
        for part in self._parts(films):
            logits, maps = feature_maps(self.module, self.x[part], [self.layer.path], grad=True)
            A = maps[self.layer.path]
            (slope,) = torch.autograd.grad(logits[:, finding].sum(), [A])
            effect = (slope.cpu().double() * (A.detach().cpu().double() - held)).sum((2, 3))
            total += effect.abs().sum(0).numpy()
        return total / len(films)

    @cached_property
    def _network(self) -> UnitReplacement:
        return UnitReplacement(self.module, self.layer.path)

    def _run(self, units: Sequence[int], films: Films) -> Floats:
        held = {unit: float(self.held[unit]) for unit in units}
        rows = [self._network(self.x[part], held).cpu().double().numpy() for part in self._parts(films)]
        return np.concatenate(rows)

    def _parts(self, films: Films) -> list[Films]:
        return [films[start : start + self.batch] for start in range(0, len(films), self.batch)]


def held_values(baseline: Baseline, normal_means: Floats) -> Floats:
    """The value (U,) each unit is held at.

    Args:
        baseline: which.
        normal_means: mean of every unit's map over positions and normal films, (U,).

    Raises:
        XrayInterpError: `bad-option` for a mean that is negative or not finite.
    """
    if not (np.isfinite(normal_means).all() and (normal_means >= 0).all()):
        raise XrayInterpError(
            Code.BAD_OPTION, "A mean over normal films is negative or not finite.", "Pool a rectified map."
        )
    return normal_means.copy() if baseline is Baseline.NORMAL_MEAN else np.zeros_like(normal_means)
