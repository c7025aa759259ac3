"""Where manifests, caches and data sets live."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from .errors import Code, XrayInterpError

DATA_ENV = "XRAYINTERP_DATA"


def manifest_dir() -> Path:
    """The folder of YAML manifests: the repository's in a checkout, the packaged copy otherwise."""
    packaged = Path(__file__).parent / "data_manifests"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "data_manifests"


def cache_dir() -> Path:
    """The per-user folder for fetched weights, films and training checkpoints (created)."""
    path = Path(os.environ.get("XRAYINTERP_CACHE") or platformdirs.user_cache_path("xrayinterp"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def data_root(explicit: Path | None = None) -> Path:
    """The data root: `explicit` if given, else the environment variable XRAYINTERP_DATA.

    Raises:
        XrayInterpError: `data-missing` where neither names an existing folder.
    """
    root = explicit or (Path(os.environ[DATA_ENV]) if os.environ.get(DATA_ENV) else None)
    if root is None:
        raise XrayInterpError(
            Code.DATA_MISSING, "No data folder is set.", f"Set {DATA_ENV} to the folder that holds the data sets."
        )
    if not root.is_dir():
        hint = "Name another folder." if explicit else f"Correct {DATA_ENV}."
        raise XrayInterpError(Code.DATA_MISSING, f"The data folder {root} does not exist.", hint)
    return root


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` in one step at the end: the file is whole or, after an error, as it was.

    Its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is whole or as it was; see `whole_file`."""
    with whole_file(path) as partial:
        partial.write_bytes(data)
