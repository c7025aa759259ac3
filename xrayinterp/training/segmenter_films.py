"""Films with outlines of lungs, and of heart and mediastinum, as the segmenter learns and is tested on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from rich.progress import track
from scipy import ndimage
from torch import Tensor

from ..datasets.films import BoolMask, Film, FloatImage, load_films
from ..datasets.phantom import FINDINGS, phantom
from ..imaging.geometry import cut, frame
from ..models.prepare import as_square, resize
from ..models.segmentation import HEART, STRUCTURES

V7, BLOCKCHAIN = "V7", "GeneralBlockchain"
PHANTOM_SEED = 500_000
"""Seeds of the synthetic films learnt from; tests, examples and probe sets use seeds far below."""
PHANTOMS = 48
"""How many of them."""
LEAST_PART = 0.15
"""Share of all lung pixels from which a connected part of an outline counts as a lung of its own."""


@dataclass(frozen=True)
class Outlined:
    """One film with outlines: pixels float32 (H, W) in [0, 1]; masks bool (H, W) by name in STRUCTURES.

    A structure that nobody outlined on this film is not in `masks`. `source` says who drew them.
    """

    id: str
    patient: str
    source: str
    pixels: FloatImage
    masks: dict[str, BoolMask] = field(default_factory=dict)


@dataclass(frozen=True)
class OutlinedSet:
    """Whole films padded to squares: `films` (N, d, d) uint8, `masks` (N, S, d, d) uint8 of 0 and 1, `known` (N, S)."""

    films: Tensor
    masks: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.films)


def outlined_films(split: str) -> list[Outlined]:
    """The films of a split with outlines by V7 Labs or GeneralBlockchain; the latter's where both drew a structure."""
    films = [film for name in ("cohen", "hannover") for film in load_films(name, splits=[split])]
    return [_outlined(film) for film in films if film.annotated & {V7, BLOCKCHAIN}]


def synthetic_films(count: int, size: int, seed: int = PHANTOM_SEED) -> list[Outlined]:
    """Synthetic films with exact masks: half without findings, half with one in turn, in both views."""
    return [_synthetic(seed + i, size, i) for i in track(range(count), "making films", transient=True)]


def _synthetic(seed: int, size: int, number: int) -> Outlined:
    findings = [FINDINGS[number // 2 % len(FINDINGS)]] if number % 2 else []
    film = phantom(seed, size=size, findings=findings, view="AP" if number // 2 % 2 else "PA")
    heart = film.masks["Cardiomediastinum"].copy()
    heart[: np.flatnonzero(film.masks["Aortic Arch"].any(1))[0]] = False  # readers' outlines begin at the aortic arch
    masks = dict(zip(STRUCTURES, (film.masks["Right Lung"], film.masks["Left Lung"], heart), strict=True))
    return Outlined(f"phantom-{seed}", f"phantom-{seed}", "synthetic", film.pixels, masks)


def learnt(detail: int) -> OutlinedSet:
    """What the segmenter learns from: films with a heart twice, since they are few, and synthetic ones."""
    films = outlined_films("train")
    hearts = [film for film in films if HEART in film.masks]
    return as_set([*films, *hearts, *synthetic_films(PHANTOMS, 192)], detail)


def as_set(films: Iterable[Outlined], detail: int) -> OutlinedSet:
    """Films and masks padded to squares, antialiased to `detail` pixels."""
    pixels, masks, known = [], [], []
    for film in films:
        height, width = film.pixels.shape
        square = frame(height, width, "pad")
        empty = np.zeros((height, width), dtype=bool)
        layers = [film.pixels, *(film.masks.get(name, empty) for name in STRUCTURES)]
        small = torch.cat([resize(as_square(cut(layer, square)), detail) for layer in layers])[:, 0]
        pixels.append((small[0] * 255).round().clamp(0, 255).to(torch.uint8))
        masks.append((small[1:] > 0.5).to(torch.uint8))
        known.append([name in film.masks for name in STRUCTURES])
    return OutlinedSet(torch.stack(pixels), torch.stack(masks), torch.tensor(known))


def _outlined(film: Film) -> Outlined:
    """A film and its outlines, cut to the part of it in which they are known."""
    left, top, width, height = film.valid_box or (0, 0, *film.pixels().shape[::-1])
    part = slice(top, top + height), slice(left, left + width)
    masks = sides(film.mask("Lungs")[part]) if V7 in film.annotated else {}
    if BLOCKCHAIN in film.annotated:
        drawn = film.masks(("Left Lung", "Right Lung", "Cardiomediastinum"))[:, *part]
        if drawn[:2].any(axis=(1, 2)).all():  # one film lacks one lung's outline
            masks |= dict(zip(STRUCTURES, sorted(drawn[:2], key=_column), strict=False))
        masks[HEART] = drawn[2]
    source = BLOCKCHAIN if BLOCKCHAIN in film.annotated else V7
    return Outlined(film.id, film.patient, f"{source}, {film.dataset}", film.pixels()[part], masks)


def sides(both: BoolMask) -> dict[str, BoolMask]:
    """A mask of both lungs (H, W) parted by image side; empty where it is not two large connected parts."""
    parts, count = ndimage.label(both)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    large = [i + 1 for i in np.flatnonzero(sizes > LEAST_PART * sizes.sum())]
    if len(large) != 2:
        return {}
    return dict(zip(STRUCTURES, sorted((parts == i for i in large), key=_column), strict=False))


def _column(mask: BoolMask) -> float:
    """Mean column of a mask."""
    return float(np.nonzero(mask)[1].mean())
