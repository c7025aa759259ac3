"""CheXpert as published: a table a split with labels 1, 0, -1 (uncertain) and blank (not mentioned)."""

from __future__ import annotations

from pathlib import Path

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet
from ..tables import Row, Uncertain, inside, labels, outside, rows
from .common import Reading, film

TABLES = {"train": "train.csv", "valid": "valid.csv", "test": "test.csv"}
NORMAL = "No Finding"


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether a table of films and labels lies here: its name alone says too little."""
    return any(_has_labels(folder / name, manifest) for name in ("train.csv", "valid.csv"))


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of train and valid, and of test where it is there; lateral ones have view "lateral"."""
    for split, name in TABLES.items():
        if (folder / name).is_file():
            yield from table(folder / name, split, folder, manifest, uncertain)
        elif split != "test":
            yield Fault(Kind.MISSING_TABLE, name, f"{folder / name} is not there")


def table(path: Path, split: str, folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of one table; `folder` is the one in which the table's paths begin, less the release's name."""
    published = {ours: theirs for theirs, ours in manifest.published.label_map.items()}
    columns = {name: published.get(name, name) for name in manifest.published.findings}
    for row in rows(path, ["Path", *columns.values()]):
        yield row if isinstance(row, Fault) else _film(row, split, folder, manifest, uncertain, columns)


def _film(
    row: Row, split: str, folder: Path, manifest: DataSet, uncertain: Uncertain, columns: dict[str, str]
) -> Film | Fault:
    stated = row.get("Path")
    path = inside(folder, stated.split("/", 1)[1] if stated.startswith("CheXpert") and "/" in stated else stated)
    if path is None:
        return outside(row, stated)
    parts = path.parts[-3:]  # patient, study, view
    try:
        found = labels({name: row[column] for name, column in columns.items()}, uncertain)
    except ValueError as error:
        return Fault(Kind.OUT_OF_RANGE, row.where, f"film {stated}: {error}")
    lateral = row.get("Frontal/Lateral") == "Lateral" or "lateral" in path.stem
    return film(
        manifest, "_".join(parts).removesuffix(path.suffix), path,
        patient=next((part for part in path.parts if part.startswith("patient")), parts[0]),
        split=split,
        view="lateral" if lateral else row.get("AP/PA"),
        sex={"Male": "M", "Female": "F"}.get(row.get("Sex"), ""),
        age=row.number("Age"),
        labels=found,
        normal=row.get(NORMAL) in ("1", "1.0") if NORMAL in row.cells else None,
    )  # fmt: skip


def _has_labels(path: Path, manifest: DataSet) -> bool:
    if not path.is_file():
        return False
    with path.open(encoding="latin-1") as handle:
        head = {cell.strip() for cell in handle.readline(4096).split(",")}
    return len(head & {"Pleural Effusion", "Enlarged Cardiomediastinum", "Support Devices", "Lung Opacity"}) >= 2
