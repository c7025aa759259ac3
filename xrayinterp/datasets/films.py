"""Data manifests and the films they describe: the one reader for training, concepts and studies."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image

from ..errors import Code, XrayInterpError
from ..paths import data_root, manifest_dir

FloatImage = npt.NDArray[np.float32]
BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DataSet:
    """A data manifest: where a data set comes from, under what terms, and how its table is read.

    `masks` maps a mask class to its bit in the 16-bit mask PNG; `annotations` maps who drew masks to the column that
    says on which films (empty or 0: not on this one); `scores` maps a rater to six columns.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    table: str
    columns: Mapping[str, str]
    findings: tuple[str, ...] = ()
    normal: str | None = None
    masks: Mapping[str, int] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Film:
    """One row of a data set.

    `labels` holds 0 or 1 for each finding of the manifest; `normal` is None where the data set does not say;
    `scores` holds six zone scores per rater; `native_width` is the width in pixels before storage; `annotated` names
    who drew masks on this film; masks are known only inside `valid_box` (left, top, width, height), if there is one.
    """

    id: str
    dataset: str
    path: Path
    patient: str
    split: str
    view: str
    sex: str
    age: float | None
    native_width: int
    labels: Mapping[str, int]
    normal: bool | None
    mask_path: Path | None
    mask_bits: Mapping[str, int]
    scores: Mapping[str, tuple[float, ...]]
    licence: str
    annotated: frozenset[str] = frozenset()
    valid_box: tuple[int, int, int, int] | None = None

    def pixels(self) -> FloatImage:
        """The film as float32 (H, W) in [0, 1]: 8-bit values over 255.

        Raises:
            XrayInterpError: `data-missing` where its file is gone, `corrupt-pixels` where it is no 8-bit picture.
        """
        try:
            with Image.open(self.path) as image:
                if image.mode.startswith(("I", "F")):  # reduced to 8 bits, most values would be cut off
                    raise XrayInterpError(
                        Code.CORRUPT_PIXELS, f"{self.path} has more than 8 bits a pixel.", "Store it as an 8-bit PNG."
                    )
                return np.asarray(image.convert("L"), dtype=np.float32) / 255.0
        except FileNotFoundError:
            raise XrayInterpError(
                Code.DATA_MISSING, f"Film {self.id} of {self.dataset} has lost its file {self.path}."
            ) from None
        except OSError as error:
            raise XrayInterpError(Code.CORRUPT_PIXELS, f"{self.path} cannot be read: {error}.") from error

    def mask(self, name: str) -> BoolMask:
        """The mask of class `name`, bool (H, W) on the grid of `pixels`; all False where the class is absent."""
        return np.asarray(self.masks((name,))[0])

    def masks(self, names: Sequence[str]) -> BoolMask:
        """The masks of several classes, bool (C, H, W) on the grid of `pixels`, from one reading of the file.

        Raises:
            XrayInterpError: `data-missing` where the film has no masks, its mask file is gone, or its data set has no
                such class.
        """
        if self.mask_path is None or not self.mask_path.is_file():
            where = "has no masks" if self.mask_path is None else f"has lost its mask file {self.mask_path}"
            raise XrayInterpError(Code.DATA_MISSING, f"Film {self.id} of {self.dataset} {where}.")
        unknown = [name for name in names if name not in self.mask_bits]
        if unknown:
            raise XrayInterpError(
                Code.DATA_MISSING,
                f"Data set {self.dataset} has no mask class {unknown[0]!r}.",
                f"It has: {', '.join(self.mask_bits)}.",
            )
        with Image.open(self.mask_path) as image:
            bits = np.asarray(image).astype(np.uint16)
        wanted = np.array([1 << self.mask_bits[name] for name in names], dtype=np.uint16)
        return np.asarray(bits & wanted[:, None, None], dtype=bool)


def load_manifest(name: str) -> DataSet:
    """The data manifest `name` of `data_manifests/datasets`.

    Raises:
        XrayInterpError: `data-missing` where there is none of this name, `bad-manifest` for a file that is none.
    """
    path = manifest_dir() / "datasets" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise XrayInterpError(Code.DATA_MISSING, f"There is no data manifest called {name!r}.", f"Known: {known}.")
    try:
        raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return DataSet(**{**raw, "findings": tuple(raw.get("findings", ()))})
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a data manifest: {error}.") from error


def load_films(
    name: str,
    *,
    root: Path | None = None,
    splits: Iterable[str] | None = None,
    min_native_width: int = 0,
) -> list[Film]:
    """Films of data set `name`, in table order.

    Args:
        root: data root; None takes XRAYINTERP_DATA.
        splits: keep only these; None keeps all.
        min_native_width: keep films whose original width in pixels is at least this.

    Raises:
        XrayInterpError: `data-missing` where the table is not there, `bad-manifest` where it lacks a column that the
            manifest names or a cell is no number that should be.
    """
    manifest = load_manifest(name)
    folder = data_root(root)
    table = folder / manifest.table
    if not table.is_file():
        raise XrayInterpError(
            Code.DATA_MISSING, f"{table} is not there.", f"Put {manifest.title} there; see data_manifests."
        )
    wanted = None if splits is None else set(splits)
    with table.open(newline="", encoding="utf-8") as handle:
        films = [_checked_film(row, manifest, folder, table) for row in csv.DictReader(handle)]
    return [
        film for film in films if film.native_width >= min_native_width and (wanted is None or film.split in wanted)
    ]


def _checked_film(row: Mapping[str, str], manifest: DataSet, folder: Path, table: Path) -> Film:
    try:
        return _film(row, manifest, folder)
    except KeyError as error:
        reason = f"it has no column {error}"
    except (TypeError, ValueError) as error:  # TypeError: a row that ends early holds None
        reason = f"the row of film {row.get(manifest.columns['id'])}: {error}"
    raise XrayInterpError(
        Code.BAD_MANIFEST,
        f"{table} does not fit the data manifest {manifest.name!r}: {reason}.",
        "Correct one of them.",
    )


def _film(row: Mapping[str, str], manifest: DataSet, folder: Path) -> Film:
    columns = manifest.columns

    def cell(key: str) -> str:
        return row.get(columns.get(key, ""), "") or ""

    return Film(
        id=cell("id"),
        dataset=manifest.name,
        path=folder / cell("file"),
        patient=cell("patient"),
        split=cell("split"),
        view=cell("view"),
        sex=cell("sex"),
        age=_number(cell("age")),
        native_width=int(cell("native_width") or 0),
        labels={finding: int(row[finding]) for finding in manifest.findings},
        normal=None if manifest.normal is None else row[manifest.normal] == "1",
        mask_path=folder / cell("mask") if cell("mask") else None,
        mask_bits=manifest.masks,
        scores={
            rater: tuple(float(row[c]) for c in zones)
            for rater, zones in manifest.scores.items()
            if all(row[c] != "" for c in zones)
        },
        licence=cell("licence"),
        annotated=frozenset(who for who, column in manifest.annotations.items() if row[column] not in ("", "0")),
        valid_box=_box(cell("valid_box")),
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _box(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    left, top, width, height = (int(part) for part in text.split(","))
    return left, top, width, height
