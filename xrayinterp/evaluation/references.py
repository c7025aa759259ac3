"""Other films to compare a film's map with: built-in synthetic ones where none are given, and their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..attribution import Forward
from ..attribution.target import Target
from ..datasets.phantom import phantom
from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph
from ..models.chest_model import ChestModel
from ..models.prepare import as_square, to_input
from ..operators.batching import batched
from .maps import map_or_nothing

BUILT_IN: tuple[tuple[int, tuple[str, ...]], ...] = ((101, ()), (102, ("Effusion",)), (103, ("Cardiomegaly",)))
"""Seed of the body and findings planted, for each built-in film."""

DESCRIBED = f"{len(BUILT_IN)} synthetic films"
_SIDE = 256

_maps: WeakKeyDictionary[nn.Module, dict[str, Tensor]] = WeakKeyDictionary()


class Films:
    """Films beside the one explained, as a model sees them, and the maps of one finding on them."""

    def __init__(self, model: ChestModel, films: Sequence[Radiograph] | None = None, fit: Fit = "crop") -> None:
        self._model = model
        self.built_in = films is None
        self.described = DESCRIBED if films is None else f"{len(films)} other film{'' if len(films) == 1 else 's'}"
        self.x = _synthetic(model) if films is None else [model.prepare(film, fit)[0] for film in films]

    def maps(self, target: Target, method: str, settings: Mapping[str, Any]) -> list[Tensor]:
        """Maps (1, h, w) of the target, one a film; those of built-in films are kept for the next film's strip."""
        if not self.built_in:
            return self._run(target, method, settings)
        known = _maps.setdefault(self._model.module, {})
        key = f"{target.index} {target.sign} {method} {sorted(settings.items())}"
        if key not in known:
            known[key] = torch.stack(self._run(target, method, settings))
        return list(known[key])

    def _run(self, target: Target, method: str, settings: Mapping[str, Any]) -> list[Tensor]:
        return maps_of(self._model, self.x, target, method, settings)


def maps_of(
    model: nn.Module | ChestModel, films: Sequence[Tensor], target: Target, method: str, settings: Mapping[str, Any]
) -> list[Tensor]:
    """One map (1, h, w) a film (C, H, W), computed in batches."""
    return list(batched(lambda x: map_or_nothing(Forward(model, x), target, method, **settings), films))


def _synthetic(model: ChestModel) -> list[Tensor]:
    squares = (as_square(pixels) for pixels in _pixels())
    return [to_input(s, size=model.size, detail=model.detail, scale=model.scale)[0].to(model.device) for s in squares]


@cache
def _pixels() -> tuple[Any, ...]:
    return tuple(phantom(seed, size=_SIDE, findings=findings).pixels for seed, findings in BUILT_IN)
