"""Tables of data sets, row by row: encodings, columns, labels, and paths that must stay inside the data set."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .faults import Fault, Kind

Uncertain = Literal["zeros", "ones", "ignore"]
"""What becomes of a label "uncertain": 0, 1, or no label at all (U-Zeros, U-Ones and U-Ignore of CheXpert)."""

UNCERTAIN: tuple[Uncertain, ...] = ("zeros", "ones", "ignore")


@dataclass(frozen=True)
class Row:
    """Cells of a row by column, and where it is: "table.csv, line 12"."""

    cells: Mapping[str, str]
    where: str

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def get(self, column: str) -> str:
        """The cell, stripped; "" where there is no such column."""
        return (self.cells.get(column) or "").strip()

    def number(self, column: str) -> float | None:
        """The cell as a number; None where it is none."""
        return number(self.get(column))


def rows(path: Path, needed: Iterable[str], *, delimiter: str = ",") -> Iterator[Row | Fault]:
    """Rows of a table with a head, one at a time.

    A table that is not UTF-8 is a fault and is then read as Latin-1. A row with too few cells is a fault.

    Args:
        path: the table; a fault where it is not there or has no row.
        needed: columns that must be there; a fault where one is not, and nothing else is read.
        delimiter: what parts the cells.
    """
    if not path.is_file():
        yield Fault(Kind.MISSING_TABLE, path.name, f"{path} is not there")
        return
    encoding, fault = _encoding(path)
    if fault:
        yield fault
    try:
        with path.open(newline="", encoding=encoding) as handle:
            yield from _rows(csv.reader(handle, delimiter=delimiter), path.name, tuple(needed))
    except csv.Error as error:
        yield Fault(Kind.BAD_FILE, path.name, f"it is no table: {error}")


def _rows(reader: Any, table: str, needed: tuple[str, ...]) -> Iterator[Row | Fault]:
    head = tuple(cell.strip() for cell in next(reader, []))
    lacking = [column for column in needed if column not in head]
    if lacking:
        yield Fault(Kind.WRONG_COLUMNS, table, f"it has no column {lacking[0]!r}; it has {', '.join(head) or 'none'}")
        return
    width = max((head.index(column) for column in needed), default=-1) + 1
    empty = True
    for cells in reader:
        if not any(cells):
            continue
        empty, where = False, f"{table}, line {reader.line_num}"
        if len(cells) < width:
            yield Fault(Kind.BAD_ROW, where, f"it has {len(cells)} cells where {width} or more belong")
        else:
            yield Row(dict(zip(head, cells, strict=False)), where)
    if empty:
        yield Fault(Kind.EMPTY_TABLE, table, "it has no row")


def _encoding(path: Path) -> tuple[str, Fault | None]:
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                said = f"it is not UTF-8: byte 0x{line[error.start]:02x} in line {number}"
                return "latin-1", Fault(Kind.BAD_ENCODING, path.name, said)
    return "utf-8-sig", None


def json_file(path: Path) -> Any:
    """What a JSON file holds, or a Fault where it is not there or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Fault(Kind.MISSING_TABLE, path.name, f"{path} is not there")
    except UnicodeDecodeError:
        return Fault(Kind.BAD_ENCODING, path.name, "it is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Fault(Kind.BAD_FILE, path.name, f"it is not JSON: {error}")


def number(text: str) -> float | None:
    """The finite number that a cell holds, or None; "058Y" is DICOM's way to say 58 years."""
    try:
        value = float(text[:-1] if text.endswith("Y") else text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Labels:
    """Labels of a film under a policy: 0 or 1 by finding, and which were uncertain or not mentioned."""

    values: Mapping[str, int]
    uncertain: frozenset[str]
    unmentioned: frozenset[str]


def labels(cells: Mapping[str, str], policy: Uncertain) -> Labels:
    """Labels from cells: 1, 0, -1 (uncertain) or blank (not mentioned, hence 0).

    Raises:
        ValueError: naming the finding and the value where a cell holds anything else.
    """
    values: dict[str, int] = {}
    uncertain, unmentioned = set(), set()
    for finding, cell in cells.items():
        value = 0.0 if not cell.strip() else number(cell)
        if value not in (0, 1, -1):
            raise ValueError(f"{finding} is {cell!r}, where 1, 0, -1 or nothing belongs")
        if not cell.strip():
            unmentioned.add(finding)
        if value == -1:
            uncertain.add(finding)
            if policy == "ignore":
                continue
            value = 1 if policy == "ones" else 0
        values[finding] = int(value)
    return Labels(values, frozenset(uncertain), frozenset(unmentioned))


def inside(folder: Path, name: str) -> Path | None:
    """The path of a file that a table names, or None where the name would lead out of the folder."""
    parts = name.replace("\\", "/").split("/")
    if not name.strip() or not parts[0] or parts[0].endswith(":") or ".." in parts or "\0" in name:
        return None
    return folder.joinpath(*parts)


def outside(row: Row | str, name: str) -> Fault:
    """The fault of a row whose file lies outside."""
    where = row if isinstance(row, str) else row.where
    said = f"{name!r} leads out of the data set's folder" if name.strip() else "it names no file"
    return Fault(Kind.OUTSIDE_ROOT if name.strip() else Kind.BAD_ROW, where, said)
