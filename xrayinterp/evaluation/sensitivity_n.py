"""Sensitivity-n: is what a map says of a set of cells what the logit loses when they are taken out?

Ancona et al. 2018 (arXiv 1711.06104) correlate, over random sets of n pixels, the sum of the attributions with the
change of the logit. Here the film's cells are taken out, not its pixels: scattered pixels are noise to the network and
can raise the logit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..models.chest_model import ChestModel
from ..operators.batching import batched
from .perturbation import Fill, filling
from .similarity import Map

GRID = 14
"""Cells a side: 16 px on an input of 224."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Cells taken out together."""

SUBSETS = 16
"""Random sets of each size."""


@dataclass(frozen=True, eq=False)
class Removals:
    """What a model loses when sets of cells are filled: shared by all maps and findings of one film.

    `members` (M, G, G): the cells of each set; `sizes` (M,): how many they are; `changes` (M, F): logit of the film
    minus logit after filling, for each output.
    """

    members: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.int64]
    changes: npt.NDArray[np.float64]


def removals(
    model: nn.Module | ChestModel,
    x: Tensor,
    *,
    grid: int = GRID,
    sizes: Sequence[int] = SIZES,
    subsets: int = SUBSETS,
    fill: Fill = "blur",
    seed: int = 0,
) -> Removals:
    """Fill random sets of cells of a film x (1, C, H, W), in len(sizes) * subsets + 1 forwards run in batches."""
    module = model.module if isinstance(model, ChestModel) else model
    members = _members(grid, sizes, subsets, seed)
    filled = filling(x, fill)
    rows, columns = (_cell(side, grid) for side in x.shape[-2:])

    def samples() -> Iterator[Tensor]:
        yield x[0]
        for member in members:
            yield torch.where(torch.from_numpy(member[np.ix_(rows, columns)]).to(x.device), filled, x[0])

    def logits(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            out: Tensor = module(batch)
        return out

    scores = torch.stack(list(batched(logits, samples()))).double().cpu().numpy()
    return Removals(members, members.sum((1, 2)), scores[:1] - scores[1:])


def sensitivity_n(values: Map, removed: Removals, index: int) -> float | None:
    """Pearson's r between the sums of a signed map (H, W) and the changes of output `index`, averaged over set sizes.

    None where the map's sums or the changes do not vary at any size: a constant map, or a finding that no set touches.
    """
    cells = cell_sums(values, removed.members.shape[-1])
    sums = removed.members.reshape(len(removed.members), -1) @ cells.ravel()
    found = [
        _pearson(sums[chosen], removed.changes[chosen, index])
        for chosen in (removed.sizes == size for size in np.unique(removed.sizes))
    ]
    known = [r for r in found if r is not None]
    return float(np.mean(known)) if known else None


def cell_sums(values: Map, grid: int) -> npt.NDArray[np.float64]:
    """Sums of a map (H, W) over the cells of a grid, (G, G); together they are the map's sum."""
    height, width = values.shape
    out = np.zeros((grid, grid))
    np.add.at(out, np.ix_(_cell(height, grid), _cell(width, grid)), values.astype(np.float64))
    return out


def _members(grid: int, sizes: Sequence[int], subsets: int, seed: int) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    out = np.zeros((len(sizes) * subsets, grid * grid), dtype=bool)
    for row, size in zip(out, np.repeat(sizes, subsets), strict=True):
        row[rng.choice(grid * grid, size, replace=False)] = True
    return out.reshape(-1, grid, grid)


def _cell(side: int, grid: int) -> npt.NDArray[np.intp]:
    return np.asarray(np.arange(side) * grid // side, dtype=np.intp)


def _pearson(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float | None:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    flat = min(float(np.abs(a).max()), float(np.abs(b).max())) == 0 or scale == 0
    return None if flat else float(a @ b) / scale
