"""The grey-scale transformations of a DICOM header: modality, value of interest (VOI), polarity, padding.

Look-up and window arithmetic is highdicom's; tables are parsed here since highdicom takes neither 65536 entries nor
the 10 to 14 bits an entry that DICOM PS3.3 C.11.2.1.1 allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom.pixels import apply_lut, apply_voi_window
from pydicom.dataset import Dataset

from ..errors import Code, Warned
from . import header

Values = npt.NDArray[np.float64]

_MOST = 16
"""Tables and windows looked at in a file; real ones have up to about five."""
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_WINDOW_WORDS = """
    abdomen algo auto body bone bright chest contrast dark default detail edge enhanced full gamma hard harder heart
    high linear low lung lungs lut max mediastinum medium min narrow neutral normal optimised optimized original preset
    processed range sharp sigmoid smooth soft softer spine standard thorax tissue user voi wide window
"""
"""What the file's name of a window may consist of to be repeated: free text might name a person."""


@dataclass(frozen=True)
class Table:
    """A look-up table: input `first` and below give `data[0]`, inputs past the end the last entry."""

    first: int
    data: npt.NDArray[np.uint16]

    def apply(self, values: Values) -> Values:
        """Table values at the given inputs, rounded to whole numbers first."""
        rounded = np.rint(np.clip(values, -(2**40), 2**40)).astype(np.int64)
        return np.asarray(apply_lut(rounded, self.data, self.first), dtype=np.float64)


@dataclass(frozen=True)
class Voi:
    """One way to show the film, a VOI table or a window, from modality values to [0, 1]."""

    name: str
    table: Table | None = None
    centre: float = 0.0
    width: float = 0.0
    function: str = "LINEAR"

    def apply(self, values: Values) -> Values:
        """Greys in [0, 1] of modality values; a table's smallest entry is 0 and its largest 1."""
        if self.table is not None:
            low, high = float(self.table.data.min()), float(self.table.data.max())
            return (self.table.apply(values) - low) / (high - low)
        with np.errstate(over="ignore"):
            shown = apply_voi_window(values, self.centre, self.width, self.function)
        return np.asarray(shown, dtype=np.float64)


def modality_values(dataset: Dataset, stored: npt.NDArray[np.int64], *, signed: bool) -> Values:
    """Modality values of stored values: Modality LUT Sequence if present, else rescale slope and intercept.

    Raises:
        XrayInterpError: `corrupt-pixels` where the table cannot be used or the slope is 0.
    """
    if found := header.items(dataset, "ModalityLUTSequence"):
        table = read_table(found[0], little_endian=_little_endian(dataset), signed=signed)
        if table is None:
            raise header.damaged("The Modality LUT Sequence (0028,3000) does not hold a usable table.")
        return table.apply(stored.astype(np.float64))
    slope, intercept = header.number(dataset, "RescaleSlope"), header.number(dataset, "RescaleIntercept")
    if slope == 0:
        raise header.damaged(f"{header.named('RescaleSlope')} is 0; every pixel would be the same.")
    return stored.astype(np.float64) * (1.0 if slope is None else slope) + (intercept or 0.0)


def modality_is_table(dataset: Dataset) -> bool:
    """True if modality values come from a table, which need not rise or fall throughout."""
    return bool(header.items(dataset, "ModalityLUTSequence"))


def read_vois(dataset: Dataset, *, signed: bool) -> tuple[tuple[Voi, ...], int]:
    """The usable VOI tables, then windows, in the file's order; and how many entries are not usable.

    A window needs a finite centre and a width over 0 (over 1 for the function LINEAR, DICOM PS3.3 C.11.2.1.2).
    """
    tables = _tables(dataset, signed=signed)
    windows = _windows(dataset)
    usable = tuple(voi for voi in tables + windows if voi is not None)
    return usable, len(tables) + len(windows) - len(usable)


def inverted(dataset: Dataset) -> tuple[bool, Warned | None]:
    """True if low values are white: Presentation LUT Shape where present, else the photometric interpretation.

    The warning says where the two contradict each other.
    """
    first_is_white = header.text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    shape = header.text(dataset, "PresentationLUTShape")
    if shape not in ("IDENTITY", "INVERSE"):
        return first_is_white, None
    if first_is_white == (shape == "INVERSE"):
        return first_is_white, None
    photometric = "MONOCHROME1" if first_is_white else "MONOCHROME2"
    return shape == "INVERSE", Warned(
        Code.POLARITY,
        f"The header contradicts itself: {photometric} with Presentation LUT Shape {shape}. The latter was followed; "
        "check that bone is white.",
    )


def padding(dataset: Dataset, stored: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which stored values are Pixel Padding (a value, or the range to Pixel Padding Range Limit)."""
    value = header.number(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = header.number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    wrap = stored.size if low < stored.min() else -stored.size if high > stored.max() else 0
    return (stored >= low + wrap) & (stored <= high + wrap)


def read_table(item: Dataset, *, little_endian: bool, signed: bool) -> Table | None:
    """The table of a LUT sequence item, or None where descriptor and data do not fit together."""
    descriptor = header.numbers(item, "LUTDescriptor")
    if len(descriptor) != 3 or None in descriptor:
        return None
    count, first, bits = (int(value or 0) for value in descriptor)
    count = (count & 0xFFFF) or 1 << 16
    data = _entries(header.values(item, "LUTData"), count, little_endian=little_endian)
    if data is None or not 8 <= bits <= 16:
        return None
    return Table(first - (1 << 16) if signed and first >= 1 << 15 else first, data)


def _entries(found: list[object], count: int, *, little_endian: bool) -> npt.NDArray[np.uint16] | None:
    if len(found) == 1 and isinstance(found[0], bytes):
        raw = found[0]
    elif all(isinstance(value, int) and 0 <= value < 1 << 16 for value in found):
        raw = np.array(found, dtype="<u2" if little_endian else ">u2").tobytes()
    else:
        return None
    if len(raw) == 2 * count:
        return np.frombuffer(raw, dtype="<u2" if little_endian else ">u2").astype(np.uint16)
    if len(raw) in (count, count + 1):
        return np.frombuffer(raw, dtype=np.uint8)[:count].astype(np.uint16)
    return None


def _tables(dataset: Dataset, *, signed: bool) -> list[Voi | None]:
    found: list[Voi | None] = []
    for index, item in enumerate(header.items(dataset, "VOILUTSequence")[:_MOST], 1):
        table = read_table(item, little_endian=_little_endian(dataset), signed=signed)
        usable = table is not None and table.data.min() < table.data.max()
        found.append(Voi(_name(header.text(item, "LUTExplanation"), "LUT", index), table) if usable else None)
    return found


def _windows(dataset: Dataset) -> list[Voi | None]:
    if "WindowCenter" not in dataset and "WindowWidth" not in dataset:
        return []
    centres, widths = header.numbers(dataset, "WindowCenter"), header.numbers(dataset, "WindowWidth")
    names = [str(name) for name in header.values(dataset, "WindowCenterWidthExplanation")]
    function = header.text(dataset, "VOILUTFunction")
    function = function if function in _FUNCTIONS else "LINEAR"
    narrowest = 1.0 if function == "LINEAR" else 0.0
    found: list[Voi | None] = []
    for index in range(min(_MOST, max(len(centres), len(widths), 1))):
        centre = centres[index] if index < len(centres) else None
        width = widths[index] if index < len(widths) else None
        if centre is None or width is None or width <= narrowest:
            found.append(None)
            continue
        name = _name(names[index] if index < len(names) else "", "window", index + 1)
        found.append(Voi(name, None, centre, width, function))
    return found


def _name(explanation: str, kind: str, index: int) -> str:
    """The file's name of a window if made of display words and at most two digits, else its place in the file."""
    name = explanation.strip(" \0")
    words = re.findall(r"[a-z]+", name.lower())
    # names in another script, dates and numbers of a patient are no letters a to z
    harmless = len(name) <= 40 and name.isascii() and sum(map(str.isdigit, name)) <= 2
    if words and harmless and set(words) <= set(_WINDOW_WORDS.split()):
        return name
    return f"{kind} {index}"


def _little_endian(dataset: Dataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID.is_little_endian)
