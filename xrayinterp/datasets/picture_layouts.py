"""How public data sets of pictures lie: a folder a class, a table, MVTec's folders, torchvision's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Code, XrayInterpError
from .faults import Fault
from .layouts import folders_below
from .layouts.common import places
from .pictures import Colours, Picture, PictureSet
from .tables import inside, rows

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
SPLITS = ("train", "val", "test")
GOOD = "good"
"""What MVTec calls the normal class."""
_MASK = r"(?:_mask(?:_\d+)?)?"
"""What a mask's name adds to its picture's: "_mask", "_mask_1" and so on, or nothing."""


def folders(manifest: PictureSet, root: Path, part: str) -> list[Picture]:
    """A folder a class, in folders `train`, `val` and `test` or without: the shallowest place that has a normal one."""
    home = next((folder for folder in folders_below(root) if _has_classes(folder, manifest)), None)
    if home is None:
        wanted = " and ".join(manifest.classes) or " or ".join(manifest.normal)
        raise manifest.lost(root, f"no folder {wanted}")
    split = [name for name in SPLITS if _normal_in(home / name, manifest)]
    out = [
        picture
        for name in (*split, *(name for name in SPLITS if split and name not in split and (home / name).is_dir()))
        for picture in _classes(home / name, name, manifest)
    ]
    return out or list(_classes(home, "", manifest))


def table(manifest: PictureSet, root: Path, part: str) -> list[Picture]:
    """A table with a label of 0 or 1 a row, and pictures named by its id."""
    told = manifest.table or {}
    home = next((folder for folder in folders_below(root) if (folder / told["file"]).is_file()), None)
    if home is None:
        raise manifest.lost(root, f"no table {told['file']}")
    lie = places([home / name for name in told["folders"]])
    out = []
    for row in rows(home / told["file"], [told["id"], told["label"]]):
        if isinstance(row, Fault):
            raise row.error(manifest.name)
        number, label = row.number(told["id"]), row.get(told["label"])
        if number is None or label not in ("0", "1"):
            raise _wrong(
                f"{row.where}: id {row.get(told['id'])!r} and label {label!r}, where a number and 0 or 1 belong"
            )
        name = told["name"].format(id=int(number))
        if name not in lie or inside(lie[name], name) is None:
            raise manifest.lost(home, f"{name}, named by {row.where}, is not there")
        out.append(_picture(lie[name] / name, told["classes"][int(label)], "", manifest))
    return out


def mvtec(manifest: PictureSet, root: Path, part: str) -> list[Picture]:
    """One object of MVTec: train/good, test/CLASS, and for all but good ground_truth/CLASS/NAME_mask.png.

    A picture may have several masks: NAME_mask_1.png ..., or a folder NAME of them. Without a folder `ground_truth`
    there are none; with it each anomalous picture must have one.
    """
    home = next((folder for folder in folders_below(root) if folder.name == part and _is_object(folder)), None)
    if home is None:
        raise manifest.lost(root, f"no folder {part or 'of an object'} with train/{GOOD}")
    truth = home / "ground_truth"
    out = [_picture(path, GOOD, "train", manifest, home) for path in _pictures(home / "train" / GOOD)]
    for folder in _inner(home / "test"):
        for path in _pictures(folder):
            masks: tuple[Path, ...] = ()
            if folder.name != GOOD and truth.is_dir():
                masks = _masks_of(path, truth / folder.name)
            out.append(_picture(path, folder.name, "test", manifest, home, masks))
    return out


def mvtec_parts(manifest: PictureSet, root: Path) -> tuple[str, ...]:
    """Objects that lie there, by name.

    Raises:
        XrayInterpError: `data-missing` where there is none.
    """
    found = sorted({folder.name for folder in folders_below(root) if folder != root and _is_object(folder)})
    if not found:
        raise manifest.lost(root)
    return tuple(found)


def torchvision(manifest: PictureSet, root: Path, part: str) -> list[Picture]:
    """Both splits as torchvision reads them from files at the root; it is never let download."""
    import torchvision.datasets

    out = []
    for split in ("train", "test"):
        try:
            found: Any = getattr(torchvision.datasets, manifest.reader)(
                str(root), train=split == "train", download=False
            )
            images, targets = np.asarray(found.data), np.asarray(found.targets)
        except Exception as error:  # torchvision asserts, and raises whatever unpacking does
            if isinstance(error, FileNotFoundError) or "not found" in str(error):
                raise manifest.lost(root) from None
            raise _wrong(f"{manifest.title} in {root} cannot be read: {error or type(error).__name__}") from error
        if len(images) != len(targets):
            raise _wrong(f"{manifest.title} in {root} has {len(images)} pictures and {len(targets)} labels")
        out += [
            Picture(f"{split}-{i}", manifest.name, manifest.classes[int(y)], None, split, f"{split}-{i}", _colours(x))
            for i, (x, y) in enumerate(zip(images, targets, strict=True))
        ]
    return out


def _colours(values: Colours) -> Colours:
    return values if values.ndim == 3 else np.broadcast_to(values[..., None], (*values.shape, 3))


def _has_classes(folder: Path, manifest: PictureSet) -> bool:
    """Whether a normal class lies there, with all others where the manifest names them: else it is another set."""
    places = (folder, *(folder / split for split in SPLITS))
    there = {inner.name for place in places for inner in _inner(place)}
    return any(_normal_in(place, manifest) for place in places) and there.issuperset(manifest.classes)


def _normal_in(folder: Path, manifest: PictureSet) -> bool:
    return any(inner.name in manifest.normal for inner in _inner(folder))


def _classes(folder: Path, split: str, manifest: PictureSet) -> Iterator[Picture]:
    for inner in _inner(folder):
        if not manifest.classes or inner.name in manifest.classes:
            for path in _pictures(inner):
                yield _picture(path, inner.name, split, manifest, folder)


def _picture(
    path: Path, label: str, split: str, manifest: PictureSet, home: Path | None = None, masks: tuple[Path, ...] = ()
) -> Picture:
    id = path.relative_to(home).as_posix() if home else path.name
    found = re.search(manifest.patient, path.name) if manifest.patient else None
    patient = found[1] if found else f"{split}/{id}" if split else id
    return Picture(id, manifest.name, label, label in (manifest.normal or (GOOD,)), split, patient, path, masks)


def _masks_of(path: Path, folder: Path) -> tuple[Path, ...]:
    several = _pictures(folder / path.stem)
    beside = [mask for mask in _pictures(folder) if re.fullmatch(re.escape(path.stem) + _MASK, mask.stem)]
    if not several and not beside:
        raise XrayInterpError(
            Code.DATA_MISSING, f"{path} has no mask in {folder}.", "Unpack the whole archive, ground_truth included."
        )
    return tuple(several or beside)


def _is_object(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir()


def _inner(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def _wrong(said: str) -> XrayInterpError:
    return XrayInterpError(Code.BAD_DATA, f"{said}.", "Fetch the data set again.")
