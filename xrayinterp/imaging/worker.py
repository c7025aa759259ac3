"""The decoding child: `python -m xrayinterp.imaging.worker CHANNEL LIMITS`, started by `pool.Worker`.

It reads one file at a time, holds no model, and limits its own memory and time, so that a hostile file can end only
this process. It ends when its channel closes, which is when the parent ends.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from ..errors import Code, XrayInterpError
from . import wire
from .decode import decode
from .limits import Limits


def main() -> None:
    """Answers requests on the socket whose descriptor is argument 1, under the limits (JSON) of argument 2."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    limits = Limits(**json.loads(sys.argv[2]))
    _silence()
    _limit_memory(limits.memory_bytes)
    wire.send(channel, {"ready": os.getpid()})
    while True:
        try:
            frame = wire.receive(channel)
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        body, arrays = _answer(frame, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            wire.send(channel, body, arrays)
        except OSError:
            return
        if arrays is not None:
            os.close(arrays)


def _answer(frame: wire.Frame, limits: Limits) -> tuple[dict[str, Any], int | None]:
    if frame.descriptor is None:
        return {"error": {"code": Code.INTERNAL, "message": "A request came without a file.", "hint": ""}}, None
    try:
        data = wire.load(frame.descriptor, limits.file_bytes + 1)
        return wire.pack(decode(data, limits=limits, **frame.body))
    except XrayInterpError as error:
        return wire.pack_error(error), None
    except MemoryError:
        return wire.pack_error(too_much_memory(limits)), None
    except RecursionError:
        return wire.pack_error(XrayInterpError(Code.UNSAFE_FILE, "The file is nested too deeply to be read.")), None
    except Exception as error:  # the text of an unforeseen error may quote the header, so only its kind and place pass
        return wire.pack_error(_unforeseen(error)), None


def too_much_memory(limits: Limits) -> XrayInterpError:
    """The refusal of a file that needed more memory than the child may take."""
    return XrayInterpError(
        Code.TOO_LARGE,
        f"Reading the file needs more than the limit of {limits.memory_bytes // 1_000_000} MB of memory.",
        "Export the radiograph at its native resolution, uncompressed.",
    )


def _unforeseen(error: Exception) -> XrayInterpError:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return XrayInterpError(
        Code.INTERNAL,
        f"The file could not be read: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}.",
        "Please report this with the kind of file, without patient data.",
    )


def _silence() -> None:
    """Codecs print, and warnings may quote the header: neither goes anywhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _limit_memory(extra: int) -> None:
    """Caps the address space at what is mapped now plus `extra` bytes, where the system can tell and cap it."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        mapped = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + extra, mapped + extra))


if __name__ == "__main__":
    main()
