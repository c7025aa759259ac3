"""Layouts of data sets: each a small module that turns a folder into films, whatever their makers wrote there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import Code, XrayInterpError
from ..manifest import DataSet
from ..tables import Uncertain
from . import brixia, chestx_det, chexlocalize, chexpert, cohen, covid_segmentation, kermany, nih, rsna, table
from .common import Reading

__all__ = ["LAYOUTS", "Found", "Reading", "find", "folders_below", "where"]


class Layout(Protocol):
    """A module of this package."""

    def present(self, folder: Path, manifest: DataSet) -> bool: ...

    def read(self, folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading: ...


LAYOUTS: Mapping[str, Layout] = {
    "brixia": brixia,
    "chestx-det": chestx_det,
    "chexlocalize": chexlocalize,
    "chexpert": chexpert,
    "cohen": cohen,
    "covid-segmentation": covid_segmentation,
    "kermany": kermany,
    "nih": nih,
    "rsna": rsna,
    "table": table,
}
"""Layouts by name, as `Official.layout` says it; `table` is that of prepared data and of one's own folder."""

_DEPTH, _BREADTH = 2, 200


@dataclass(frozen=True)
class Found:
    """A copy of a data set: its manifest, its layout and the folder in which it lies."""

    manifest: DataSet
    layout: str
    folder: Path

    def read(self, uncertain: Uncertain = "zeros") -> Reading:
        """Films in the order of the table, and what is wrong where a row makes none."""
        return LAYOUTS[self.layout].read(self.folder, self.manifest, uncertain)


def find(manifest: DataSet, root: Path) -> Found | None:
    """The copy of a data set under a root: its own table first, then the official layout, at the root or at most two
    folders below; the shallowest, first by name.
    """
    return next(where(manifest, root), None)


def where(manifest: DataSet, root: Path, folders: Iterable[Path] | None = None) -> Iterator[Found]:
    """All copies of a data set under a root; `folders` are those to look in, else the root and two levels below."""
    if table.present(root, manifest):
        yield Found(manifest, "table", root)
    if manifest.official is not None:
        layout = LAYOUTS.get(manifest.official.layout)
        if layout is None:
            raise XrayInterpError(
                Code.BAD_MANIFEST,
                f"Data set {manifest.name!r} has an unknown layout {manifest.official.layout!r}.",
                f"Known: {', '.join(LAYOUTS)}.",
            )
        seen: list[Path] = []
        for folder in folders_below(root) if folders is None else folders:
            if not any(folder.is_relative_to(outer) for outer in seen) and layout.present(folder, manifest):
                seen.append(folder)  # what lies in a copy belongs to it
                yield Found(manifest, manifest.official.layout, folder)


def folders_below(root: Path) -> Iterator[Path]:
    """The root and two levels of folders, breadth first; folders of very many folders are not gone into."""
    level = [root]
    for depth in range(_DEPTH + 1):
        yield from level
        if depth < _DEPTH:
            inner = [_inner(folder) for folder in level]
            level = [folder for folders in inner if len(folders) <= _BREADTH for folder in folders]


def _inner(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir())
    except OSError:
        return []
