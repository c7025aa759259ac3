"""NIH ChestX-ray14 as published: a table of labels, films in twelve folders, boxes and the split in files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet, Official
from ..tables import Labels, Row, Uncertain, inside, number, outside, rows
from .common import Boxes, Reading, box, film, first, frozen, places

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
BOXES = "BBox_List_2017.csv"
LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
NORMAL = "No Finding"
_CORNERS = ("Bbox [x", "y", "w", "h]")  # the head says "Bbox [x,y,w,h]", whose commas part it


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether a table of labels lies here."""
    return first(folder, *TABLES) is not None


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of the table; a film's boxes are its masks."""
    official = manifest.published
    boxes: Boxes = {}
    yield from _boxes(folder, official, boxes)
    splits: dict[str, str] = {}
    yield from _splits(folder, splits)
    files = places([*sorted(folder.glob("images_*/images")), folder / "images", folder])
    table = first(folder, *TABLES) or folder / TABLES[0]
    for row in rows(table, ["Image Index", "Finding Labels", "Patient ID", "View Position"]):
        yield row if isinstance(row, Fault) else _film(row, manifest, folder, files, splits, boxes)
    for id in boxes:
        yield Fault(Kind.UNKNOWN_FILM, BOXES, f"it has boxes on film {id}, which is not in {table.name}")


def _boxes(folder: Path, official: Official, out: Boxes) -> Iterator[Fault]:
    if not (folder / BOXES).is_file():
        return
    for row in rows(folder / BOXES, ["Image Index", "Finding Label", *_CORNERS]):
        if isinstance(row, Fault):
            yield row
            continue
        found, label = box(row, _CORNERS), row.get("Finding Label")
        name = official.concept_map.get(label, label)
        if isinstance(found, Fault):
            yield found
        elif name not in official.masks:
            yield Fault(Kind.OUT_OF_RANGE, row.where, f"{label!r} is none of the findings with boxes")
        else:
            out.setdefault(row.get("Image Index"), {}).setdefault(name, []).append(found)


def _splits(folder: Path, out: dict[str, str]) -> Iterator[Fault]:
    for split, name in LISTS.items():
        if not (folder / name).is_file():
            continue
        for line in (folder / name).read_text(encoding="utf-8", errors="replace").split():
            if out.setdefault(line, split) != split:
                yield Fault(Kind.TWO_SPLITS, name, f"film {line} is in {LISTS[out[line]]} too")


def _film(
    row: Row, manifest: DataSet, folder: Path, files: dict[str, Path], splits: dict[str, str], boxes: Boxes
) -> Film | Fault:
    name, official = row.get("Image Index"), manifest.published
    if name not in files and inside(folder, name) is None:
        return outside(row, name)
    id = name.removesuffix(".png")
    said = {official.label_map.get(label, label) for label in row.get("Finding Labels").split("|")}
    strangers = said - {*official.findings, NORMAL}
    if strangers or (NORMAL in said and len(said) > 1):
        wrong = f"{min(strangers)!r} is none of the findings" if strangers else f"{NORMAL} stands beside a finding"
        return Fault(Kind.OUT_OF_RANGE, row.where, f"film {id}: {wrong}")
    own = boxes.pop(name, {})
    return film(
        manifest, id, files.get(name, folder / "images") / name,
        patient=row.get("Patient ID"),
        split=splits.get(name, ""),
        view=row.get("View Position"),
        sex=row.get("Patient Sex") or row.get("Patient Gender"),
        age=number(row.get("Patient Age")),
        native_width=int(row.number("OriginalImage[Width") or 0),
        labels=Labels({name: int(name in said) for name in official.findings}, frozenset(), frozenset()),
        normal=said == {NORMAL},
        boxes=frozen(own),
        annotated=frozenset({official.annotator} if own else ()),
    )  # fmt: skip
