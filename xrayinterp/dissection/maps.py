"""Maps of many films: batches of one size through the model, the next ones being loaded meanwhile."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..concepts.probes import ProbeFilm
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel, Layer
from ..operators.taps import feature_maps

ModelFor = Callable[[ProbeFilm], nn.Module]
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Reader:
    """How films become maps: the model, or the fold's module for each film, on a device in batches.

    `model_for` gives the module that has not seen the film; None takes the model's own for all. Every batch is filled
    up to `batch` films, since the last bits of a map depend on how many go together, but not on which.
    """

    model: ChestModel
    fit: Fit = "crop"
    batch: int = 16
    device: torch.device | None = None
    model_for: ModelFor | None = None
    _moved: dict[int, tuple[nn.Module, nn.Module]] = field(default_factory=dict, repr=False)

    def batches(
        self, films: Sequence[ProbeFilm], layers: Sequence[Layer], beside: Callable[[list[int]], A]
    ) -> Iterator[tuple[list[int], list[Tensor], A]]:
        """Positions of the films of each batch, their rectified maps (n, units, grid, grid) float32 a layer, `beside`.

        `beside` is called with the positions in the thread that loads the films while the model runs on others.
        """
        tasks = [
            (module, members[start : start + self.batch])
            for module, members in self._by_module(films)
            for start in range(0, len(members), self.batch)
        ]

        def load(task: tuple[nn.Module, list[int]]) -> tuple[nn.Module, list[int], Tensor, A]:
            module, part = task
            return module, part, self._inputs([films[i] for i in part]), beside(part)

        for module, part, x, other in ahead(load, tasks):
            _, read = feature_maps(module, x.to(next(module.parameters()).device), [layer.path for layer in layers])
            maps = [_checked(read[layer.path][: len(part)].float(), layer, self.model.name) for layer in layers]
            yield part, maps, other

    def _by_module(self, films: Sequence[ProbeFilm]) -> list[tuple[nn.Module, list[int]]]:
        groups: dict[int, tuple[nn.Module, list[int]]] = {}
        for i, film in enumerate(films):
            module = self.model.module if self.model_for is None else self.model_for(film)
            groups.setdefault(id(module), (self._placed(module), []))[1].append(i)
        return list(groups.values())

    def _placed(self, module: nn.Module) -> nn.Module:
        """The module on the wanted device: itself, or a copy kept for the next call."""
        if self.device is None or next(module.parameters()).device == self.device:
            return module
        if id(module) not in self._moved:
            self._moved[id(module)] = (module, copy.deepcopy(module).to(self.device))
        return self._moved[id(module)][1]

    def _inputs(self, films: Sequence[ProbeFilm]) -> Tensor:
        """Prepared films in channels-last order, and as many more of zeros as make a batch."""
        x = torch.cat([self.model.prepare_pixels(film.pixels(), self.fit).cpu() for film in films])
        full = torch.zeros((self.batch, *x.shape[1:]))
        full[: len(films)] = x
        return full.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def ahead(work: Callable[[A], B], items: Iterable[A], depth: int = 2) -> Iterator[B]:
    """Results of `work` in order, `depth` of them made in a thread while the caller is busy with others."""
    coming: deque[Future[B]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="xrayinterp-ahead") as pool:
        try:
            for item in items:
                coming.append(pool.submit(work, item))
                if len(coming) > depth:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def _checked(maps: Tensor, layer: Layer, name: str) -> Tensor:
    if tuple(maps.shape[1:]) != (layer.units, layer.grid, layer.grid):
        raise XrayInterpError(
            Code.UNKNOWN_LAYER,
            f"Layer {layer.path!r} gives maps of {tuple(maps.shape[1:])}, not {(layer.units, layer.grid, layer.grid)}.",
            "Correct the layer's units and grid in the model's manifest.",
        )
    if not all(bool(torch.isfinite(end).all()) for end in maps.aminmax()):
        raise XrayInterpError(
            Code.WEIGHTS_CORRUPT,
            f"Layer {layer.path!r} of model {name!r} gives values that are not finite numbers.",
            "Fetch or import the weights again.",
        )
    return maps
