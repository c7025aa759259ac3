"""Methods that change the film, or a feature map, and look at the logit: no gradients, many forwards."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import ceil
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..operators.batching import MEMORY
from ..operators.intercept import above_last_map
from .copies import films, logits
from .fills import Fill, filled
from .forward import Forward
from .registry import Range, attribution
from .target import Target

SIDE = 224
"""Side of the films for which window and stride are given; others scale them."""

Extent = Annotated[float, Range(1, SIDE)]


@attribution(
    "occlusion",
    family="perturbation",
    cost=500.0,
    signed=True,
    linear=True,
    single=False,
    paper="Zeiler & Fergus 2014, arXiv 1311.2901",
)
def occlusion(
    forward: Forward, target: Target, *, window: Extent = 15, stride: Extent = 8, fill: Fill = "zeros"
) -> Tensor:
    """M(u) = mean over windows W that hold u of f(x) - f(x with W filled).

    W are squares of `window` at steps of `stride`, in 224ths of the film's shorter side; those at the far edges are
    cut off there. Costs 0.6 forwards a window: 784 by default, a quarter as many at twice the stride; further targets
    are free.
    """
    H, W = forward.x.shape[-2:]
    rows, columns = (_windows(side, window, stride, min(H, W)) for side in (H, W))
    places = [(row, column) for row in rows for column in columns]

    def occluded(film: Tensor, filling: Tensor) -> Iterator[Tensor]:
        for row, column in places:
            copy = film.clone()
            copy[:, row, column] = filling[:, row, column]
            yield copy

    own, fillings, drops = target.scores(forward.outputs()), filled(forward.x, fill), []
    for number, (film, one) in enumerate(films(forward, target)):
        key = "occlusion", number, window, stride, fill
        drops.append(own[number] - one.scores(logits(forward, key, occluded(film, fillings[number]))))
    D = torch.stack(drops).view(-1, len(rows), len(columns))
    covers_row, covers_column = _covers(rows, H).to(D), _covers(columns, W).to(D)
    mean = torch.einsum("rh,nrc,cw->nhw", covers_row, D, covers_column)
    return (mean / torch.outer(covers_row.sum(0), covers_column.sum(0)))[:, None]


@attribution(
    "rise",
    family="perturbation",
    cost=600.0,
    signed=True,
    linear=True,
    single=False,
    paper="Petsiuk, Das & Saenko 2018, arXiv 1806.07421",
)
def rise(
    forward: Forward,
    target: Target,
    *,
    masks: Annotated[int, Range(1, 20000)] = 1000,
    cells: Annotated[int, Range(1, 64)] = 7,
    kept: Annotated[float, Range(0.05, 0.95)] = 0.5,
    offset: Literal["removed", "kept"] = "removed",
    fill: Fill = "zeros",
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Tensor:
    """M(u) = 1/(n p) sum_i (f_i - mean f) m_i(u), f_i = f(x m_i + filling (1 - m_i)), m_i one of n random masks.

    Each mask is a grid of `cells` to a side, a cell open with probability p = `kept`, drawn up bilinearly and shifted
    at random. Logits have any offset, and it would add that many times the masks' own unevenness; the publication,
    which masks probabilities, leaves it in (`offset`). Costs 0.6 forwards a mask, further targets nothing; the error
    falls as 1/sqrt(n).
    """
    fillings = filled(forward.x, fill)
    size = forward.x.shape[-2:]
    maps = []
    for number, (film, one) in enumerate(films(forward, target)):
        drawn = partial(_masks, masks, cells, kept, size, seed, film)
        copies = (torch.lerp(fillings[number], film, mask) for mask in drawn())
        scores = one.scores(logits(forward, ("rise", number, masks, cells, kept, fill, seed), copies))
        f, m, fm = film.new_zeros(()), torch.zeros_like(film[:1]), torch.zeros_like(film[:1])
        for score, mask in zip(scores, drawn(), strict=True):
            f, m, fm = f + score, m + mask, fm + score * mask
        maps.append((fm - f / masks * m if offset == "removed" else fm) / (masks * kept))
    return torch.stack(maps)


@attribution(
    "ablation_cam",
    family="perturbation",
    cost=2.7,
    signed=True,
    linear=True,
    single=False,
    paper="Desai & Ramaswamy 2020, WACV",
)
def ablation_cam(forward: Forward, target: Target) -> Tensor:
    """M(u) = sum_k (f - f_k) A_k(u), f_k the logit with unit k of the last map before pooling set to 0.

    The publication divides by f, which turns the map's sign where the logit is negative, and rectifies; here both are
    left out. Costs two forwards and the head once a unit: nothing more for pooling and a linear map.
    """
    return torch.einsum("nk,nkhw->nhw", unit_drops(forward, target), forward.cut().maps.detach())[:, None]


def unit_drops(forward: Forward, target: Target) -> Tensor:
    """What the logit loses without unit k of the last map before pooling: f - f_k, (N, U).

    Raises:
        XrayInterpError: `unknown-layer` for a network without such a map, `unsupported-operator` for one that joins it
            with others.
    """
    cut = forward.cut()
    own, drops = target.scores(cut.logits.detach()), []
    for number, (film, one) in enumerate(films(forward, target)):
        A = cut.maps.detach()[number]
        units = torch.arange(len(A), device=A.device)
        left = []
        for some in units.split(max(1, MEMORY // 32 // A.nbytes)):  # the head makes several copies of them
            ablated = A.repeat(len(some), 1, 1, 1)
            ablated[torch.arange(len(some)), some] = 0
            left.append(one.scores(above_last_map(forward.module, film[None], cut, ablated)))
        drops.append(own[number] - torch.cat(left))
    return torch.stack(drops)


def _windows(side: int, window: float, stride: float, shorter: int) -> list[slice]:
    """Where windows lie along a side of that many pixels: they cover it from 0, the last reaching its end."""
    width, step = (max(1, round(extent * shorter / SIDE)) for extent in (window, stride))
    if step > width:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Windows of {width} pixels at steps of {step} leave gaps.",
            "Choose a stride no larger than the window.",
        )
    return [slice(i * step, min(i * step + width, side)) for i in range(1 + ceil(max(0, side - width) / step))]


def _covers(windows: list[slice], side: int) -> Tensor:
    """(windows, side), 1 where the window lies."""
    covers = torch.zeros(len(windows), side)
    for row, window in zip(covers, windows, strict=True):
        row[window] = 1
    return covers


def _masks(count: int, cells: int, kept: float, size: tuple[int, ...], seed: int, like: Tensor) -> Iterator[Tensor]:
    """Random masks (1, H, W) in [0, 1], the same for every film of that size."""
    generator = torch.Generator().manual_seed(seed)
    H, W = size
    down, right = ceil(H / cells), ceil(W / cells)
    for _ in range(count):
        grid = (torch.rand((cells + 1, cells + 1), generator=generator) < kept).to(like)
        big = F.interpolate(grid[None, None], ((cells + 1) * down, (cells + 1) * right), mode="bilinear")[0]
        y, x = (int(torch.randint(cell, (), generator=generator)) for cell in (down, right))
        yield big[:, y : y + H, x : x + W]
