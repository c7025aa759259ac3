"""What all layouts share: the film of a row, boxes by film, and where files lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet
from ..regions import Box
from ..tables import Labels, Row

Reading = Iterator[Film | Fault]
"""Films of a data set in the order of its table, and what is wrong where a row makes none."""

Boxes = dict[str, dict[str, list[Box]]]
"""Boxes by film and class."""

NO_LABELS = Labels({}, frozenset(), frozenset())


def film(manifest: DataSet, id: str, path: Path, *, labels: Labels = NO_LABELS, **known: Any) -> Film:
    """A film of an official layout; what is not `known` is empty, mask classes and frame are the manifest's."""
    official = manifest.published
    side = official.frame
    fields: dict[str, Any] = {
        "patient": id, "split": "", "view": "", "sex": "", "age": None, "native_width": 0, "normal": None,
        "mask_path": None, "scores": {}, "licence": manifest.licence, "frame": (side, side) if side else None,
        "mask_bits": {name: bit for bit, name in enumerate(official.masks)},
    }  # fmt: skip
    fields |= {"labels": labels.values, "uncertain": labels.uncertain, "unmentioned": labels.unmentioned}
    return Film(id=id, dataset=manifest.name, path=path, **(fields | known))


def box(row: Row, columns: tuple[str, str, str, str]) -> Box | Fault:
    """The box of a row by its columns left, top, width, height."""
    found = [row.number(column) for column in columns]
    if None in found:
        cells = ", ".join(row.get(column) or "nothing" for column in columns)
        return Fault(Kind.BAD_ROW, row.where, f"its box is {cells}, which are not four numbers")
    return Box(*(value for value in found if value is not None))


def frozen(boxes: Mapping[str, list[Box]]) -> dict[str, tuple[Box, ...]]:
    """The same boxes, for a film to keep."""
    return {name: tuple(of_name) for name, of_name in boxes.items()}


def first(folder: Path, *names: str) -> Path | None:
    """The first of these names that exists in the folder."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def places(folders: Iterable[Path]) -> dict[str, Path]:
    """The folder in which a file of each name lies; the first one wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            with os.scandir(folder) as entries:
                for entry in entries:
                    found.setdefault(entry.name, folder)
    return found
