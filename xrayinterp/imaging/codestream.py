"""What a compressed code stream itself says of its size, read before any codec allocates for it."""

from __future__ import annotations

import struct

_SIZ = b"\xff\x4f\xff\x51"
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Second bytes of the markers that start a JPEG or JPEG-LS frame."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Second bytes of the markers without a length."""


def stated_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K code stream; None where it does not say.

    Sources: ITU-T T.81 B.2.2 (frame header), ISO 14495-1 C.2.2, ITU-T T.800 A.5.1 (SIZ).
    """
    if stream.startswith(b"\xff\xd8"):
        return _jpeg(stream)
    start = stream.find(_SIZ, 0, 1024)  # a JP2 file wraps the code stream in boxes
    if start < 0 or len(stream) < start + 24:
        return None
    right, bottom, left, top = struct.unpack_from("!4I", stream, start + 8)
    return bottom - top, right - left


def _jpeg(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            rows, columns = struct.unpack_from("!2H", stream, at + 5)
            return (rows, columns) if rows else None  # 0 rows: said later, by a DNL marker
        at += 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None
