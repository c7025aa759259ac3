"""Pictures that the gate must tell apart: synthetic chest films, and what is none."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xrayinterp.anomaly.kinds import KINDS
from xrayinterp.datasets.phantom import EXAMPLES, phantom
from xrayinterp.models.prepare import as_square


@lru_cache(maxsize=1)
def phantoms(count: int = 4, size: int = 128) -> Tensor:
    """Synthetic films (N, 1, size, size) of both views."""
    films = [phantom(700 + i, size=size, view="AP" if i % 2 else "PA").pixels for i in range(count)]
    return torch.cat([as_square(film) for film in films])


@lru_cache(maxsize=1)
def chest_png() -> bytes:
    """A synthetic film, smaller than the examples."""
    return replace(EXAMPLES[0], size=256).png()


def photograph_png(size: int = 400) -> bytes:
    """Part of a photograph, in grey."""
    return _png(KINDS["photographs"].make(torch.zeros((1, 1, size, size)), 0))


def noise_png(size: int = 300) -> bytes:
    """Grey noise."""
    return _png(KINDS["noise"].make(torch.zeros((1, 1, size, size)), 0))


def _png(picture: Tensor) -> bytes:
    out = io.BytesIO()
    Image.fromarray((picture[0, 0].numpy() * 255).round().astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()
