"""Cohen's COVID-19 image data collection as published: one table, films of many sources in a folder."""

from __future__ import annotations

from pathlib import Path

from ..faults import Fault
from ..film import Film
from ..manifest import DataSet
from ..tables import Labels, Row, Uncertain, inside, number, outside, rows
from .common import Reading, film

TABLE = "metadata.csv"
_LATERAL = ("L", "LL")


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether the table lies here; a copy of it beside other annotations is not the collection."""
    return (folder / TABLE).is_file() and (folder / "images").is_dir() and not (folder / "structure.csv").is_file()


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Radiographs of the table; CT is left out, lateral films have view "lateral"."""
    for row in rows(folder / TABLE, ["patientid", "finding", "view", "filename"]):
        if isinstance(row, Fault):
            yield row
        elif row.get("modality") in ("", "X-ray"):
            yield _film(row, manifest, folder)


def _film(row: Row, manifest: DataSet, folder: Path) -> Film | Fault:
    id, official = row.get("filename"), manifest.published
    path = inside(folder, f"{row.get('folder') or 'images'}/{id}") if id else None
    if path is None:
        return outside(row, id)
    said = [official.label_map.get(part.strip(), part.strip()) for part in row.get("finding").split("/")]
    known = {} if "Unknown" in said or "todo" in said else {name: int(name in said) for name in official.findings}
    view = row.get("view")
    return film(
        manifest, id, path,
        patient=row.get("patientid"),
        view="lateral" if view in _LATERAL else view,
        sex=row.get("sex"),
        age=number(row.get("age")),
        labels=Labels(known, frozenset(), frozenset()),
        normal="No Finding" in said if known else None,
        licence=row.get("license") or "not stated",
    )  # fmt: skip
