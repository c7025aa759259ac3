"""What one file may cost: bytes, pixels, nesting, time and memory, all checked before they are spent."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Code, XrayInterpError

_MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Caps on one file and on the process that reads it.

    `file_bytes`: size of the file, and of a deflated file once inflated. `pixels`: rows times columns.
    `decoded_bytes`: rows x columns x samples x bytes x frames. `sequence_depth`: nested DICOM sequences.
    `short_side`: fewest pixels across. `seconds`: wall time. `memory_bytes`: address space beyond the idle process's.
    """

    file_bytes: int = 160 * _MB
    pixels: int = 64 * _MB
    decoded_bytes: int = 192 * _MB
    sequence_depth: int = 64
    short_side: int = 32
    seconds: float = 30.0
    memory_bytes: int = 1500 * _MB


LIMITS = Limits()


def check_file_size(size: int, limits: Limits) -> None:
    """Raises `too-large` where a file has more than `limits.file_bytes` bytes."""
    if size > limits.file_bytes:
        raise XrayInterpError(
            Code.TOO_LARGE,
            f"The file has {size / _MB:.0f} MB; the limit is {limits.file_bytes / _MB:.0f} MB.",
            "Export a single radiograph.",
        )


def check_pixels(rows: int, columns: int, bytes_per_pixel: int, frames: int, limits: Limits) -> None:
    """Raises `too-large` where the picture that a header claims is over `pixels` or `decoded_bytes`."""
    total = rows * columns * bytes_per_pixel * frames
    if rows * columns <= limits.pixels and total <= limits.decoded_bytes:
        return
    of_frames = f" x {frames} frames" if frames > 1 else ""
    raise XrayInterpError(
        Code.TOO_LARGE,
        f"The header claims {columns} x {rows} pixels{of_frames} ({total / _MB:.0f} MB); the limits are "
        f"{limits.pixels / _MB:.0f} million pixels and {limits.decoded_bytes / _MB:.0f} MB.",
        "Export the radiograph at its native resolution, one image a file.",
    )


def check_short_side(rows: int, columns: int, limits: Limits) -> None:
    """Raises `too-small` where the shorter side has fewer than `limits.short_side` pixels."""
    if min(rows, columns) < limits.short_side:
        raise XrayInterpError(
            Code.TOO_SMALL,
            f"The picture has {columns} x {rows} pixels; the shorter side needs at least {limits.short_side}.",
            "Export the radiograph itself, not a thumbnail or a strip.",
        )
