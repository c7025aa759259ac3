"""Synthetic CR/DX files whose right appearance is known: a ramp from black at image left to white at image right."""

from __future__ import annotations

import base64
import copy
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

CR = ComputedRadiographyImageStorage
DX = DigitalXRayImageStorageForPresentation
TOP = 4095
"""White of the ramp: 12 bits."""

RAMP_HTJ2K = base64.b64decode(
    "/0//UQApQAAAAABgAAAAQAAAAAAAAAAAAAAAYAAAAEAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQ"
    "kJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAUkAAf+TwAAtIP9//39v6m/q5+hz9AEIAPm2AMAAE4AmNvGCi3QA"
    "wAAWiAAAAMUUAQAAihQkhlIKdecAwAAW8AAAgIgIAACIiAAAgIgIAACIiNdJGkkaSRoMK5W8AMAAF6KAAAADAQACAQACAQACAQACAQACAQAC"
    "AQACZf4Kfo5L0Fp+jkvQWn6OS9Bafo5L0Fp+jkvQWn6OS9Bafo5L0FEJYhHxEe0CwAAvpQAAQFEAQKUCAJUKAFQqAFCpAEClAgCVCgBUKgBQ"
    "qQBApQIAlQoAVCoAUKkAQKUCAJUKAFTqnjw//wFkvXQUL1ZL10FC9WS9dBQvVkvXQUL1ZL10FC9WS9dBQvVkvXQUL1ZL10FC9WS9dBQvVkvX"
    "QUL1ZL10FC9WS9dBQvVkvXQUL1ZL10FC9WS9dBQvQQH8RIjw8RAG/9k="
)
"""`ramp(64, 96)` as an HTJ2K lossless code stream; no Python package among the tests' needs writes one."""

Pixels = npt.NDArray[Any]


def ramp(rows: int = 64, columns: int = 96) -> npt.NDArray[np.uint16]:
    """uint16 (rows, columns) from 0 at the left to 4095 at the right."""
    return np.tile(np.rint(np.linspace(0, TOP, columns)).astype(np.uint16), (rows, 1))


@dataclass(frozen=True)
class Encoding:
    """One of the many ways in which a header can say the same film.

    `voi`: "none", "one" or "two" windows, "zero" width, "empty" window, "table" (VOI LUT Sequence).
    """

    photometric: str = "MONOCHROME2"
    shape: str | None = None
    signed: bool = False
    slope: int = 1
    voi: str = "one"

    @property
    def low_is_white(self) -> bool:
        return self.shape == "INVERSE" if self.shape else self.photometric == "MONOCHROME1"


def dx(pixels: Pixels | None = None, encoding: Encoding | None = None, **attributes: Any) -> Dataset:
    """A DX (or, by attribute, any other) data set that shows `pixels` (0 black, 4095 white) as `encoding` says.

    Attributes are set last; None deletes one.
    """
    shown = ramp() if pixels is None else pixels
    encoding = encoding or Encoding()
    dataset = _bare(*shown.shape)
    _store(dataset, shown.astype(np.int64), encoding)
    _set_voi(dataset, encoding.voi)
    for keyword, value in attributes.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    return dataset


def to_bytes(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The data set as a file with preamble and meta information; compressed where `syntax` is."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", DX)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    dataset.file_meta = meta
    _encode(dataset, syntax)
    meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def table(first: int, data: Sequence[int], bits: int) -> Dataset:
    """An item of a Modality or VOI LUT Sequence; 8-bit entries are packed."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(data) & 0xFFFF, first, bits])
    entries = np.asarray(data, dtype=np.uint8 if bits == 8 else "<u2").tobytes()
    item.add_new("LUTData", "OW", entries + b"\0" * (len(entries) % 2))
    return item


def _bare(rows: int, columns: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = DX, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.BodyPartExamined = "DX", "CHEST"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ViewPosition, dataset.PatientOrientation, dataset.ImageLaterality = "PA", ["L", "F"], "U"
    dataset.ImagerPixelSpacing, dataset.BurnedInAnnotation = [0.2, 0.2], "NO"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    return dataset


def _store(dataset: Dataset, shown: npt.NDArray[np.int64], encoding: Encoding) -> None:
    modality = TOP - shown if encoding.low_is_white else shown
    intercept = (2048 if encoding.slope > 0 else 2047) if encoding.signed else (0 if encoding.slope > 0 else TOP)
    stored = (modality - intercept) // encoding.slope
    dataset.PhotometricInterpretation = encoding.photometric
    if encoding.shape:
        dataset.PresentationLUTShape = encoding.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = int(encoding.signed)
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = encoding.slope, intercept, "US"
    dataset.PixelData = stored.astype("<i2" if encoding.signed else "<u2").tobytes()


def _set_voi(dataset: Dataset, voi: str) -> None:
    if voi == "table":
        dataset.VOILUTSequence = [table(0, range(TOP + 1), 12)]
        dataset.VOILUTSequence[0].LUTExplanation = "NORMAL"
    elif voi in ("one", "two", "zero"):
        centres, widths = [2048.0, 1024.0], [4096.0, 2048.0]
        dataset.WindowCenter = centres if voi == "two" else centres[0]
        dataset.WindowWidth = widths if voi == "two" else widths[0] if voi == "one" else 0
        dataset.WindowCenterWidthExplanation = ["NORMAL", "HARDER"] if voi == "two" else "NORMAL"
    elif voi == "empty":
        dataset.WindowCenter = dataset.WindowWidth = ""
    elif voi != "none":
        raise ValueError(voi)


def _encode(dataset: Dataset, syntax: UID) -> None:
    """Puts the native little-endian pixel data into the form of `syntax`."""
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == HTJ2KLossless:
        _encapsulate(dataset, RAMP_HTJ2K)
    elif syntax in (JPEGLossless, JPEGLosslessSV1):
        _encapsulate(dataset, _by_gdcm(dataset, syntax))
    elif syntax == JPEGBaseline8Bit:
        _as_baseline(dataset)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    elif syntax.is_encapsulated:
        _encapsulate(dataset, b"\0" * 64)


def _encapsulate(dataset: Dataset, stream: bytes) -> None:
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"


def _as_baseline(dataset: Dataset) -> None:
    """The 12-bit film's upper 8 bits as a JPEG; windows and rescale no longer apply and go."""
    stored = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    buffer = io.BytesIO()
    Image.fromarray((stored >> 4).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    _encapsulate(dataset, buffer.getvalue())
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth"):
        dataset.pop(keyword, None)


def _by_gdcm(dataset: Dataset, syntax: UID) -> bytes:
    """The film's code stream as gdcm writes it."""
    with tempfile.TemporaryDirectory() as folder:
        native, compressed = Path(folder) / "native.dcm", Path(folder) / "compressed.dcm"
        native.write_bytes(to_bytes(copy.deepcopy(dataset)))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(native))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        if not reader.Read():
            raise RuntimeError("gdcm does not read the film")
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise RuntimeError(f"gdcm does not write {syntax.name}")
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(compressed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise RuntimeError(f"gdcm does not write {syntax.name}")
        return next(generate_frames(pydicom.dcmread(compressed).PixelData, number_of_frames=1))
