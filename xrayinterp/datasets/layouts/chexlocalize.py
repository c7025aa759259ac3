"""CheXlocalize as published: radiologists' masks of CheXpert's validation and test films, as COCO run lengths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet
from ..regions import RunLengths
from ..tables import Uncertain, inside, json_file, outside
from . import chexpert
from .common import Reading, film, first

MASKS = {"val": "gt_segmentations_val.json", "test": "gt_segmentations_test.json"}
_TABLES = {"val": ("val_labels.csv", "valid.csv"), "test": ("test_labels.csv", "test.csv")}
_FILMS = {"val": ("val", "valid"), "test": ("test",)}


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether a file of masks lies here or in the folder CheXlocalize."""
    return any(_masks_at(folder, name) for name in MASKS.values())


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films with masks; labels where CheXpert's tables lie beside them."""
    for split, name in MASKS.items():
        found = json_file(_masks_at(folder, name) or folder / name)
        if isinstance(found, Fault):
            yield found
        elif not isinstance(found, dict) or not found:
            yield Fault(Kind.EMPTY_TABLE if found == {} else Kind.BAD_FILE, name, "it maps no film to masks")
        else:
            yield from _split(found, split, folder, manifest, uncertain)


def _split(masks: dict[str, Any], split: str, folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    home = first(folder, "CheXpert", "CheXpert-v1.0", "CheXpert-v1.0-small") or folder
    labelled: dict[str, Film] = {}
    table = first(home, *_TABLES[split])
    for row in chexpert.table(table, split, home, manifest, uncertain) if table else ():
        if isinstance(row, Fault):
            yield row
        else:
            labelled[row.id] = row
    films = first(home, *_FILMS[split]) or home / _FILMS[split][0]
    for id, by_class in masks.items():
        yield _film(id, by_class, labelled.get(id), films, split, manifest)


def _film(id: str, by_class: Any, known: Film | None, films: Path, split: str, manifest: DataSet) -> Film | Fault:
    official, where = manifest.published, f"{MASKS[split]}, {id}"
    path = inside(films, "/".join(id.split("_", 2)) + ".jpg")
    if path is None or "/" in id:
        return outside(where, id)
    regions: dict[str, tuple[RunLengths, ...]] = {}
    try:
        for theirs, run in by_class.items():
            name = official.concept_map.get(theirs, theirs)
            if name not in official.masks:
                return Fault(Kind.OUT_OF_RANGE, where, f"{theirs!r} is none of the mask classes")
            height, width = (int(side) for side in run["size"])
            counts = run["counts"]
            regions[name] = (RunLengths(height, width, counts if isinstance(counts, str) else tuple(counts)),)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Fault(Kind.BAD_ROW, where, f"its masks are no run lengths ({type(error).__name__}: {error})")
    view = "lateral" if "lateral" in id else ""
    plain = known or film(manifest, id, path, patient=id.split("_")[0], view=view)
    return replace(plain, path=path, split=split, regions=regions, annotated=frozenset({official.annotator}))


def _masks_at(folder: Path, name: str) -> Path | None:
    return first(folder, name, f"CheXlocalize/{name}")
