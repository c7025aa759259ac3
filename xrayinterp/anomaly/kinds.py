"""Pictures that are no upright frontal chest film: films spoilt in a known way, and pictures of something else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..models.prepare import as_square, resize

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
"""Photographs that scikit-image installs."""
SLICES = ("CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "examples_overlay.dcm")
"""CT and MR slices that pydicom installs."""


@dataclass(frozen=True)
class OutKind:
    """One kind far out of distribution.

    `make` takes films (N, 1, S, S) in [0, 1] and a seed, and gives as many pictures of that shape. `of_films`: each is
    made of the film at its place; else films say only how many and how large.
    """

    name: str
    title: str
    of_films: bool
    make: Callable[[Tensor, int], Tensor]


def rotated_90(films: Tensor, seed: int = 0) -> Tensor:
    """Each film turned by 90 degrees, to the left or to the right by the seed."""
    left = torch.from_numpy(np.random.default_rng(seed).random(len(films)) < 0.5).to(films.device)
    turned = torch.rot90(films, 1, (2, 3))
    return torch.where(left[:, None, None, None], turned, turned.flip((2, 3)))


def rotated_180(films: Tensor, seed: int = 0) -> Tensor:
    """Each film upside down."""
    return films.flip((2, 3))


def inverted(films: Tensor, seed: int = 0) -> Tensor:
    """Each film with black and white exchanged."""
    return 1 - films


def one_lung(films: Tensor, seed: int = 0) -> Tensor:
    """Each film cut to a square about one lung, left or right by the seed, and enlarged to the film's size."""
    rng = np.random.default_rng(seed)
    size = films.shape[-1]
    side = max(1, round(0.55 * size))
    out = torch.empty_like(films)
    for i, film in enumerate(films):
        across = (0.27 if rng.random() < 0.5 else 0.73) + rng.uniform(-0.03, 0.03)
        top, left = (_start(centre * size, side, size) for centre in (0.47 + rng.uniform(-0.05, 0.05), across))
        out[i] = resize(film[None, :, top : top + side, left : left + side], size)[0]
    return out


def noise(films: Tensor, seed: int = 0) -> Tensor:
    """Grey noise about 0.5, of standard deviation 0.2, its grain from one pixel to a sixteenth of the side."""
    rng = np.random.default_rng(seed)
    size = films.shape[-1]
    out = torch.empty((len(films), 1, size, size))
    for i in range(len(films)):
        cells = max(2, round(size / rng.choice([1, 2, 4, 8, 16])))
        values = 0.5 + 0.2 * rng.standard_normal((cells, cells))
        out[i] = resize(as_square(values), size)[0]
    return out.clamp(0, 1).expand(-1, films.shape[1], -1, -1).to(films)


def photographs(films: Tensor, seed: int = 0) -> Tensor:
    """Random square parts of photographs, in grey, in turn of all `PHOTOGRAPHS`."""
    return _parts([_photograph(name) for name in PHOTOGRAPHS], films, seed, smallest=0.6)


def slices(films: Tensor, seed: int = 0) -> Tensor:
    """Random square parts of CT and MR slices, in turn of all `SLICES`; half of them mirrored."""
    return _parts([_slice(name) for name in SLICES], films, seed, smallest=0.85)


KINDS: Mapping[str, OutKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            OutKind("rotated-90", "turned by 90 degrees", True, rotated_90),
            OutKind("rotated-180", "upside down", True, rotated_180),
            OutKind("inverted", "black and white exchanged", True, inverted),
            OutKind("one-lung", "cut to one lung", True, one_lung),
            OutKind("noise", "noise", False, noise),
            OutKind("photographs", "photographs", False, photographs),
            OutKind("slices", "CT and MR slices", False, slices),
        )
    }
)
"""Every kind by name."""


def _start(centre: float, side: int, size: int) -> int:
    return int(np.clip(round(centre - side / 2), 0, size - side))


def _parts(pictures: list[Tensor], films: Tensor, seed: int, *, smallest: float) -> Tensor:
    """Squares of at least `smallest` of a picture's short side; a picture comes again only after all others."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(pictures)) for _ in range(-(-len(films) // len(pictures)) or 1)])
    size = films.shape[-1]
    out = torch.empty((len(films), 1, size, size))
    for i in range(len(films)):
        picture = pictures[order[i]]
        height, width = picture.shape[2:]
        side = round(min(height, width) * rng.uniform(smallest, 1))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        part = picture[..., top : top + side, left : left + side]
        out[i] = resize(part.flip(3) if rng.random() < 0.5 else part, size)[0]
    return out.clamp(0, 1).expand(-1, films.shape[1], -1, -1).to(films)


@lru_cache(maxsize=len(PHOTOGRAPHS))
def _photograph(name: str) -> Tensor:
    import skimage.data

    path = Path(skimage.data.__file__).parent / name
    try:
        with Image.open(path) as image:
            return as_square(np.asarray(image.convert("L"), dtype=np.float32) / 255)
    except OSError as error:
        raise _lost(path, "scikit-image") from error


@lru_cache(maxsize=len(SLICES))
def _slice(name: str) -> Tensor:
    """A slice from its 1st to its 99th percentile."""
    import pydicom
    from pydicom.data.data_manager import DATA_ROOT

    path = Path(DATA_ROOT) / "test_files" / name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of the files has a wrong pixel representation on purpose
            pixels = pydicom.dcmread(path).pixel_array.astype(np.float32)
    except OSError as error:
        raise _lost(path, "pydicom") from error
    low, high = np.percentile(pixels, [1, 99])
    return as_square(np.clip((pixels - low) / (high - low), 0, 1))


def _lost(path: Path, package: str) -> XrayInterpError:
    return XrayInterpError(Code.DATA_MISSING, f"{path} is not there.", f"Install {package} again: the file is its own.")
