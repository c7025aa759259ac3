"""Films reduced to a model's square, made once and kept on disk where decoding them costs much."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..imaging.geometry import cut, frame
from ..paths import cache_dir
from .film import Film

_VERSION = 1
_WORTH = 4
"""A film is kept where its file is so many times larger than its square: else reading it anew costs as little."""


def square(film: Film, side: int) -> npt.NDArray[np.uint8]:
    """The centre crop of a film, antialiased to (side, side), 0 to 255.

    Raises:
        XrayInterpError: as `Film.pixels`.
    """
    try:
        found = film.path.stat()
    except OSError:
        return _made(film, side)
    if found.st_size <= _WORTH * side * side:
        return _made(film, side)
    path = _place(film, side, found)
    kept = _read(path, side)
    if kept is None:
        kept = _made(film, side)
        _write(path, kept)
    return kept


def kept(name: str | None = None) -> tuple[Path, int, int]:
    """The folder of kept squares, of one data set or of all, how many there are and how many bytes they take."""
    folder = _folder(name)
    sizes = [path.stat().st_size for path in folder.rglob("*.npy")]
    return folder, len(sizes), sum(sizes)


def clear_cache(name: str | None = None) -> None:
    """Removes the kept squares of one data set or of all."""
    shutil.rmtree(_folder(name), ignore_errors=True)


def _made(film: Film, side: int) -> npt.NDArray[np.uint8]:
    import torch

    from ..models.prepare import as_square, resize

    pixels = film.pixels()
    small = resize(as_square(cut(pixels, frame(*pixels.shape))), side)[0, 0]
    return np.asarray((small * 255).round().clamp(0, 255).to(torch.uint8).numpy())


def _folder(name: str | None) -> Path:
    folder = cache_dir() / "squares"
    return folder if name is None else folder / hashlib.sha256(name.encode()).hexdigest()[:16]


def _place(film: Film, side: int, found: os.stat_result) -> Path:
    """Where a square is kept: a new source file, by time or size, is a new place."""
    key = [_VERSION, film.id, str(film.path.absolute()), side, found.st_mtime_ns, found.st_size]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return _folder(film.dataset) / digest[:2] / f"{digest}.npy"


def _read(path: Path, side: int) -> npt.NDArray[np.uint8] | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or cut off by a full disk: it is made again
        return None
    return found if found.shape == (side, side) and found.dtype == np.uint8 else None


def _write(path: Path, values: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(descriptor, "wb") as handle:
        np.save(handle, values)
    Path(part).replace(path)
