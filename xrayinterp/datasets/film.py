"""A film of a data set: what its row says, and its pixels and masks on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import Code, XrayInterpError
from .regions import BoolMask, Box, Grid, Region, union

FloatImage = npt.NDArray[np.float32]

_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises on pictures that are damaged or claim to be too large."""

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic"})


@dataclass(frozen=True)
class Film:
    """One film of a data set.

    `labels` holds 0 or 1 for each finding of the manifest; findings labelled uncertain are in `uncertain` and have the
    value that the reader's policy gives them, or none; those that nobody mentioned are in `unmentioned` and have 0.
    `normal` is None where the data set does not say; `scores` holds six zone scores per rater; `native_width` is the
    width in pixels before storage, 0 where the table does not say; `annotated` names who drew masks on this film; masks
    are known only inside `valid_box` (left, top, width, height), if there is one. `mask_bits` lists the mask classes.
    `regions` and `boxes` are in pixels of a grid `frame` (height, width); None is the file's own.
    """

    id: str
    dataset: str
    path: Path
    patient: str
    split: str
    view: str
    sex: str
    age: float | None
    native_width: int
    labels: Mapping[str, int]
    normal: bool | None
    mask_path: Path | None
    mask_bits: Mapping[str, int]
    scores: Mapping[str, tuple[float, ...]]
    licence: str
    annotated: frozenset[str] = frozenset()
    valid_box: tuple[int, int, int, int] | None = None
    uncertain: frozenset[str] = frozenset()
    unmentioned: frozenset[str] = frozenset()
    regions: Mapping[str, tuple[Region, ...]] = field(default_factory=dict)
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)
    frame: Grid | None = None

    def pixels(self) -> FloatImage:
        """The film as float32 (H, W) in [0, 1]: 8-bit values over 255; DICOM as `imaging.reader.read` shows it.

        Raises:
            XrayInterpError: `data-missing` where its file is gone, `corrupt-pixels` where it is no 8-bit picture, or
                what the DICOM reader refused it for.
        """
        if self.is_dicom:
            return _radiograph(self.path)
        try:
            with Image.open(self.path) as image:
                if image.mode.startswith(("I", "F")):  # reduced to 8 bits, most values would be cut off
                    raise XrayInterpError(
                        Code.CORRUPT_PIXELS, f"{self.path} has more than 8 bits a pixel.", "Store it as an 8-bit PNG."
                    )
                return np.asarray(image.convert("L"), dtype=np.float32) / 255.0
        except FileNotFoundError:
            raise self._lost() from None
        except _BROKEN as error:
            raise XrayInterpError(Code.CORRUPT_PIXELS, f"{self.path} cannot be read: {error}.") from error

    @property
    def is_dicom(self) -> bool:
        """Whether its file is DICOM, by its name."""
        return self.path.suffix.lower() in DICOM_SUFFIXES

    def grids(self) -> tuple[Grid, Grid]:
        """(height, width) of the stored file and of `pixels`, which differ for large DICOM films.

        Raises:
            XrayInterpError: as `pixels`.
        """
        try:
            found = self.path.stat()
        except OSError:
            raise self._lost() from None
        return _grids(self.path, found.st_mtime_ns, found.st_size)

    def mask(self, name: str) -> BoolMask:
        """The mask of class `name`, bool (H, W) on the grid of `pixels`; all False where the class is absent."""
        return np.asarray(self.masks((name,))[0])

    def masks(self, names: Sequence[str]) -> BoolMask:
        """The masks of several classes, bool (C, H, W) on the grid of `pixels`, from one reading of the file.

        Where a film has boxes and no outlines, the boxes are its masks.

        Raises:
            XrayInterpError: `data-missing` where the film has no masks, its mask file is gone, or its data set has no
                such class; `corrupt-pixels` where a mask is no picture; `bad-data` where one has another size.
        """
        unknown = [name for name in names if name not in self.mask_bits]
        if self.mask_path is None and not self.regions and not self.boxes and not self.annotated:
            raise XrayInterpError(Code.DATA_MISSING, f"Film {self.id} of {self.dataset} has no masks.")
        if self.mask_path is not None and not self.mask_path.is_file():
            raise XrayInterpError(
                Code.DATA_MISSING, f"Film {self.id} of {self.dataset} has lost its mask file {self.mask_path}."
            )
        if unknown:
            raise XrayInterpError(
                Code.DATA_MISSING,
                f"Data set {self.dataset} has no mask class {unknown[0]!r}.",
                f"It has: {', '.join(self.mask_bits)}.",
            )
        if self.mask_path is None:
            return self._drawn(self.regions or self.boxes, names)
        try:
            with Image.open(self.mask_path) as image:
                bits = np.asarray(image).astype(np.uint16)
        except _BROKEN as error:
            raise XrayInterpError(Code.CORRUPT_PIXELS, f"{self.mask_path} cannot be read: {error}.") from error
        wanted = np.array([1 << self.mask_bits[name] for name in names], dtype=np.uint16)
        return np.asarray(bits & wanted[:, None, None], dtype=bool)

    def box_masks(self, names: Sequence[str]) -> BoolMask:
        """The boxes of several classes as masks, bool (C, H, W) on the grid of `pixels`; False where there is none."""
        return self._drawn(self.boxes, names)

    def _drawn(self, regions: Mapping[str, Sequence[Region]], names: Sequence[str]) -> BoolMask:
        stored, shown = self.grids()
        drawn_on = self.frame or stored
        return np.stack([union(regions.get(name, ()), drawn_on, shown) for name in names])

    def _lost(self) -> XrayInterpError:
        return XrayInterpError(Code.DATA_MISSING, f"Film {self.id} of {self.dataset} has lost its file {self.path}.")


def _radiograph(path: Path) -> FloatImage:
    from ..imaging.reader import read

    return read(path).pixels


@lru_cache(maxsize=4096)
def _grids(path: Path, mtime: int, size: int) -> tuple[Grid, Grid]:
    if path.suffix.lower() in DICOM_SUFFIXES:
        from ..imaging.reader import read

        radiograph = read(path)
        return (radiograph.source.rows, radiograph.source.columns), radiograph.shape
    try:
        with Image.open(path) as image:
            return (image.height, image.width), (image.height, image.width)
    except _BROKEN as error:
        raise XrayInterpError(Code.CORRUPT_PIXELS, f"{path} cannot be read: {error}.") from error
