"""Tasks of public sets of pictures: MNIST and its like, MVTec's objects, medical pictures, a folder of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ..datasets.pictures import Picture, PictureSet, load_picture_set, load_pictures, picture_parts
from ..errors import Code, XrayInterpError
from .protocol import ALL, BoolMask, Task, Trial
from .protocol_family import Family, Loading, at_most, one_class, picked

SHARE = 0.6
"""Share of the normal patients that is learnt from, where a data set has no split."""
COVERED = 0.5
"""A pixel of a reduced mask is anomalous where at least this much of it is."""


def picture_family(name: str, seen: Mapping[str, tuple[str, ...]]) -> Family:
    """The tasks of a manifest of pictures: each class normal in turn, each object, or the whole.

    `seen` as in `Family`.
    """
    manifest = load_picture_set(name)
    load = _each_class if not manifest.normal else _object if manifest.parts else _whole
    return Family(
        name,
        manifest.title,
        manifest.size,
        _parts(manifest),
        lambda part, loading: load(manifest, part, loading),
        seen=seen,
    )


def _parts(manifest: PictureSet) -> Callable[[Loading], Sequence[str]]:
    def parts(loading: Loading) -> Sequence[str]:
        found = () if manifest.normal and not manifest.parts else picture_parts(manifest, root=loading.root)
        return tuple(f"{manifest.name}-{part}" for part in found) or (manifest.name,)

    return parts


def _each_class(manifest: PictureSet, part: str, loading: Loading) -> Task:
    found = load_pictures(manifest, root=loading.root)
    trained = np.array([one.split == "train" for one in found])
    kept = at_most(loading.limit, [one.label for one in found], trained)
    chosen = [found[i] for i in kept]
    normal = part.removeprefix(f"{manifest.name}-")
    images = pixels(chosen, loading.size or manifest.size, colour=manifest.colour)
    title = f"{manifest.title}: {normal}"
    labels, patients = [one.label for one in chosen], [one.patient for one in chosen]
    return one_class(part, manifest.name, title, images, labels, normal, patients, trained[kept])


def _whole(manifest: PictureSet, part: str, loading: Loading) -> Task:
    found = load_pictures(manifest, root=loading.root)
    train, test = dealt(found)
    tested = {one.patient for one in test}
    apart = [one for one in train if one.patient not in tested]
    left_out = len(train) - len(apart)
    said = f"{manifest.title}, without {left_out} pictures to learn from, of patients of the test" if left_out else ""
    return _task(manifest, part, apart, test, loading, said)


def _object(manifest: PictureSet, part: str, loading: Loading) -> Task:
    found = load_pictures(manifest, root=loading.root, part=part.removeprefix(f"{manifest.name}-"))
    train, test = ([one for one in found if one.split == split] for split in ("train", "test"))
    return _task(manifest, part, train, test, loading)


def _task(
    manifest: PictureSet, part: str, train: Sequence[Picture], test: Sequence[Picture], loading: Loading, said: str = ""
) -> Task:
    train, test = (
        [of[i] for i in at_most(loading.limit, [one.label for one in of], np.zeros(len(of), dtype=bool))]
        for of in (train, test)
    )
    if not train or not test:
        raise XrayInterpError(
            Code.BAD_DATA, f"{manifest.title} has {len(train)} pictures to learn from and {len(test)} for the test."
        )
    if len({bool(one.normal) for one in test}) < 2:
        kind = "normal" if test[0].normal else "anomalous"
        raise XrayInterpError(Code.BAD_DATA, f"All {len(test)} pictures for the test of {manifest.title} are {kind}.")
    size = loading.size or manifest.size
    images = pixels(test, size, colour=manifest.colour)
    trials = [_by_class(test, images), *_outlined(test, images, size)]
    learnt = pixels(train, size, colour=manifest.colour)
    title, patients = said or manifest.title, tuple(one.patient for one in train)
    return Task(part, manifest.name, title, learnt, patients, tuple(trials))


def dealt(found: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Normal pictures to learn from, and all others for the test: by the published split, else by patient."""
    if any(one.split for one in found):
        train = [one for one in found if one.split == "train" and one.normal]
        return train, [one for one in found if one.split == "test"]
    names = sorted({one.patient for one in found if one.normal})
    order = np.random.default_rng(0).permutation(len(names))
    learnt = {names[i] for i in order[: round(SHARE * len(names))]}
    train = [one for one in found if one.normal and one.patient in learnt]
    return train, [one for one in found if one.patient not in learnt]


def pixels(found: Sequence[Picture], size: int, *, colour: bool) -> Tensor:
    """Whole pictures at (size, size), uint8 (N, 3, size, size), or (N, 1, ...) without colours."""
    out = torch.empty((len(found), 3 if colour else 1, size, size), dtype=torch.uint8)
    for i, one in enumerate(track(found, "reading pictures", transient=True, console=Console(stderr=True))):
        values = torch.from_numpy(np.array(one.pixels())).permute(2, 0, 1)[None].float()
        small = reduced(values, size)[0]
        out[i] = (small if colour else small.mean(0, keepdim=True)).round().clamp(0, 255).to(torch.uint8)
    return out


def reduced(values: Tensor, size: int) -> Tensor:
    """Values (N, C, H, W) at (size, size), antialiased where they shrink."""
    return F.interpolate(values, (size, size), mode="bilinear", align_corners=False, antialias=True)


def _by_class(test: Sequence[Picture], images: Tensor) -> Trial:
    labels = np.array([one.label for one in test])
    normal = np.array([bool(one.normal) for one in test])
    kinds = {str(name): labels == name for name in np.unique(labels[~normal])}
    groups = {ALL: ~normal, **(kinds if len(kinds) > 1 else {})}
    return Trial("classes", "anomalous pictures", images, tuple(one.patient for one in test), normal, groups)


def _outlined(test: Sequence[Picture], images: Tensor, size: int) -> list[Trial]:
    """Anomalous pictures alone, with what is left of their masks at that size."""
    at = [i for i, one in enumerate(test) if one.masks]
    if not at:
        return []
    masks = np.stack([_small(test[i].mask(), size) for i in at])
    kept = np.flatnonzero(masks.any((1, 2))).tolist()
    labels = np.array([test[at[i]].label for i in kept])
    by_class = {str(name): masks[kept] & (labels == name)[:, None, None] for name in np.unique(labels)}
    at = [at[i] for i in kept]
    patients = picked([one.patient for one in test], at)
    none = np.zeros(len(at), dtype=bool)
    return [Trial("outlined", "outlined anomalies", images[at], patients, none, {}, by_class)]


def _small(mask: BoolMask, size: int) -> BoolMask:
    share = reduced(torch.from_numpy(mask)[None, None].float(), size)[0, 0]
    return np.asarray((share >= min(COVERED, float(share.max()))).numpy() & mask.any())
