"""How the reader and its decoding child talk: JSON frames over a Unix socket, bytes and arrays in anonymous files.

An anonymous file has no name, so nothing is left behind when either side dies; its descriptor travels with the frame.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import Code, Warned, XrayInterpError
from .radiograph import Radiograph, Source

_LENGTH = struct.Struct("!I")
_LONGEST_FRAME = 1 << 20


@dataclass(frozen=True)
class Frame:
    """One message: a JSON object and at most one descriptor of an anonymous file, owned by whoever holds the frame."""

    body: dict[str, Any]
    descriptor: int | None = None


def send(channel: socket.socket, body: dict[str, Any], descriptor: int | None = None) -> None:
    """Sends one frame; the descriptor, if any, is duplicated into the other process and stays open in this one."""
    payload = json.dumps(body).encode()
    descriptors = [] if descriptor is None else [descriptor]
    socket.send_fds(channel, [_LENGTH.pack(len(payload))], descriptors)
    channel.sendall(payload)


def receive(channel: socket.socket) -> Frame:
    """The next frame.

    Raises:
        EOFError: the other side is gone or does not follow the protocol.
        TimeoutError: the channel's timeout passed.
    """
    start, descriptors, _, _ = socket.recv_fds(channel, _LENGTH.size, 1)
    descriptor = descriptors[0] if descriptors else None
    try:
        start += _exactly(channel, _LENGTH.size - len(start))
        (length,) = _LENGTH.unpack(start)
        if length > _LONGEST_FRAME:
            raise EOFError(f"a frame of {length} bytes is not one of ours")
        return Frame(json.loads(_exactly(channel, length)), descriptor)
    except BaseException:
        if descriptor is not None:
            os.close(descriptor)
        raise


def store(parts: Iterable[bytes | memoryview]) -> int:
    """The descriptor of a new anonymous file that holds the parts one after the other; the caller closes it."""
    descriptor = _anonymous()
    with os.fdopen(os.dup(descriptor), "wb", buffering=0) as file:
        for part in parts:
            view = memoryview(part).cast("B")
            while view:
                view = view[file.write(view) or 0 :]
    return descriptor


def load(descriptor: int, longest: int) -> bytes:
    """The bytes of a file from its start, at most `longest`; closes the descriptor."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read(min(os.fstat(descriptor).st_size, longest))


def pack(radiograph: Radiograph) -> tuple[dict[str, Any], int]:
    """A radiograph as a message and the descriptor of its arrays."""
    body = {
        "shape": radiograph.shape,
        "view": radiograph.view,
        "view_from": radiograph.view_from,
        "spacing_mm": radiograph.spacing_mm,
        "warnings": [asdict(warned) for warned in radiograph.warnings],
        "sha256": radiograph.sha256,
        "source": asdict(radiograph.source),
        "recipe": radiograph.recipe,
    }
    arrays = (np.ascontiguousarray(array).data for array in (radiograph.pixels, radiograph.display))
    return body, store(arrays)


def unpack(body: dict[str, Any], descriptor: int) -> Radiograph:
    """The radiograph that `pack` took apart; its arrays are its own and writable. Closes the descriptor."""
    pixels: npt.NDArray[np.float32] = np.empty(body["shape"], dtype=np.float32)
    display: npt.NDArray[np.uint8] = np.empty(body["shape"], dtype=np.uint8)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        for array in (pixels, display):
            if file.readinto(array.data) != array.nbytes:
                raise EOFError("the arrays are shorter than announced")
    source = dict(body["source"])
    orientation, windows, spacing = source.pop("orientation"), source.pop("windows"), body["spacing_mm"]
    return Radiograph(
        display=display,
        pixels=pixels,
        view=body["view"],
        view_from=body["view_from"],
        spacing_mm=(spacing[0], spacing[1]) if spacing else None,
        warnings=tuple(Warned(Code(warned["code"]), warned["message"]) for warned in body["warnings"]),
        sha256=body["sha256"],
        source=Source(orientation=tuple(orientation) if orientation else None, windows=tuple(windows), **source),
        recipe=body["recipe"],
    )


def pack_error(error: XrayInterpError) -> dict[str, Any]:
    """An error as a message."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def unpack_error(body: dict[str, Any]) -> XrayInterpError:
    """The error that `pack_error` took apart."""
    found = body["error"]
    return XrayInterpError(Code(found["code"]), found["message"], found["hint"])


def _exactly(channel: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(count - len(parts))
        if not part:
            raise EOFError("the other side closed the channel")
        parts += part
    return bytes(parts)


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("xrayinterp")
    with tempfile.TemporaryFile() as file:  # systems without memfd: a file that never had a name for others
        return os.dup(file.fileno())
