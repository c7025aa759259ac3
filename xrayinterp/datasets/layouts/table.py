"""One table with a film a row, its columns named by the manifest: prepared data, and any folder with a CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import BoxTable, DataSet
from ..regions import MaskFile
from ..tables import Row, Uncertain, inside, labels, number, outside, rows
from .common import Boxes, Reading, box, frozen


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether the manifest's table lies here."""
    return bool(manifest.table) and (folder / manifest.table).is_file()


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of the table."""
    boxes: Boxes = {}
    if manifest.boxes is not None:
        yield from _boxes(folder, manifest.boxes, boxes)
    for row in rows(folder / manifest.table, _needed(manifest), delimiter=manifest.delimiter):
        yield row if isinstance(row, Fault) else _film(row, manifest, folder, uncertain, boxes)
    yield from (
        Fault(Kind.UNKNOWN_FILM, manifest.boxes.table, f"it has boxes on film {id}, which is in no table")
        for id in boxes
        if manifest.boxes is not None
    )


def _needed(manifest: DataSet) -> list[str]:
    named = [manifest.columns.get("id", "id"), manifest.columns.get("file", "file"), *manifest.findings]
    named += [*([manifest.normal] if manifest.normal else []), *manifest.annotations.values()]
    return [*named, *manifest.mask_files.values(), *(c for zones in manifest.scores.values() for c in zones)]


def _boxes(folder: Path, table: BoxTable, out: Boxes) -> Iterator[Fault]:
    at = table.columns
    where = (at["left"], at["top"], at["width"], at["height"])
    for row in rows(folder / table.table, [at["id"], at["label"], *where, *table.where]):
        if isinstance(row, Fault):
            yield row
        elif all(row.get(column) == value for column, value in table.where.items()):
            found = box(row, where)
            if isinstance(found, Fault):
                yield found
            else:
                out.setdefault(row.get(at["id"]), {}).setdefault(row.get(at["label"]), []).append(found)


def _film(row: Row, manifest: DataSet, folder: Path, uncertain: Uncertain, boxes: Boxes) -> Film | Fault:
    columns = manifest.columns

    def cell(key: str) -> str:
        return row.get(columns.get(key, ""))

    files = [cell("file"), *filter(None, (cell("mask"), *(row.get(c) for c in manifest.mask_files.values())))]
    paths = {name: inside(folder, name) for name in files}
    if None in paths.values():
        return outside(row, next(name for name, path in paths.items() if path is None))
    try:
        found = labels({finding: row[finding] for finding in manifest.findings}, uncertain)
        return Film(
            id=cell("id"),
            dataset=manifest.name,
            path=folder / cell("file"),
            patient=cell("patient"),
            split=cell("split"),
            view=cell("view"),
            sex=cell("sex"),
            age=number(cell("age")),
            native_width=int(cell("native_width") or 0),
            labels=found.values,
            uncertain=found.uncertain,
            unmentioned=found.unmentioned,
            normal=None if manifest.normal is None else row.get(manifest.normal) in ("1", "1.0"),
            mask_path=folder / cell("mask") if cell("mask") else None,
            mask_bits=manifest.masks or {name: bit for bit, name in enumerate(manifest.mask_files)},
            regions={
                name: (MaskFile(folder / row.get(column)),)
                for name, column in manifest.mask_files.items()
                if row.get(column)
            },
            boxes=frozen(boxes.pop(cell("id"), {})),
            scores=_scores(row, manifest),
            licence=cell("licence"),
            annotated=frozenset(
                who for who, column in manifest.annotations.items() if row.get(column) not in ("", "0")
            ),
            valid_box=_valid_box(cell("valid_box")),
        )
    except ValueError as error:
        kind = Kind.OUT_OF_RANGE if "belongs" in str(error) else Kind.BAD_ROW
        return Fault(kind, row.where, f"the row of film {cell('id')}: {error}")


def _scores(row: Row, manifest: DataSet) -> dict[str, tuple[float, ...]]:
    return {
        rater: tuple(float(row.get(zone)) for zone in zones)
        for rater, zones in manifest.scores.items()
        if all(row.get(zone) != "" for zone in zones)
    }


def _valid_box(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    left, top, width, height = (int(part) for part in text.split(","))
    return left, top, width, height
