"""`read`: one file to one Radiograph, decoded in a child process under limits of memory and time."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ..errors import Code, XrayInterpError
from . import pool, wire
from .limits import LIMITS, check_file_size
from .radiograph import Radiograph, View


def read(
    source: str | Path | bytes, *, view: View | None = None, window: int = 0, name: str | None = None
) -> Radiograph:
    """A frontal chest film from a DICOM, PNG or JPEG file.

    Args:
        source: a path, or the file's bytes.
        view: "PA" or "AP" as a reader confirmed it; overrides the header.
        window: index of the file's display window that `display` follows; `pixels` never changes with it.
        name: what to call the file in messages; a path's own name where none is given.

    Returns:
        The film. Its warnings say what is uncertain; nothing in it identifies the patient.

    Raises:
        XrayInterpError: the file is not there, or why it was refused.
    """
    path = None if isinstance(source, bytes) else Path(source)
    request: dict[str, Any] = {"name": name or (path.name if path else None), "view": view, "window": window}
    descriptor = _store(source) if isinstance(source, bytes) else _open(Path(source))
    try:
        return pool.shared().read(descriptor, request)
    finally:
        os.close(descriptor)


def warm() -> None:
    """Starts the decoding child now, so that the first film does not wait for it; returns at once."""
    pool.shared().warm()


def _store(data: bytes) -> int:
    check_file_size(len(data), LIMITS)
    return wire.store([data])


def _open(path: Path) -> int:
    """The descriptor of a regular file that is not too large; a pipe or device is never waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise XrayInterpError(Code.NOT_FOUND, f"{path.name} does not exist.", "Check the path.") from None
    except (OSError, ValueError):  # ValueError: a NUL in the path
        raise XrayInterpError(
            Code.NOT_FOUND, f"{path.name} cannot be opened.", "Check that you may read the file."
        ) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a file"
            raise XrayInterpError(Code.NOT_FOUND, f"{path.name or path} is {kind}.", "Name a DICOM, PNG or JPEG file.")
        check_file_size(found.st_size, LIMITS)
    except XrayInterpError:
        os.close(descriptor)
        raise
    return descriptor
