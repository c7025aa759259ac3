"""COVID-19 chest X-ray segmentations as published: a table of crops, each a mask to be pasted at its corner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..faults import Fault, Kind
from ..manifest import DataSet
from ..regions import Box, MaskFile
from ..tables import Row, Uncertain, inside, outside, rows
from .common import Reading, box, film, first

TABLE, FILMS = "structure.csv", "metadata.csv"
_CORNERS = ("Left", "Top", "Width", "Height")


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether the table of crops lies here."""
    return (folder / TABLE).is_file() and (folder / "masks").is_dir()


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of the table, in the order of their first row; rows without a mask file add nothing."""
    regions: dict[str, dict[str, list[MaskFile]]] = {}
    images: dict[str, str] = {}
    for row in rows(folder / TABLE, ["Template Name", "Filename", "Image", "Mask", *_CORNERS]):
        if isinstance(row, Fault):
            yield row
            continue
        crop = _crop(row, folder, manifest)
        if isinstance(crop, Fault):
            yield crop
            continue
        id = row.get("Filename")
        images.setdefault(id, row.get("Image"))
        mine = regions.setdefault(id, {})
        if crop is not None:
            mine.setdefault(_class_of(row, manifest), []).append(crop)
    known: dict[str, Row] = {}
    yield from _known(folder, known)
    for id, found in regions.items():
        path = inside(folder, f"images/{id}")
        hashed = inside(folder, images[id]) if images[id] else None
        if path is None:
            yield outside(TABLE, id)
            continue
        row = known.get(id, Row({}, ""))
        yield film(
            manifest, id, first(folder, f"images/{id}") or hashed or path,
            patient=row.get("patientid") or id,
            view=row.get("view"),
            licence=row.get("license") or manifest.licence,
            regions={name: tuple(crops) for name, crops in found.items()},
            annotated=frozenset({manifest.published.annotator}),
        )  # fmt: skip


def _known(folder: Path, out: dict[str, Row]) -> Iterator[Fault]:
    """Patient, view and licence of each film, from the copy of Cohen's table that lies beside."""
    for row in rows(folder / FILMS, ["patientid", "filename"]) if (folder / FILMS).is_file() else ():
        if isinstance(row, Fault):
            yield row
        else:
            out[row.get("filename")] = row


def _class_of(row: Row, manifest: DataSet) -> str:
    name = row.get("Template Name")
    return manifest.published.concept_map.get(name, name)


def _crop(row: Row, folder: Path, manifest: DataSet) -> MaskFile | Fault | None:
    if _class_of(row, manifest) not in manifest.published.masks:
        return Fault(Kind.OUT_OF_RANGE, row.where, f"{row.get('Template Name')!r} is none of the mask classes")
    name = row.get("Mask")
    if not name:
        return None
    path, at = inside(folder, name), box(row, _CORNERS)
    if path is None:
        return outside(row, name)
    return MaskFile(path, at) if isinstance(at, Box) else at
