"""DICOM to a Picture: parse under limits, validate, decode once, derive the curves."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from ..errors import Code, XrayInterpError
from . import grey, header
from .codestream import stated_size
from .curves import Curves, colour_curves, curves_of
from .decoders import plugin_for, syntax_name
from .kinds import RADIOGRAPHS, check_kind, class_name, modality_of, sop_class
from .limits import Limits, check_pixels, check_short_side
from .picture import Picture, colour_warning, to_grey
from .radiograph import Source, View
from .spacing import pixel_size
from .unpacking import check_depth, check_inflated, too_deep
from .view import laterality_of, orientation_of, orientation_warning, view_of, view_unknown

_PREAMBLE = 132
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422")


@dataclass(frozen=True)
class _Layout:
    """How the pixels are stored, as the header says and within what can be."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    syntax: UID


def read_dicom(data: bytes, *, view: View | None, window: int, limits: Limits) -> Picture:
    """A grey picture from a DICOM file (part 10) of a radiograph.

    Args:
        data: the file's bytes.
        view: as a reader confirmed it; overrides the header.
        window: which of the file's usable windows `shown` follows; `recipe` always follows the first.
        limits: caps on the file.

    Raises:
        XrayInterpError: any refusal of DICOM files; see `Code`.
    """
    dataset = _parse(data, limits)
    kind_warnings = check_kind(dataset)
    layout = _layout(dataset, limits)
    taken, taken_from = view_of(dataset, view)
    size, spacing_warnings = pixel_size(dataset)
    stored, coloured = _decode(dataset, layout)
    if layout.photometric in _MONOCHROME:
        curves = curves_of(dataset, stored, window, signed=layout.signed)
    else:
        curves = colour_curves(stored, window)
    found = (
        colour_warning() if coloured else None,
        view_unknown() if taken == "unknown" else None,
        orientation_warning(orientation_of(dataset)),
    )
    return Picture(
        stored=stored,
        recipe=curves.recipe,
        shown=curves.shown,
        view=taken,
        view_from=taken_from,
        size=size,
        source=_source(dataset, layout, curves, size.magnification),
        warnings=(*kind_warnings, *filter(None, found), *spacing_warnings, *curves.warnings),
    )


def _source(dataset: Dataset, layout: _Layout, curves: Curves, magnification: float | None) -> Source:
    """What may be told of the file; every text in it is one of a fixed list, none is copied from a free field."""
    return Source(
        kind="dicom",
        rows=layout.rows,
        columns=layout.columns,
        bits=layout.bits_stored,
        photometric=layout.photometric,
        modality=modality_of(dataset),
        sop_class=sop_class(dataset).name,
        transfer_syntax=syntax_name(layout.syntax),
        orientation=orientation_of(dataset),
        laterality=laterality_of(dataset),
        windows=curves.windows,
        window=curves.window,
        magnification=magnification,
    )


def _parse(data: bytes, limits: Limits) -> Dataset:
    """The data set, never forced: a file without the DICOM mark is refused before this."""
    try:
        body = io.BytesIO(data)
        body.seek(_PREAMBLE)
        meta = read_dataset(body, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
        if header.text(meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            check_inflated(data[body.tell() :], limits)
        dataset = pydicom.dcmread(io.BytesIO(data))
        check_depth(dataset, limits)
    except RecursionError:
        raise too_deep(limits) from None
    except (XrayInterpError, MemoryError):
        raise
    except InvalidDicomError:
        raise header.damaged("The file has the DICOM mark but no DICOM header.") from None
    except Exception:  # pydicom raises many types on damaged headers, with values of the header in their text
        raise header.damaged("The DICOM header is cut off or damaged.") from None
    return dataset


def _layout(dataset: Dataset, limits: Limits) -> _Layout:
    rows, columns = (header.integer(dataset, keyword, 1, 65535) for keyword in ("Rows", "Columns"))
    samples = header.integer(dataset, "SamplesPerPixel", 1, 4)
    allocated = header.integer(dataset, "BitsAllocated", 1, 64)
    frames = header.integer(dataset, "NumberOfFrames", 0, 2**31, default=1)
    check_pixels(rows, columns, samples * -(-allocated // 8), max(frames, 1), limits)
    if frames > 1:
        raise XrayInterpError(
            Code.MULTI_FRAME, f"The file holds {frames} frames; one film is one image.", "Export the frame to be read."
        )
    check_short_side(rows, columns, limits)
    if allocated not in (8, 16):
        raise header.damaged(f"{header.named('BitsAllocated')} is {allocated}; a radiograph has 8 or 16.")
    photometric = _photometric(dataset, samples)
    syntaxes = header.values(dataset.file_meta, "TransferSyntaxUID")
    if not syntaxes:
        raise header.damaged(f"The header lacks {header.named('TransferSyntaxUID')}.")
    return _Layout(
        rows,
        columns,
        samples,
        allocated,
        header.integer(dataset, "BitsStored", 1, allocated),
        bool(header.integer(dataset, "PixelRepresentation", 0, 1)),
        photometric,
        UID(str(syntaxes[0]).strip(" \0")),
    )


def _photometric(dataset: Dataset, samples: int) -> str:
    photometric = header.text(dataset, "PhotometricInterpretation")
    named = header.named("PhotometricInterpretation")
    if not photometric:
        raise header.damaged(f"The header lacks {named}.")
    if photometric not in (*_MONOCHROME, *_COLOUR, "PALETTE COLOR"):
        raise header.damaged(f"{named} is none that a radiograph has (MONOCHROME1, MONOCHROME2).")
    if samples != (3 if photometric in _COLOUR else 1):
        raise header.damaged(f"{named} {photometric} does not go with {samples} samples per pixel.")
    if photometric not in _MONOCHROME and sop_class(dataset) in RADIOGRAPHS:
        raise XrayInterpError(
            Code.COLOUR,
            f"This is {class_name(sop_class(dataset))} in colour ({photometric}); radiographs are grey.",
            "Export the original film, not a coloured copy.",
        )
    return photometric


def _decode(dataset: Dataset, layout: _Layout) -> tuple[grey.Stored, bool]:
    """Stored values (H, W), colour reduced to grey, and whether there was colour."""
    plugin = plugin_for(layout.syntax, layout.bits_allocated)
    if layout.syntax.is_encapsulated:
        _check_stream(dataset, layout)
    else:
        _check_length(dataset, layout)
    try:
        pixels, _ = get_decoder(layout.syntax).as_array(dataset, index=0, decoding_plugin=plugin)
        if layout.photometric == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
    except MemoryError:
        raise
    except Exception:  # each codec raises its own types
        raise _undecodable(layout) from None
    if pixels.shape[:2] != (layout.rows, layout.columns) or pixels.dtype.kind not in "iu" or pixels.itemsize > 2:
        raise _undecodable(layout)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return to_grey(pixels) if pixels.ndim == 3 else (pixels, False)


def _check_length(dataset: Dataset, layout: _Layout) -> None:
    bytes_per_pixel = layout.samples * layout.bits_allocated // 8
    if layout.photometric == "YBR_FULL_422":
        bytes_per_pixel = 2 * layout.bits_allocated // 8
    expected = layout.rows * layout.columns * bytes_per_pixel
    found = len(dataset.PixelData or b"")
    if found < expected:
        raise header.damaged(f"The pixel data is cut off: expected {expected} bytes, found {found}.")


def _check_stream(dataset: Dataset, layout: _Layout) -> None:
    """Refuses a code stream that claims another size than the header, which codecs would allocate for."""
    try:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception:  # pydicom raises ValueError, EOFError, struct.error and more on broken fragments
        raise header.damaged("The compressed pixel data is cut off or damaged.") from None
    stated = stated_size(stream)
    if stated is not None and stated != (layout.rows, layout.columns):
        raise header.damaged(
            f"The compressed pixel data claims {stated[1]} x {stated[0]} pixels, the header {layout.columns} x "
            f"{layout.rows}."
        )


def _undecodable(layout: _Layout) -> XrayInterpError:
    return header.damaged(
        f"The pixel data ({syntax_name(layout.syntax)}) does not decode to the {layout.columns} x {layout.rows} pixels "
        "that the header states."
    )
