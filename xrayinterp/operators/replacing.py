"""A network in which some units of one layer are held at a value, whatever the film shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from .taps import structural_copy


@dataclass
class UnitReplacement:
    """A network that shares all tensors with `module`, in which units of the layer at `path` can be held.

    A unit held at v >= 0 gives v at every position of its map. Where the layer's output is signed and a ReLU follows,
    v passes it unchanged: what is held is the rectified map.

    Raises:
        XrayInterpError: `unknown-layer` where the module has no such path; when called, `bad-option` for a negative
            value or a unit there is not, `unknown-layer` where the layer was not reached or gives no (N, U, h, w).
    """

    module: nn.Module
    path: str
    _twin: nn.Module = field(init=False, repr=False)
    _held: dict[int, float] = field(init=False, default_factory=dict, repr=False)
    _reached: bool = field(init=False, default=False, repr=False)

    def __post_init__(self) -> None:
        self._twin = structural_copy(self.module)
        known = dict(self._twin.named_modules())
        if self.path not in known:
            raise XrayInterpError(
                Code.UNKNOWN_LAYER,
                f"{type(self.module).__name__} has no layer at {self.path!r}.",
                "Take a name from module.named_modules(), or one of the model's named layers.",
            )
        known[self.path].register_forward_hook(self._replace)

    def __call__(self, x: Tensor, held: Mapping[int, float]) -> Tensor:
        """Logits (N, F) of x with the units of `held` at their values, without a graph."""
        if any(value < 0 for value in held.values()):
            raise XrayInterpError(
                Code.BAD_OPTION, f"Units cannot be held at {min(held.values()):.3g}.", "A rectified map is never < 0."
            )
        with torch.no_grad(), self._holding(held):
            logits: Tensor = self._twin(x.clone())  # a clone, since the network may write into its input
            if not self._reached:
                raise XrayInterpError(Code.UNKNOWN_LAYER, f"The forward did not reach {self.path!r}.", "Take another.")
        return logits

    @contextmanager
    def _holding(self, held: Mapping[int, float]) -> Iterator[None]:
        self._held, self._reached = dict(held), False
        try:
            yield
        finally:
            self._held = {}

    def _replace(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        self._reached = True
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise XrayInterpError(
                Code.UNKNOWN_LAYER, f"Layer {self.path!r} gives no (N, U, h, w) map.", "Take another."
            )
        if not self._held:
            return output
        units = list(self._held)
        if not 0 <= min(units) <= max(units) < output.shape[1]:
            raise XrayInterpError(
                Code.BAD_OPTION, f"Units {units} are not all among the {output.shape[1]} of {self.path!r}."
            )
        out = output.clone()
        out[:, units] = torch.tensor(list(self._held.values())).to(out)[:, None, None]
        return out
