"""ChestX-Det as published: two JSON files of boxes and polygons, films of the NIH beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet
from ..regions import Box, Polygon
from ..tables import Labels, Uncertain, inside, json_file, outside
from .common import Reading, film, first, places

FILES = {"train": "ChestX_Det_train.json", "test": "ChestX_Det_test.json"}
_FAR = 1e6
_FOLDERS = ("train_data", "test_data", "train", "test", "images", ".")


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether a file of annotations lies here."""
    return first(folder, *FILES.values()) is not None


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of both files; polygons are masks, boxes stand beside them."""
    nested = [folder / name for name in _FOLDERS] + sorted(folder.glob("images_*/images"))
    files = places(inner for outer in nested for inner in (outer, outer / outer.name))
    for split, name in FILES.items():
        entries = json_file(folder / name)
        if isinstance(entries, Fault):
            yield entries
        elif not isinstance(entries, list) or not entries:
            yield Fault(Kind.EMPTY_TABLE if entries == [] else Kind.BAD_FILE, name, "it is no list of films")
        else:
            for place, entry in enumerate(entries, start=1):
                yield _film(entry, f"{name}, entry {place}", split, manifest, folder, files)


def _film(entry: Any, where: str, split: str, manifest: DataSet, folder: Path, files: dict[str, Path]) -> Film | Fault:
    lacking = [
        key for key in ("file_name", "syms", "boxes", "polygons") if not isinstance(entry, dict) or key not in entry
    ]
    if lacking:
        return Fault(Kind.WRONG_COLUMNS, where, f"it has no {lacking[0]!r}")
    name, official = str(entry["file_name"]), manifest.published
    if inside(folder, name) is None:
        return outside(where, name)
    id = Path(name).stem
    names = [official.concept_map.get(name, name) for name in entry["syms"]]
    strangers = sorted(set(names) - set(official.masks))
    if strangers:
        return Fault(Kind.OUT_OF_RANGE, where, f"film {id}: {strangers[0]!r} is none of the findings")
    try:
        boxes, polygons = _marks(entry, names)
    except (TypeError, ValueError) as error:
        return Fault(Kind.BAD_ROW, where, f"film {id}: its outlines do not fit its findings ({error})")
    return film(
        manifest, id, files.get(name, folder) / name,
        patient=id.split("_")[0].lstrip("0") or id,
        split=split,
        labels=Labels({name: int(name in names) for name in official.findings}, frozenset(), frozenset()),
        normal=None,
        boxes={name: tuple(found) for name, found in boxes.items()},
        regions={name: tuple(found) for name, found in polygons.items()},
        annotated=frozenset({official.annotator}),
    )  # fmt: skip


def _marks(entry: dict[str, Any], names: list[str]) -> tuple[dict[str, list[Box]], dict[str, list[Polygon]]]:
    boxes: dict[str, list[Box]] = {}
    polygons: dict[str, list[Polygon]] = {}
    for name, (left, top, right, bottom), outline in zip(names, entry["boxes"], entry["polygons"], strict=True):
        boxes.setdefault(name, []).append(Box(left, top, right - left, bottom - top))
        points = tuple((float(x), float(y)) for x, y in outline)
        if not points or not all(abs(value) < _FAR for point in points for value in point):
            raise ValueError("an outline without a point, or with one nowhere near")
        polygons.setdefault(name, []).append(Polygon(points))
    return boxes, polygons
