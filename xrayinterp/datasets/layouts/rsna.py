"""RSNA pneumonia detection as published: DICOM films, a box a row, and a class a film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..faults import Fault, Kind
from ..manifest import DataSet
from ..regions import Box
from ..tables import Labels, Uncertain, inside, outside, rows
from .common import Reading, box, film, frozen

TABLE = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
OPACITY, NORMAL = "Lung Opacity", "Normal"
_CORNERS = ("x", "y", "width", "height")


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether the table of boxes lies here."""
    return (folder / TABLE).is_file()


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of the training table, in the order of their first row; view and sex are in their own headers."""
    classes: dict[str, str] = {}
    yield from _classes(folder, classes)
    boxes: dict[str, list[Box]] = {}
    yield from _boxes(folder, boxes)
    name = manifest.published.masks[0]
    for id, found in boxes.items():
        path = inside(folder, f"stage_2_train_images/{id}.dcm")
        if path is None or not id:
            yield outside(TABLE, id)
            continue
        said = classes.pop(id, "")
        if said and (said == OPACITY) != bool(found):
            yield Fault(Kind.OUT_OF_RANGE, CLASSES, f"film {id} has class {said!r} and {len(found)} boxes")
            continue
        yield film(
            manifest, id, path,
            labels=Labels({manifest.published.findings[0]: int(bool(found))}, frozenset(), frozenset()),
            normal=said == NORMAL if said else None,
            boxes=frozen({name: found} if found else {}),
            annotated=frozenset({manifest.published.annotator}),
        )  # fmt: skip
    for id in classes:
        yield Fault(Kind.UNKNOWN_FILM, CLASSES, f"it names film {id}, which is not in {TABLE}")


def _classes(folder: Path, out: dict[str, str]) -> Iterator[Fault]:
    for row in rows(folder / CLASSES, ["patientId", "class"]) if (folder / CLASSES).is_file() else ():
        if isinstance(row, Fault):
            yield row
        elif out.setdefault(row.get("patientId"), row.get("class")) != row.get("class"):
            yield Fault(Kind.OUT_OF_RANGE, row.where, f"film {row.get('patientId')} has two classes")


def _boxes(folder: Path, out: dict[str, list[Box]]) -> Iterator[Fault]:
    for row in rows(folder / TABLE, ["patientId", *_CORNERS, "Target"]):
        if isinstance(row, Fault):
            yield row
            continue
        id, target = row.get("patientId"), row.get("Target")
        if target not in ("0", "1"):
            yield Fault(Kind.OUT_OF_RANGE, row.where, f"film {id}: Target is {target!r}, where 0 or 1 belongs")
        elif target == "0":
            if id in out:
                yield Fault(Kind.DUPLICATE_ROW, row.where, f"film {id} stands there before")
            out.setdefault(id, [])
        else:
            found = box(row, _CORNERS)
            if isinstance(found, Fault):
                yield found
            elif found in out.setdefault(id, []):
                yield Fault(Kind.DUPLICATE_ROW, row.where, f"film {id} has this box before")
            else:
                out[id].append(found)
