"""Maps of many films: one forward a film, all layers at once, in memory or on disk."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..concepts.probes import ProbeFilm
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel, Layer
from ..operators.taps import feature_maps

IN_MEMORY = 1 << 30
"""Bytes of maps kept in memory; what is beyond lies in an unnamed temporary file."""

FloatMaps = npt.NDArray[np.float32]
ModelFor = Callable[[ProbeFilm], nn.Module]
Tick = Callable[[], None]


@dataclass(frozen=True)
class Reader:
    """How films become maps: the model, or the fold's module for each film, on a device in batches.

    `model_for` gives the module that has not seen the film; None takes the model's own for all.
    """

    model: ChestModel
    fit: Fit = "crop"
    batch: int = 16
    device: torch.device | None = None
    model_for: ModelFor | None = None
    _moved: dict[int, tuple[nn.Module, nn.Module]] = field(default_factory=dict, repr=False)

    def batches(
        self, films: Sequence[ProbeFilm], layers: Sequence[Layer], tick: Tick
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Rectified maps of films in batches of one module: positions of the films, maps by layer path."""
        paths = [layer.path for layer in layers]
        for module, members in self._by_module(films):
            for start in range(0, len(members), self.batch):
                part = members[start : start + self.batch]
                x = torch.cat([self._input(films[i]) for i in part])
                _, maps = feature_maps(module, x, paths)
                _check(maps, self.model.name)
                yield part, maps
                for _ in part:
                    tick()

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

    def _input(self, film: ProbeFilm) -> Tensor:
        return self.model.prepare_pixels(film.pixels(), self.fit).to(self.device or self.model.device)


@dataclass(frozen=True)
class LayerMaps:
    """Maps (N, units, grid, grid) float32 of one layer, rectified, and their means over positions (N, units)."""

    maps: FloatMaps
    pooled: npt.NDArray[np.float64]


def collect(reader: Reader, films: Sequence[ProbeFilm], layers: Sequence[Layer], tick: Tick) -> list[LayerMaps]:
    """Maps of all films at all layers, from one forward a film, in the order of `films`."""
    left = IN_MEMORY
    out = []
    for layer in layers:
        shape = (len(films), layer.units, layer.grid, layer.grid)
        size = 4 * int(np.prod(shape, dtype=np.int64))
        fits = size <= left
        left -= size if fits else 0
        maps = np.empty(shape, dtype=np.float32) if fits else _on_disk(shape)
        out.append(LayerMaps(maps, np.empty(shape[:2])))
    for part, read in reader.batches(films, layers, tick):
        for layer, store in zip(layers, out, strict=True):
            values = read[layer.path].float().cpu()
            if values.shape[1:] != store.maps.shape[1:]:
                raise XrayInterpError(
                    Code.UNKNOWN_LAYER,
                    f"Layer {layer.path!r} gives maps of {tuple(values.shape[1:])}, not {store.maps.shape[1:]}.",
                    "Correct the layer's units and grid in the model's manifest.",
                )
            store.maps[part] = values.numpy()
            store.pooled[part] = values.double().mean((2, 3)).numpy()
    return out


def mean_units(
    reader: Reader, films: Sequence[ProbeFilm], layers: Sequence[Layer], tick: Tick
) -> list[npt.NDArray[np.float64]]:
    """Mean over films of every unit's map, averaged over positions: one (units,) float64 a layer."""
    sums = [np.zeros(layer.units) for layer in layers]
    for _, maps in reader.batches(films, layers, tick):
        for layer, total in zip(layers, sums, strict=True):
            total += maps[layer.path].double().mean((2, 3)).sum(0).cpu().numpy()
    return [total / len(films) for total in sums]


def _check(maps: dict[str, Tensor], name: str) -> None:
    for path, values in maps.items():
        if not bool(torch.isfinite(values).all()):
            raise XrayInterpError(
                Code.WEIGHTS_CORRUPT,
                f"Layer {path!r} of model {name!r} gives values that are not finite numbers.",
                "Fetch or import the weights again.",
            )


def _on_disk(shape: tuple[int, ...]) -> FloatMaps:
    with tempfile.TemporaryFile(prefix="xrayinterp-maps-") as file:  # the mapping keeps the unnamed file alive
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
