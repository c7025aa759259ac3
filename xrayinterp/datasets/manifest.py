"""Data manifests, `data_manifests/datasets/*.yaml` or one's own: what a data set is and how it is laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ..errors import Code, XrayInterpError
from ..paths import manifest_dir


@dataclass(frozen=True)
class Expected:
    """Totals of the published release: films, patients and boxes, and counts by split, label, mask class and score."""

    films: int | None = None
    patients: int | None = None
    boxes: int | None = None
    boxed_films: int | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    masks: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Official:
    """A data set as its makers publish it.

    `layout` names the module of `datasets.layouts` that reads it; `get` says where it is had and on what terms; `files`
    maps each file or folder to what it holds. `findings` and `masks` are the names films carry, `label_map` and
    `concept_map` lead to them from the published ones. `frame` is the side in pixels of the grid in which boxes and
    outlines are given; None is the film's own. `annotator` is who drew them.
    """

    layout: str
    get: str
    files: Mapping[str, str]
    findings: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    label_map: Mapping[str, str] = field(default_factory=dict)
    concept_map: Mapping[str, str] = field(default_factory=dict)
    annotator: str = ""
    frame: int | None = None
    notes: str = ""
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True)
class BoxTable:
    """A second table with a box a row: `columns` names those of id, label, left, top, width and height.

    Only rows are read whose cells are as in `where`.
    """

    table: str
    columns: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """A data manifest: where a data set comes from, under what terms, and how it is read.

    With a `table`, films lie under the data root and the table has a row for each, with cells named by `columns`.
    `masks` maps a mask class to its bit in the 16-bit mask PNG; `mask_files` to the column that names a mask picture of
    its own; `annotations` maps who drew masks to the column that says on which films (empty or 0: not on this one);
    `scores` maps a rater to six columns. `official` is the layout of the makers, where it is another.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    table: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    normal: str | None = None
    masks: Mapping[str, int] = field(default_factory=dict)
    mask_files: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Sequence[str]] = field(default_factory=dict)
    boxes: BoxTable | None = None
    delimiter: str = ","
    official: Official | None = None

    @property
    def published(self) -> Official:
        """The official layout.

        Raises:
            XrayInterpError: `bad-manifest` where the data set has none.
        """
        if self.official is None:
            raise XrayInterpError(Code.BAD_MANIFEST, f"Data set {self.name!r} has no official layout.")
        return self.official


def manifest_names(folder: str = "datasets") -> tuple[str, ...]:
    """Names of all data manifests of this installation, or of those in another folder, in alphabetical order."""
    return tuple(sorted(path.stem for path in (manifest_dir() / folder).glob("*.yaml")))


def manifest_file(folder: str, name: str) -> Path:
    """The manifest `name` in a folder of manifests, or the file `name` where that ends in .yaml.

    Raises:
        XrayInterpError: `bad-option` where there is none of this name.
    """
    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else manifest_dir() / folder / f"{name}.yaml"
    if not path.is_file():
        hint = "Check the path." if own else f"Known: {', '.join(manifest_names(folder))}."
        raise XrayInterpError(Code.BAD_OPTION, f"There is no manifest called {name!r} among the {folder}.", hint)
    return path


def load_manifest(name: str) -> DataSet:
    """The data manifest `name` of `data_manifests/datasets`, or the file `name` where that ends in .yaml.

    Raises:
        XrayInterpError: `bad-option` where there is none of this name, `bad-manifest` for a file that is none.
    """
    path = manifest_file("datasets", name)
    try:
        return _data_set(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (TypeError, AttributeError, KeyError, ValueError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a data manifest: {error}.") from error


def own_table(
    table: str, columns: Mapping[str, str], findings: Sequence[str] = (), *, name: str = "own", delimiter: str = ","
) -> DataSet:
    """The manifest of a folder with a table, by the names of its columns: `id` and `file` at least.

    Raises:
        XrayInterpError: `bad-option` where one of them is not named, a name has no meaning here, or `delimiter` is not
            one character.
    """
    strangers = sorted(set(columns) - set(COLUMNS))
    lacking = [key for key in ("id", "file") if key not in columns]
    if len(delimiter) != 1:
        raise XrayInterpError(Code.BAD_OPTION, f"{delimiter!r} parts no cells.", "Name one character, such as ';'.")
    if strangers or lacking:
        reason = f"{strangers[0]!r} is none of its columns" if strangers else f"its column {lacking[0]!r} is not named"
        raise XrayInterpError(
            Code.BAD_OPTION, f"The table {table} cannot be read: {reason}.", f"Name some of {', '.join(COLUMNS)}."
        )
    return DataSet(
        name, f"Table {table}", "own", "as its owner says", "none", table, columns, tuple(findings), delimiter=delimiter
    )


COLUMNS = (
    "id", "file", "patient", "split", "view", "sex", "age", "native_width", "mask", "valid_box", "licence",
)  # fmt: skip
"""What `DataSet.columns` may name."""
BOX_COLUMNS = ("id", "label", "left", "top", "width", "height")
"""What `BoxTable.columns` must name."""


def _data_set(raw: Mapping[str, Any]) -> DataSet:
    official = raw.get("official")
    boxes = raw.get("boxes")
    made = DataSet(**{**raw, "findings": tuple(raw.get("findings", ())), "official": None, "boxes": None})
    strangers = sorted(set(made.columns) - set(COLUMNS))
    lacking = [key for key in BOX_COLUMNS if boxes is not None and key not in boxes["columns"]]
    if strangers or lacking or len(made.delimiter) != 1:
        wrong = f"columns names {strangers[0]!r}" if strangers else f"boxes lack {lacking}" if lacking else "delimiter"
        raise ValueError(f"{wrong}; columns may be {', '.join(COLUMNS)}, those of boxes {', '.join(BOX_COLUMNS)}")
    return replace(
        made,
        official=None if official is None else _official(official),
        boxes=None if boxes is None else BoxTable(**boxes),
    )


def _official(raw: Mapping[str, Any]) -> Official:
    tuples = {key: tuple(raw.get(key, ())) for key in ("findings", "masks")}
    return Official(**{**raw, **tuples, "expected": Expected(**raw.get("expected", {}))})
