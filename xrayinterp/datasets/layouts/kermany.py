"""Kermany's paediatric pneumonia as published: a folder a split, a folder a class."""

from __future__ import annotations

import re
from pathlib import Path

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet
from ..tables import Labels, Uncertain
from .common import Reading, film

SPLITS = ("train", "val", "test")
CLASSES = {"NORMAL": 0, "PNEUMONIA": 1}
_PICTURES = (".jpeg", ".jpg", ".png")
_CHILD = re.compile(r"person\d+|(?:NORMAL2-)?IM-\d+|(?:BACTERIA|VIRUS|NORMAL)-\d+")


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether a training folder with both classes lies here."""
    return all((folder / "train" / name).is_dir() for name in CLASSES)


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films by folder and name. A child's number says nothing across splits, where it was given anew."""
    for split in SPLITS:
        for name, label in CLASSES.items():
            place = folder / split / name
            found = sorted(place.iterdir()) if place.is_dir() else []
            pictures = [path for path in found if path.suffix.lower() in _PICTURES and not path.name.startswith(".")]
            if not pictures and split != "val":
                yield Fault(Kind.EMPTY_TABLE, f"{split}/{name}", "there is no film in this folder")
            yield from (_film(path, split, label, manifest) for path in pictures)


def _film(path: Path, split: str, label: int, manifest: DataSet) -> Film:
    child = _CHILD.search(path.name)
    numbered = "test" if split == "test" else "train"
    return film(
        manifest, f"{split}/{path.parent.name}/{path.name}", path,
        patient=f"{numbered}-{child[0] if child else path.stem}",
        split=split,
        view="AP",
        labels=Labels({manifest.published.findings[0]: label}, frozenset(), frozenset()),
        normal=label == 0,
    )  # fmt: skip
