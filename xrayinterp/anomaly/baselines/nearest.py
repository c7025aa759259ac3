"""Distance to the nearest patch of normal images, of which a coreset is kept (Roth et al., CVPR 2022)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor

from .features import Features, batches, drawn, patches, usual_blur

_ROWS = 4096  # patches compared with the memory at a time


class NearestNeighbour:
    """An image is as unusual as its most unusual patch, a patch as far as the nearest one kept of normal images.

    Args:
        features: the expert.
        share: part of all patches that is kept, between `least` and `most` patches.
        pool: so many patches at most, as many of each image as of any other and drawn at random within it, the coreset
            is chosen of.
        neighbours: of the nearest kept patch, for the weight of an image's score; 1 leaves it out.
        seed: of the draws.
        device: where to compute.
    """

    def __init__(
        self,
        features: Features,
        *,
        share: float = 0.01,
        least: int = 500,
        most: int = 2000,
        pool: int = 50_000,
        neighbours: int = 5,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.features, self.share, self.least, self.most, self.pool = features, share, least, most, pool
        self.neighbours, self.seed, self.device = neighbours, seed, device

    def fit(self, images: Tensor) -> Self:
        """Keep a coreset of the patches of normal images (N, C, H, W) in [0, 1]."""
        generator = torch.Generator().manual_seed(self.seed)
        ends = [self.pool * i // len(images) for i in range(len(images) + 1)]
        counts = iter([end - start for start, end in pairwise(ends)])
        kept = []
        total = 0
        for batch in batches(images, self.device):
            rows = _rows(patches(self.features, batch))
            total += rows.shape[0] * rows.shape[1]
            chosen = [torch.randperm(len(one), generator=generator)[: next(counts)] for one in rows]
            kept += [one[at.to(one.device)] for one, at in zip(rows, chosen, strict=True)]
        pool = torch.cat(kept)
        wanted = max(min(round(self.share * total), self.most), min(self.least, len(pool)))
        self.memory = pool[coreset(pool, min(wanted, len(pool)), generator=generator)]
        return self

    def scores(self, images: Tensor) -> Tensor:
        """Scores (N,): the farthest patch's distance, less where the kept patch it is near to has near neighbours."""
        return torch.cat([self._score(batch) for batch in batches(images, self.device)]).cpu()

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """Distances (N, 1, H, W) to the nearest kept patch."""
        size = images.shape[-1]
        found = [drawn(self._distances(batch), size, blur=usual_blur(size)) for batch in batches(images, self.device)]
        return torch.cat(found).cpu()

    def _distances(self, images: Tensor) -> Tensor:
        maps = patches(self.features, images)
        nearest = _nearest(_rows(maps).flatten(0, 1), self.memory)[0]
        return nearest.reshape(len(images), 1, *maps.shape[2:])

    def _score(self, images: Tensor) -> Tensor:
        rows = _rows(patches(self.features, images))
        distance, index = _nearest(rows.flatten(0, 1), self.memory)
        distance, index = distance.reshape(len(rows), -1), index.reshape(len(rows), -1)
        worst, at = distance.max(1)
        if self.neighbours < 2 or len(self.memory) < self.neighbours:
            return worst
        patch = rows[torch.arange(len(rows), device=rows.device), at]
        centre = self.memory[index.gather(1, at[:, None])[:, 0]]
        around = torch.cdist(centre, self.memory).topk(self.neighbours, largest=False)[1]
        to_all = (patch[:, None] - self.memory[around]).norm(dim=2)
        weight = 1 - torch.softmax(to_all, 1)[:, 0]
        return worst * weight


def coreset(rows: Tensor, count: int, *, generator: torch.Generator, dimensions: int = 64) -> Tensor:
    """Positions (count,) of rows (M, K) chosen one by one, each the farthest from all before (greedy k-centre).

    Distances are of a random projection to `dimensions`, where rows are longer. The first is drawn.
    """
    if rows.shape[1] > dimensions:
        project = torch.randn((rows.shape[1], dimensions), generator=generator) / dimensions**0.5
        rows = rows @ project.to(rows)
    chosen = torch.empty(count, dtype=torch.long, device=rows.device)
    chosen[0] = torch.randint(len(rows), (1,), generator=generator).to(rows.device)
    squares = rows.square().sum(1)
    far = torch.full((len(rows),), torch.inf, device=rows.device)
    for i in range(count):
        if i:
            chosen[i] = far.argmax()
        last = rows[chosen[i]]
        far = torch.minimum(far, (squares - 2 * (rows @ last) + last.square().sum()).clamp(min=0))
        far[chosen[i]] = -1
    return chosen


def _rows(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def _nearest(rows: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    found = [torch.cdist(part, memory).min(1) for part in rows.split(_ROWS)]
    return torch.cat([one[0] for one in found]), torch.cat([one[1] for one in found])
