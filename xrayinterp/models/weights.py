"""torchxrayvision's weights, fetched at first use and converted once to safetensors; imports of files at hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..download import Progress, download, override, sha256_of
from ..errors import Code, XrayInterpError
from .documents import Origin, Record, Remote
from .registry import ModelEntry, cached_record, describe, is_listed, is_name, model_names, record_of, weights_dir

WEIGHTS_URL_ENV = "XRAYINTERP_WEIGHTS_URL"
_LOCK_WAIT_S = 1800.0
_log = logging.getLogger(__name__)


def fetch(name: str, *, progress: Progress | None = None, base_url: str | None = None) -> Path:
    """The safetensors file of a model, fetched and converted if it is not on this machine yet.

    Args:
        name: of a model; those that are built in or imported need no fetching.
        progress: see `download.Progress`; an exception it raises stops the fetch, which is resumed next time.
        base_url: a folder on another server that holds the published files; else XRAYINTERP_WEIGHTS_URL, else theirs.

    A published file that a person has put at `weights_dir() / <file>` is taken instead of a download.

    Raises:
        XrayInterpError: `weights-offline`, `weights-hash`, `weights-unsafe`, `weights-corrupt` (the file is removed in
            these last three), `weights-missing` for a built-in model that is not in the package.
    """
    return ensure(describe(name), progress=progress, base_url=base_url)


def ensure(entry: ModelEntry, *, progress: Progress | None = None, base_url: str | None = None) -> Path:
    """`fetch` for a model already described."""
    if entry.remote is None:
        return _present(entry)
    with locked(entry.name):
        if _is_whole(entry.weights):
            return entry.weights
        file = weights_dir() / entry.remote.file
        expected = entry.remote.sha256 or _recorded(entry.weights)
        url = override(entry.remote.url, base_url, WEIGHTS_URL_ENV)
        if not file.is_file():
            _download(entry, url, file, expected, progress)
        try:
            return _convert(entry, entry.remote, file, url, expected)
        finally:
            file.unlink()


def import_weights(file: str | Path, name: str | None = None) -> Path:
    """Take weights from a file at hand; return the safetensors file kept for later use.

    Args:
        file: a torchxrayvision checkpoint as published, or a safetensors file with a record (see `registry.describe`).
        name: for a checkpoint, the model it belongs to (None tells by the file's name); for safetensors, what the model
            shall be called (None takes the file's stem).

    Raises:
        XrayInterpError: `not-found`, `bad-option`, and those of `fetch`; the file itself is never changed.
    """
    path = Path(file)
    if not path.is_file():
        raise XrayInterpError(Code.NOT_FOUND, f"The file {path} does not exist.")
    if path.suffix == ".safetensors":
        return _import_safetensors(path, name or path.stem)
    entry = describe(_model_of(path) if name is None else name)
    if entry.remote is None:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{entry.name!r} takes no checkpoint.",
            "Import a safetensors file under a name of its own.",
        )
    with locked(entry.name):
        return _convert(entry, entry.remote, path, None, entry.remote.sha256)


def _present(entry: ModelEntry) -> Path:
    if not entry.available:
        raise XrayInterpError(
            Code.WEIGHTS_MISSING,
            f"The weights of {entry.name!r} are not in this installation: {entry.weights} is not there.",
            "Install the package again, or train them with `make embedded`.",
        )
    return entry.weights


def _is_whole(weights: Path) -> bool:
    record = cached_record(weights)
    return record is not None and record.sha256 == sha256_of(weights)


def _recorded(weights: Path) -> str | None:
    """SHA-256 of the published file as it was when first fetched, where that was noted."""
    record = cached_record(weights)
    return record.origin.sha256 if record and record.origin else None


def _download(entry: ModelEntry, url: str, file: Path, expected: str | None, progress: Progress | None) -> None:
    try:
        download(url, file, sha256=expected, progress=progress)
    except XrayInterpError as error:
        if error.code is Code.WRONG_HASH:
            raise XrayInterpError(Code.WEIGHTS_HASH, error.message, error.hint) from error
        if error.code is not Code.OFFLINE:
            raise
        raise XrayInterpError(
            Code.WEIGHTS_OFFLINE,
            f"The weights of {entry.name!r} are not on this machine. {error.message}",
            f"On a machine that is online, fetch {url} and put it at {file}, or run `xrayinterp models import FILE "
            f"--name {entry.name}`. The built-in model `compact` needs no download.",
        ) from error


def _convert(entry: ModelEntry, remote: Remote, file: Path, url: str | None, expected: str | None) -> Path:
    """Verify and unpickle a checkpoint, check that it fits its network, and keep it as safetensors."""
    from .build import build
    from .safe_pickle import read_checkpoint
    from .storage import write_weights
    from .xrv import trained_state

    found = sha256_of(file)
    if expected is not None and found != expected:
        raise XrayInterpError(
            Code.WEIGHTS_HASH,
            f"{file.name} has the SHA-256 {found}, expected {expected} for {entry.name!r}.",
            "It is another file or a damaged one; fetch it again.",
        )
    state = trained_state(read_checkpoint(file), remote.slots)
    build(remote.architecture, remote.slots, {key: tensor.clone() for key, tensor in state.items()})
    origin = Origin(file=remote.file, url=url, sha256=found, published=remote.sha256 is not None)
    record = Record(**remote.structure.model_dump(), origin=origin)
    if not origin.published:
        _log.warning("%s: SHA-256 %s recorded; none is published for this file.", file.name, found)
    return write_weights(entry.weights.parent, entry.name, state, record)


def _model_of(path: Path) -> str:
    published = {entry.download: entry.name for entry in map(describe, model_names()) if entry.download}
    if path.name not in published:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{path.name} is not the name of a published file: it does not tell its model.",
            f"Say which it is (--name), one of: {', '.join(published.values())}.",
        )
    return published[path.name]


def _import_safetensors(path: Path, name: str) -> Path:
    from .build import build
    from .storage import place, read_weights

    if not is_name(name) or is_listed(name):
        why = "is the name of another model" if is_listed(name) else "cannot be the name of a model"
        raise XrayInterpError(
            Code.BAD_OPTION, f"{name!r} {why}.", "Choose another one (--name): letters, digits, dashes."
        )
    record = record_of(path)
    build(record.architecture, record.columns, read_weights(path, record.sha256))
    with locked(name):
        return place(weights_dir(), name, path.read_bytes(), record)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other threads and processes from the same model until the block ends."""
    try:
        with FileLock(weights_dir() / f"{name}.lock", timeout=_LOCK_WAIT_S):
            yield
    except Timeout as error:
        raise XrayInterpError(
            Code.WEIGHTS_MISSING,
            f"Another process has been fetching {name!r} for half an hour.",
            "See whether it is stuck, end it, and try again.",
        ) from error
