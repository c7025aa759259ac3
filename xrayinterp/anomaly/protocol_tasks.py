"""Tasks of the protocol: digits, NIH films with the kinds far out of distribution, children's films, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from ..concepts.manifests import load_probe_manifest
from ..concepts.probes import ProbeFilm, mask_grid
from ..datasets.film import Film
from ..datasets.films import load_films
from ..datasets.pictures import picture_sets
from ..errors import Code, XrayInterpError
from ..models.prepare import resize
from ..training.films import squares
from ..training.recipes import DETAIL
from .kinds import KINDS
from .protocol import ALL, Task, Trial
from .protocol_family import Family, Loading, at_most, one_class, picked
from .protocol_pictures import picture_family

MIN_WIDTH = DETAIL
"""NIH films that were narrower before storage are left out."""
FEWEST = 10
"""A finding with fewer anomalous images than this is no group of its own."""
OF_A_KIND = 250
"""Pictures of each kind far out of distribution."""
OWN = "folder"
"""A folder of one's own may hold any images: who saw them is not known."""
SPLIT_SEED = 0
"""Images are dealt out the same for every seed of a detector, so that all are measured on the same ones."""


def tasks_named(names: Sequence[str], loading: Loading) -> list[tuple[Family, str]]:
    """Families and parts of names such as `digits` (all parts) or `digits-3`.

    Raises:
        XrayInterpError: `bad-option` for a name that is none, listing those there are.
    """
    out: dict[str, tuple[Family, str]] = {}
    for name in names:
        family = next((f for f in families().values() if name == f.name or name.startswith(f"{f.name}-")), None)
        parts = () if family is None else family.parts(loading)
        chosen = parts if family is not None and name == family.name else [part for part in parts if part == name]
        if family is None or not chosen:
            hint = f"There are: {', '.join(parts or families())}."
            raise XrayInterpError(Code.BAD_OPTION, f"There is no task {name!r}.", hint)
        out |= {part: (family, part) for part in chosen}
    return list(out.values())


def _digits(part: str, loading: Loading) -> Task:
    from sklearn.datasets import load_digits

    found = load_digits()
    size = loading.size or families()["digits"].size
    images = resize(torch.from_numpy(found.images).float()[:, None] / 16, size)
    pixels = (images * 255).round().to(torch.uint8)
    trained = np.random.default_rng(SPLIT_SEED).permutation(len(pixels)) < 0.6 * len(pixels)
    classes = [str(digit) for digit in found.target]
    kept = at_most(loading.limit, classes, trained)
    digit = part.removeprefix("digits-")
    return one_class(
        part, "digits", f"digit {digit} of scikit-learn", pixels[kept], picked(classes, kept), digit,
        [f"image {i}" for i in kept], trained[kept],
    )  # fmt: skip


def _nih(part: str, loading: Loading) -> Task:
    size = loading.size or families()["nih"].size
    films = load_films("nih", root=loading.root, min_native_width=MIN_WIDTH)
    train = _first([film for film in films if film.split == "train" and film.normal], loading)
    test = _first([film for film in films if film.split == "test"], loading)
    shown = _first([f for f in films if f.split != "train" and f.mask_path is not None], loading)
    if not test:
        raise XrayInterpError(Code.BAD_DATA, "There is no NIH film of split 'test'.", "Prepare the data set anew.")
    trials = (_findings(test, size), _far([f for f in test if f.normal], size), *_outlined(shown, size))
    return Task("nih", "nih", "NIH films, No Finding normal", _pixels(train, size), _patients(train), trials)


def _findings(films: Sequence[Film], size: int) -> Trial:
    normal = np.array([bool(film.normal) for film in films])
    by_finding = {name: np.array([film.labels[name] == 1 for film in films]) for name in films[0].labels}
    groups = {name: chosen for name, chosen in by_finding.items() if chosen.sum() >= FEWEST}
    title = "films with a finding, split test"
    return Trial("findings", title, _pixels(films, size), _patients(films), normal, {ALL: ~normal, **groups})


def _far(films: Sequence[Film], size: int) -> Trial:
    """Kinds made of normal films; a picture of something else has the patient of the film whose place it takes."""
    upright = _pixels(films, max(size, MIN_WIDTH))
    few = upright[:OF_A_KIND].float() / 255
    made = [(resize(kind.make(few, SPLIT_SEED), size) * 255).round().to(torch.uint8) for kind in KINDS.values()]
    names = np.repeat(["", *KINDS], [len(films), *(len(one) for one in made)])
    patients = _patients(films)
    images = torch.cat([_shrunk(upright, size), *made])
    groups = {ALL: names != "", **{name: names == name for name in KINDS}}
    return Trial(
        "far", "far out of distribution", images, patients + len(KINDS) * patients[: len(few)], ~groups[ALL], groups
    )


def _outlined(films: Sequence[Film], size: int) -> list[Trial]:
    """Films with an outline that is left at that size; no trial where there are none."""
    if not films:
        return []
    names = tuple(films[0].mask_bits)
    annotated = frozenset(names)
    masks = np.stack(
        [mask_grid(ProbeFilm(f.id, f.patient, f.split, f.dataset, annotated, f), names, "crop", size) for f in films]
    )
    kept = np.flatnonzero(masks.any((1, 2, 3))).tolist()
    if not kept:
        return []
    left = [films[i] for i in kept]
    trial = Trial(
        "outlined", "outlined findings, splits probe, val and test", _pixels(left, size), _patients(left),
        np.zeros(len(left), dtype=bool), {}, {name: masks[kept, i] for i, name in enumerate(names)},
    )  # fmt: skip
    return [trial]


def _kermany(part: str, loading: Loading) -> Task:
    size = loading.size or families()["kermany"].size
    films = load_films("kermany", root=loading.root)
    train = _first([f for f in films if f.split == "train" and f.labels["Pneumonia"] == 0], loading)
    test = _first([f for f in films if f.split == "test"], loading)
    sick = np.array([film.labels["Pneumonia"] == 1 for film in test])
    kinds = {name: np.array([name in film.id.lower() for film in test]) & sick for name in ("bacteria", "virus")}
    groups = {ALL: sick, **{name: chosen for name, chosen in kinds.items() if chosen.sum() >= FEWEST}}
    trial = Trial("pneumonia", "pneumonia, split test", _pixels(test, size), _patients(test), ~sick, groups)
    return Task("kermany", "kermany", "children's films, normal", _pixels(train, size), _patients(train), (trial,))


def _only(name: str) -> Callable[[Loading], Sequence[str]]:
    return lambda loading: (name,)


def _digit_parts(loading: Loading) -> Sequence[str]:
    return tuple(f"digits-{i}" for i in range(10))


NO_FILMS = {"vgg16": ()}
"""Photographs of ImageNet are no chest films."""


@cache
def families() -> Mapping[str, Family]:
    """Every family of tasks by name.

    Films with outlines are those of `chestx-det`, so models saw of NIH what they saw of it; none of the models' cards
    names the images of other families.
    """
    nih = MappingProxyType({**load_probe_manifest("chestx-det").seen, "self-supervised": ("train",), **NO_FILMS})
    unseen = MappingProxyType(dict.fromkeys(nih, ()))
    every = (
        Family(
            "digits", "digits of scikit-learn, each normal in turn", 32, _digit_parts, _digits, effort=0.6, seen=unseen
        ),
        Family(
            "nih",
            "NIH films: findings, outlines, far out of distribution",
            DETAIL,
            _only("nih"),
            _nih,
            films=True,
            seen=nih,
            tested=("probe", "val", "test"),
        ),
        Family("kermany", "children's films: pneumonia", DETAIL, _only("kermany"), _kermany, films=True, seen=unseen),
        *(picture_family(name, {} if name == OWN else unseen) for name in picture_sets()),
    )
    return MappingProxyType({family.name: family for family in every})


def _pixels(films: Sequence[Film], size: int) -> Tensor:
    return squares(films, size)[:, None]


def _shrunk(images: Tensor, size: int) -> Tensor:
    return (resize(images.float(), size)).round().clamp(0, 255).to(torch.uint8)


def _patients(films: Sequence[Film]) -> tuple[str, ...]:
    return tuple(film.patient or film.id for film in films)


def _first(films: Sequence[Film], loading: Loading) -> list[Film]:
    """At most `limit` films, evenly spread over the list."""
    if loading.limit is None or len(films) <= loading.limit:
        return list(films)
    return [films[i] for i in np.linspace(0, len(films) - 1, loading.limit).astype(int)]
