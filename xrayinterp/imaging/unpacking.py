"""Whether a DICOM file unpacks to something of reasonable size and depth, found out without unpacking it."""

from __future__ import annotations

import io
import zlib

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from ..errors import Code, XrayInterpError
from .limits import Limits


def check_inflated(deflated: bytes, limits: Limits) -> None:
    """Raises `unsafe-file` where a raw deflate stream unpacks to more than `limits.file_bytes`; keeps none of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    source = io.BytesIO(deflated)
    total = 0
    try:
        while not inflater.eof:
            block = inflater.unconsumed_tail or source.read(1 << 16)
            if not block:
                return
            total += len(inflater.decompress(block, 1 << 20))
            if total > limits.file_bytes:
                raise XrayInterpError(
                    Code.UNSAFE_FILE,
                    f"The file unpacks from {len(deflated) / 1e6:.1f} MB to more than the limit of "
                    f"{limits.file_bytes / 1e6:.0f} MB.",
                    "Export it again without the Deflated transfer syntax.",
                )
    except zlib.error:
        raise XrayInterpError(
            Code.CORRUPT_PIXELS, "The deflated part of this DICOM file is damaged.", "Export it again."
        ) from None


def check_depth(dataset: Dataset, limits: Limits) -> None:
    """Raises `unsafe-file` where DICOM sequences are nested deeper than `limits.sequence_depth`.

    Walks one level at a time without recursion; pydicom parses the items of a level only when they are asked for.
    """
    level = [dataset]
    for _ in range(limits.sequence_depth + 1):
        level = [item for parent in level for item in _items(parent)]
        if not level:
            return
    raise too_deep(limits)


def too_deep(limits: Limits) -> XrayInterpError:
    """The refusal of a file whose sequences are nested too deeply."""
    return XrayInterpError(
        Code.UNSAFE_FILE,
        f"The file nests DICOM sequences more than {limits.sequence_depth} deep.",
        "No radiograph needs this; ask where the file comes from.",
    )


def _items(dataset: Dataset) -> list[Dataset]:
    found: list[Dataset] = []
    for tag in list(dataset.keys()):
        if (dataset.get_item(tag).VR or _known_vr(tag)) not in ("SQ", "UN"):
            continue
        try:
            element = dataset[tag]
        except RecursionError:
            raise
        except Exception:  # noqa: S112 - pydicom raises many types; what it cannot parse, nothing later parses
            continue
        if element.VR == "SQ":
            found.extend(element.value or ())
    return found


def _known_vr(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
