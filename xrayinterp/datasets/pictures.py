"""Pictures of other things than chests: normal and anomalous ones of public data sets, by manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image

from ..errors import Code, XrayInterpError
from ..paths import data_root
from .manifest import manifest_file, manifest_names
from .regions import BoolMask, MaskFile, union

Colours = npt.NDArray[np.uint8]
Layout = Literal["folders", "table", "mvtec", "torchvision"]

_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class PictureSet:
    """A manifest of `data_manifests/pictures`: where pictures come from, under what terms, how they lie.

    `get` says where they are had, `files` maps each file or folder to what it holds. `normal` names the normal classes;
    empty: each in turn. `classes` are all that are read; empty: whatever is there. `colour` keeps colours. `patient` is
    a pattern whose first group in a file's name is the patient. `parts`: the data set is several, a folder each.
    `table` (layout "table") names file, id and label column, the class of 0 and of 1, and where pictures lie. `reader`
    (layout "torchvision") names the class of torchvision.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    layout: Layout
    get: str
    files: Mapping[str, str]
    normal: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    size: int = 128
    colour: bool = False
    parts: bool = False
    patient: str = ""
    reader: str = ""
    table: Mapping[str, Any] | None = None

    def lost(self, place: Path, what: str = "") -> XrayInterpError:
        """The error that says what is to be put where; nothing is ever fetched."""
        wanted = "; ".join(f"{file}: {holds}" for file, holds in self.files.items())
        return XrayInterpError(
            Code.DATA_MISSING,
            f"{self.title} is not in {place}{what and f': {what}'}.",
            f"Get it from {self.get}, and put there {wanted}. Nothing is downloaded by itself.",
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture: its class, whether that is normal (None: each class in turn), its split ("" where there is none).

    `masks` are files of what is anomalous on it; there may be several.
    """

    id: str
    dataset: str
    label: str
    normal: bool | None
    split: str
    patient: str
    source: Path | Colours
    masks: tuple[Path, ...] = ()

    def pixels(self) -> Colours:
        """The picture, uint8 (H, W, 3).

        Raises:
            XrayInterpError: `data-missing` where its file is gone, `corrupt-pixels` where it is no 8-bit picture.
        """
        if not isinstance(self.source, Path):
            return self.source
        try:
            with Image.open(self.source) as image:
                if image.mode.startswith(("I", "F")):  # reduced to 8 bits, most values would be cut off
                    raise XrayInterpError(
                        Code.CORRUPT_PIXELS, f"{self.source} has more than 8 bits a pixel.", "Store it as an 8-bit PNG."
                    )
                return np.asarray(image.convert("RGB"))
        except FileNotFoundError:
            raise XrayInterpError(Code.DATA_MISSING, f"{self.source} is gone.", "Fetch the data set again.") from None
        except _BROKEN as error:
            raise XrayInterpError(Code.CORRUPT_PIXELS, f"{self.source} cannot be read: {error}.") from error

    def mask(self) -> BoolMask:
        """All masks together, bool (H, W) on the picture's grid; False everywhere where there is none.

        Raises:
            XrayInterpError: as `pixels`, and `bad-data` where a mask has another size than the picture.
        """
        height, width = self.pixels().shape[:2]
        return union([MaskFile(path) for path in self.masks], (height, width), (height, width))


def picture_sets() -> tuple[str, ...]:
    """Names of all manifests of pictures, in alphabetical order."""
    return manifest_names("pictures")


def load_picture_set(name: str) -> PictureSet:
    """The manifest `name` of `data_manifests/pictures`, or the file `name` where that ends in .yaml.

    Raises:
        XrayInterpError: `bad-option` where there is none of this name, `bad-manifest` for a file that is none.
    """
    path = manifest_file("pictures", name)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        made = PictureSet(**{**raw, **{key: tuple(raw.get(key, ())) for key in ("normal", "classes")}})
    except (TypeError, AttributeError, KeyError, ValueError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a manifest of pictures: {error}.") from error
    if made.layout not in _layouts():
        raise XrayInterpError(
            Code.BAD_MANIFEST, f"{path}: there is no layout {made.layout!r}.", f"Known: {', '.join(_layouts())}."
        )
    return made


def load_pictures(name: str | PictureSet, *, root: Path | None = None, part: str = "") -> list[Picture]:
    """Pictures of a data set, in a fixed order; of files only the names are held.

    Args:
        name: a manifest's name, a manifest file, or a manifest.
        root: data root; None takes XRAYINTERP_DATA. The data set lies in it or up to two folders below.
        part: of a data set of several, which.

    Raises:
        XrayInterpError: `data-missing`, saying what to put where, `bad-data` where files do not fit each other.
    """
    manifest = load_picture_set(name) if isinstance(name, str) else name
    return _layouts()[manifest.layout](manifest, data_root(root), part)


def picture_parts(name: str | PictureSet, *, root: Path | None = None) -> tuple[str, ...]:
    """Parts of a data set: of MVTec the objects that lie there; of one where each class is normal in turn, the classes.

    Empty where it is one whole.
    """
    from .picture_layouts import mvtec_parts

    manifest = load_picture_set(name) if isinstance(name, str) else name
    return mvtec_parts(manifest, data_root(root)) if manifest.parts else () if manifest.normal else manifest.classes


def _layouts() -> Mapping[str, Callable[[PictureSet, Path, str], list[Picture]]]:
    from . import picture_layouts as made

    return {
        "folders": made.folders,
        "table": made.table,
        "mvtec": made.mvtec,
        "torchvision": made.torchvision,
    }
