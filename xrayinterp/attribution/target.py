"""Which logit a map explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import Code, XrayInterpError


@dataclass(frozen=True, eq=False)
class Target:
    """A logit, one index for the whole batch or one a sample (N,), or its negative.

    `-Target(3)` explains minus the logit of output 3: what speaks against it.
    """

    index: int | Tensor
    sign: Literal[1, -1] = 1

    def __post_init__(self) -> None:
        whole = isinstance(self.index, Tensor) and self.index.ndim == 1 and not _fractional(self.index)
        if not whole and (isinstance(self.index, bool) or not isinstance(self.index, int)):
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"{self.index!r} is not a target.",
                "Give an output's index, a tensor of one index a sample, or Target(index, sign=-1).",
            )
        if self.sign not in (1, -1):
            raise XrayInterpError(Code.BAD_OPTION, f"A target's sign is 1 or -1, not {self.sign!r}.")

    def __neg__(self) -> Target:
        return Target(self.index, -1 if self.sign == 1 else 1)

    def score(self, logits: Tensor) -> Tensor:
        """The signed target logits of (N, F) logits, summed over samples: a scalar.

        Raises:
            XrayInterpError: `bad-option` for an index beyond the outputs or not one index a sample.
        """
        return self.scores(logits).sum()

    def scores(self, logits: Tensor) -> Tensor:
        """The signed target logit of each sample, (N,); raises as `score`."""
        samples, outputs = logits.shape
        index = self._index(samples).to(logits.device)
        if bool(((index < 0) | (index >= outputs)).any()):
            raise XrayInterpError(
                Code.BAD_OPTION, f"Target {self.index} is beyond the model's outputs.", f"Allowed: 0 to {outputs - 1}."
            )
        return self.sign * logits.gather(1, index.expand(samples)[:, None].long())[:, 0]

    def each(self, samples: int) -> tuple[Target, ...]:
        """The target of each of a batch's samples, for work that takes them one by one.

        Raises:
            XrayInterpError: `bad-option` for not one index a sample.
        """
        return tuple(Target(int(index), self.sign) for index in self._index(samples).expand(samples))

    def part(self, first: int, count: int) -> Target:
        """The target of samples `first` to `first + count` of its batch."""
        return Target(self.index[first : first + count], self.sign) if isinstance(self.index, Tensor) else self

    def _index(self, samples: int) -> Tensor:
        """Indices (samples,), or a scalar for all."""
        index = torch.as_tensor(self.index)
        if index.ndim == 1 and len(index) != samples:
            raise XrayInterpError(
                Code.BAD_OPTION, f"{len(index)} target indices were given for {samples} samples.", "Give one a sample."
            )
        return index


def as_target(target: int | Tensor | Target) -> Target:
    """A target given in any of its forms."""
    return target if isinstance(target, Target) else Target(target)


def _fractional(index: Tensor) -> bool:
    return index.is_floating_point() or index.is_complex() or index.dtype is torch.bool
