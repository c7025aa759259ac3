"""Files made to hurt whoever reads them: bombs, lies and nests."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pydicom
from helpers.dx_factory import CR, dx, to_bytes
from pydicom.data import get_testdata_file
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from xrayinterp.errors import Code


def deflate_bomb(megabytes: int = 300) -> bytes:
    """A deflated DX file of some 300 kB whose pixel data inflates to 300 MB of zeros."""
    native = to_bytes(dx(PixelData=b"\0\0"))
    start = native.index(b"\x08\x00\x16\x00UI")
    head = native[start:-10] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", megabytes * 1_000_000)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(head) + b"".join(squeeze.compress(bytes(1_000_000)) for _ in range(megabytes))
    deflated = to_bytes(dx(), DeflatedExplicitVRLittleEndian)
    meta_length = struct.unpack("<I", deflated[140:144])[0]
    return deflated[: 144 + meta_length] + body + squeeze.flush()


def lying_rle(side: int) -> bytes:
    """A few bytes of RLE under a header that claims side x side pixels."""
    dataset = dx()
    data = to_bytes(dataset, RLELossless)
    for element in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
        at = data.index(element) + len(element)
        data = data[:at] + struct.pack("<H", side) + data[at + 2 :]
    return data


def lying_jpeg2000(side: int = 60_000) -> bytes:
    """A JPEG 2000 code stream that claims side x side pixels under a modest header."""
    data = to_bytes(dx(), JPEG2000Lossless)
    at = data.index(b"\xff\x4f\xff\x51") + 8
    return data[:at] + struct.pack("!II", side, side) + data[at + 8 :]


def lying_jpeg(marker: bytes, syntax: UID, side: int = 65_000) -> bytes:
    """A JPEG-LS or lossless JPEG code stream that claims side x side pixels under a modest header."""
    data = to_bytes(dx(), syntax)
    at = data.index(marker, data.index(b"\xff\xd8\xff")) + 5
    return data[:at] + struct.pack("!HH", side, side) + data[at + 4 :]


def claims_terapixels() -> bytes:
    """pydicom's JPEG 2000 file that claims 3.8 terapixels, as a CR film."""
    dataset = pydicom.dcmread(str(get_testdata_file("JPEG2000-embedded-sequence-delimiter.dcm", download=False)))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CR
    dataset.Modality = "CR"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def nested(depth: int, *, defined_length: bool) -> bytes:
    """A good film that also carries sequences nested `depth` deep, of defined or undefined length."""
    data = to_bytes(dx())
    item = b""
    for _ in range(depth):
        if defined_length:
            item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item
            item = b"\x08\x00\x15\x11SQ\0\0" + struct.pack("<I", len(item)) + item
        else:
            item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + item + b"\xfe\xff\x0d\xe0\0\0\0\0"
            item = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    at = data.index(b"\x18\x00")
    at = data.index(b"\x18\x00\x15\x00CS", at)
    return data[:at] + item + data[at:]


def many_elements(count: int) -> bytes:
    """A film behind `count` tiny private elements: little memory, much time."""
    data = to_bytes(dx())
    at = data.index(b"\x18\x00\x15\x00CS")
    items = (b"\x09\x00" + struct.pack("<H", 0x1000 + i % 0xE000) + b"SH\0\0" for i in range(count))
    return data[:at] + b"".join(items) + data[at:]


def lying_length() -> bytes:
    """A good film whose pixel data claims 4 GB."""
    data = to_bytes(dx())
    at = data.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    return data[:at] + b"\xfe\xff\xff\xff" + data[at + 4 :]


def png(width: int, height: int, rows: int, *more: bytes) -> bytes:
    """A grey 8-bit PNG that claims width x height and holds `rows` rows of zeros."""
    head = chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes((width + 1) * rows), 9))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + body + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))


def text_bomb() -> bytes:
    """A PNG with a comment that unpacks to 100 MB."""
    return png(64, 64, 64, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)))


def jpeg_bomb() -> bytes:
    """A JPEG header that claims 65500 x 65500 pixels."""
    frame = b"\xff\xc0" + struct.pack("!HBHHB3B", 11, 8, 65_500, 65_500, 1, 1, 0x11, 0)
    return b"\xff\xd8" + frame + b"\xff\xda" + struct.pack("!HB2B3B", 8, 1, 1, 0, 0, 63, 0) + b"\0" * 64 + b"\xff\xd9"


def truncated_header() -> bytes:
    """The preamble, the mark and half of the first elements."""
    return to_bytes(dx())[:360]


def bad_frames() -> bytes:
    """A film with NumberOfFrames '1A'."""
    dataset = dx(NumberOfFrames=1)
    return to_bytes(dataset).replace(b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x02\x001A")


def many_frames() -> bytes:
    """A film that claims two thousand million frames."""
    return to_bytes(dx(NumberOfFrames=2_000_000_000))


FILES: dict[str, tuple[Callable[[], bytes], frozenset[Code | None]]] = {
    "deflate bomb, 300 kB to 300 MB": (deflate_bomb, frozenset({Code.UNSAFE_FILE})),
    "RLE claiming 30000 x 30000": (lambda: lying_rle(30_000), frozenset({Code.TOO_LARGE})),
    "RLE claiming 8000 x 8000": (lambda: lying_rle(8_000), frozenset({Code.CORRUPT_PIXELS})),
    "native claiming 65535 x 65535": (
        lambda: to_bytes(dx(Rows=65_535, Columns=65_535)),
        frozenset({Code.TOO_LARGE}),
    ),
    "JPEG 2000 claiming 3.8 Tpx": (claims_terapixels, frozenset({Code.CORRUPT_PIXELS})),
    "JPEG 2000 claiming 60000 x 60000": (lying_jpeg2000, frozenset({Code.CORRUPT_PIXELS})),
    "JPEG-LS claiming 65000 x 65000": (
        lambda: lying_jpeg(b"\xff\xf7", JPEGLSLossless),
        frozenset({Code.CORRUPT_PIXELS}),
    ),
    "lossless JPEG claiming 65000 x 65000": (
        lambda: lying_jpeg(b"\xff\xc3", JPEGLosslessSV1),
        frozenset({Code.CORRUPT_PIXELS}),
    ),
    "sequences 65 deep": (lambda: nested(65, defined_length=False), frozenset({Code.UNSAFE_FILE})),
    "sequences 65 deep, defined length": (lambda: nested(65, defined_length=True), frozenset({Code.UNSAFE_FILE})),
    "sequences 250 deep": (lambda: nested(250, defined_length=False), frozenset({Code.UNSAFE_FILE})),
    "sequences 5000 deep": (lambda: nested(5000, defined_length=False), frozenset({Code.UNSAFE_FILE})),
    "sequences 5000 deep, defined length": (lambda: nested(5000, defined_length=True), frozenset({Code.UNSAFE_FILE})),
    "sequences 64 deep (allowed)": (lambda: nested(64, defined_length=True), frozenset({None})),
    "pixel data claiming 4 GB": (lying_length, frozenset({None, Code.CORRUPT_PIXELS})),
    "100,000 private elements": (lambda: many_elements(100_000), frozenset({None})),
    "2,000 million frames": (many_frames, frozenset({Code.TOO_LARGE})),
    "NumberOfFrames 1A": (bad_frames, frozenset({Code.CORRUPT_PIXELS})),
    "header cut off": (truncated_header, frozenset({Code.CORRUPT_PIXELS, Code.NO_PIXELS})),  # where it is cut varies
    "PNG claiming 50000 x 50000": (lambda: png(50_000, 50_000, 1), frozenset({Code.TOO_LARGE})),
    "PNG claiming 9000 x 9000": (lambda: png(9_000, 9_000, 1), frozenset({Code.TOO_LARGE})),
    "PNG of 8000 x 8000 zeros": (lambda: png(8_000, 8_000, 8_000), frozenset({Code.BLANK})),
    "PNG with 100 MB of text": (text_bomb, frozenset({Code.UNSAFE_FILE})),
    "JPEG claiming 65500 x 65500": (jpeg_bomb, frozenset({Code.TOO_LARGE})),
    "hello world": (lambda: b"hello world\n", frozenset({Code.NOT_AN_IMAGE})),
    "empty file": (lambda: b"", frozenset({Code.NOT_AN_IMAGE})),
    "DICM and nothing else": (lambda: bytes(128) + b"DICM", frozenset({Code.CORRUPT_PIXELS})),
}
"""Every hostile file by name, with the codes it may be refused with (None: it may also be read)."""
