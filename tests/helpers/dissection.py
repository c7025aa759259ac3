"""Dissection done slowly and plainly, to judge the fast one by; and small probe sets of known truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from xrayinterp.concepts.probes import ProbeFilm, ProbeSet
from xrayinterp.models.chest_model import Card, ChestModel, Layer


def upsampled(maps: np.ndarray) -> np.ndarray:
    """Maps (N, U, h, w) at (8h, 8w) by torch, float64."""
    h, w = maps.shape[2:]
    big = F.interpolate(torch.from_numpy(maps.astype(np.float64)), (8 * h, 8 * w), mode="bilinear", align_corners=False)
    return big.numpy()


def brute_threshold(values: np.ndarray) -> float:
    """The (floor(.01 M) + 1)-th largest of M values, by sorting them all."""
    flat = np.sort(values.ravel())[::-1]
    return float(flat[math.floor(flat.size / 100 + 1e-9)])


def brute_counts(maps: np.ndarray, levels: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """inter (N, U, C) and area (N, U) by looking at every pixel; masks (N, C, 8h, 8w)."""
    fires = upsampled(maps) > levels[None, :, None, None]
    inter = (fires[:, :, None] & masks[:, None]).sum((-1, -2))
    return inter, fires.sum((-1, -2))


@dataclass(frozen=True)
class Drawn:
    """Pixels (H, W) and masks by concept (H, W), in memory."""

    picture: np.ndarray
    shown: dict[str, np.ndarray]

    def pixels(self) -> np.ndarray:
        return self.picture

    def masks(self, names: Sequence[str], /) -> np.ndarray:
        return np.stack([self.shown[name] for name in names])


def disc(y: float, x: float, radius: float, size: int = 64) -> np.ndarray:
    """A filled disc, bool (size, size)."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    inside: np.ndarray = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return inside


def disc_probes(films: int = 60, seed: int = 0, per_patient: int = 2, size: int = 64) -> ProbeSet:
    """Noise films, half of them with a bright disc ("disc"), half with a dark one ("hole"), anywhere.

    A third concept, "box", lies at about the same place on every film and is invisible: pure position.
    """
    rng = np.random.default_rng(seed)
    concepts = ("disc", "hole", "box")
    out = []
    for i in range(films):
        picture = (0.4 + 0.02 * rng.standard_normal((size, size))).astype(np.float32)
        masks = np.zeros((3, size, size), dtype=bool)
        for c, value in ((0, 0.9), (1, 0.05)):
            if rng.random() < 0.5:
                masks[c] = disc(*rng.uniform(10, size - 10, 2), 6, size)
                picture[masks[c]] = value
        top, left = 20 + rng.integers(0, 3, 2)
        masks[2, top : top + 14, left : left + 14] = True
        drawn = Drawn(picture, dict(zip(concepts, masks, strict=True)))
        name, patient = f"film{i:03}", f"patient{i // per_patient:03}"
        out.append(ProbeFilm(name, patient, "val", "discs", frozenset(concepts), drawn))
    return ProbeSet("discs", concepts, tuple(out))


class BlobNet(nn.Module):
    """Eight units at an eighth of the input's size: 0 fires on bright blobs, 1 on dark ones, 2 on the centre, 3 never,
    4 to 7 on random places whatever the film shows; then pool and linear."""

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(1, 8, 8, stride=8)
        weight = torch.zeros(8, 1, 8, 8)
        weight[0], weight[1] = 1 / 64, -1 / 64
        self.conv.weight.data = weight
        self.conv.bias.data = torch.tensor([0.2, -0.2, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0])  # mid-grey 0.4 is -0.2 here
        self.place = nn.Parameter(torch.zeros(1, 8, size // 8, size // 8))
        self.place.data[0, 2, 3, 3] = 1.0
        self.place.data[0, 4:] = torch.rand(4, size // 8, size // 8, generator=generator)
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(8, 2)
        self.classifier.weight.data = torch.rand(2, 8, generator=generator) - 0.5
        self.classifier.bias.data[:] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.relu(self.conv(x) + self.place)
        return self.classifier(maps.mean((2, 3)))


def blob_model(module: nn.Module | None = None, size: int = 64, sha256: str | None = "0" * 64) -> ChestModel:
    """A ChestModel around a BlobNet (or a module like it) with one layer, "maps"."""
    net = (BlobNet(size) if module is None else module).eval().requires_grad_(False)
    card = Card("blobs", "test net", "none", "none", (), sha256)
    return ChestModel(
        "blobs", net, ("a", "b"), {"maps": Layer("relu", size // 8, 8)}, size, 1.0, None, "findings", card
    )
