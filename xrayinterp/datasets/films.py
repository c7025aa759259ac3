"""Films of data sets by manifest: the one reader for training, concepts and studies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import Code, XrayInterpError
from ..paths import data_root
from .faults import Fault
from .film import Film, FloatImage
from .layouts import find
from .manifest import DataSet, load_manifest
from .regions import BoolMask
from .tables import Uncertain

__all__ = ["BoolMask", "DataSet", "Film", "FloatImage", "iter_films", "load_films", "load_manifest"]


def load_films(
    name: str | DataSet,
    *,
    root: Path | None = None,
    splits: Iterable[str] | None = None,
    min_native_width: int = 0,
    uncertain: Uncertain = "zeros",
    laterals: bool = False,
) -> list[Film]:
    """Films of a data set, in table order; rows are held, pixels are not.

    Args:
        name: a manifest's name, a manifest file, or a manifest.
        root: data root; None takes XRAYINTERP_DATA. The data set may lie in it or up to two folders below.
        splits: keep only these; None keeps all.
        min_native_width: keep films whose original width in pixels is at least this.
        uncertain: what becomes of a label "uncertain": "zeros", "ones", or "ignore" (no label of that finding).
        laterals: keep lateral films too.

    Raises:
        XrayInterpError: `data-missing` where the data set is not there, `bad-manifest` where a table lacks a column
            that the manifest names, a cell is no number that should be, or a file would lie outside.
    """
    return list(
        iter_films(
            name,
            root=root,
            splits=splits,
            min_native_width=min_native_width,
            uncertain=uncertain,
            laterals=laterals,
        )
    )


def iter_films(
    name: str | DataSet,
    *,
    root: Path | None = None,
    splits: Iterable[str] | None = None,
    min_native_width: int = 0,
    uncertain: Uncertain = "zeros",
    laterals: bool = False,
) -> Iterator[Film]:
    """The same films as `load_films`, one at a time."""
    manifest = load_manifest(name) if isinstance(name, str) else name
    folder = data_root(root)
    found = find(manifest, folder)
    if found is None:
        place = folder / manifest.table if manifest.table else folder
        raise XrayInterpError(
            Code.DATA_MISSING,
            f"{place} is not there." if manifest.table else f"{manifest.title} is not in {place}.",
            f"Put {manifest.title} there; `xrayinterp data describe {manifest.name}` says where to get it.",
        )
    wanted = None if splits is None else set(splits)
    for film in found.read(uncertain):
        if isinstance(film, Fault):
            if film.stops_reading:
                raise film.error(manifest.name)
        elif _kept(film, wanted, min_native_width, laterals):
            yield film


def _kept(film: Film, splits: set[str] | None, min_native_width: int, laterals: bool) -> bool:
    seen = laterals or film.view != "lateral"
    return seen and film.native_width >= min_native_width and (splits is None or film.split in splits)
