"""A network in which some units of one layer are held at a value, or its whole map is another one."""

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
        self._twin = _hooked_twin(self.module, self.path, self._replace)

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
        values = torch.tensor(list(self._held.values()), dtype=out.dtype, device=out.device)
        out[:, units] = values[:, None, None]
        return out


@dataclass
class MapReplacement:
    """A network that shares all tensors with `module`, run on one film with other maps at the layer at `path`.

    What lies below the layer runs once a call, on the film; what lies above runs on each of the maps. `x`: the film,
    (1, C, H, W).

    Raises:
        XrayInterpError: `unknown-layer` where the module has no such path; when called, the same where the layer was
            not reached or gives maps of another shape, `unsupported-operator` where the network cannot be run on from
            there.
    """

    module: nn.Module
    path: str
    x: Tensor
    _twin: nn.Module = field(init=False, repr=False)
    _waiting: list[Tensor] = field(init=False, default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._twin = _hooked_twin(self.module, self.path, self._replace)

    def __call__(self, maps: Tensor) -> Tensor:
        """Logits (n, F) with maps (n, U, h, w) >= 0 in place of the layer's rectified map, without a graph."""
        self._waiting = [maps]
        try:
            with torch.no_grad():
                logits: Tensor = self._twin(self.x.clone())  # a clone, since the network may write into its input
        except RuntimeError as error:
            if self._waiting:
                raise
            raise self._unsupported() from error
        if self._waiting:
            raise XrayInterpError(Code.UNKNOWN_LAYER, f"The forward did not reach {self.path!r}.", "Take another.")
        if logits.shape[0] != len(maps):
            raise self._unsupported()
        return logits

    def _replace(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not self._waiting:
            return output  # a layer that runs again: its first output is the one that was replaced
        maps = self._waiting.pop()
        if not isinstance(output, Tensor) or output.shape[1:] != maps.shape[1:]:
            got = tuple(output.shape[1:]) if isinstance(output, Tensor) else type(output).__name__
            raise XrayInterpError(
                Code.UNKNOWN_LAYER,
                f"Layer {self.path!r} gives {got}, not maps of {tuple(maps.shape[1:])}.",
                "Give maps that the layer made of this film, or changed ones.",
            )
        return maps.clone()  # a clone, since the network may go on in place

    def _unsupported(self) -> XrayInterpError:
        return XrayInterpError(
            Code.UNSUPPORTED_OPERATOR,
            f"{type(self.module).__name__} cannot be run on from {self.path!r} with several maps of one film.",
            "Take a layer that everything above depends on, such as the end of a block.",
        )


def _hooked_twin(module: nn.Module, path: str, hook: Any) -> nn.Module:
    """A copy of `module` that shares its tensors, with a forward hook on the part at `path`."""
    twin = structural_copy(module)
    known = dict(twin.named_modules())
    if path not in known:
        raise XrayInterpError(
            Code.UNKNOWN_LAYER,
            f"{type(module).__name__} has no layer at {path!r}.",
            "Take a name from module.named_modules(), or one of the model's named layers.",
        )
    known[path].register_forward_hook(hook)
    return twin
