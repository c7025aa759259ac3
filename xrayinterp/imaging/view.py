"""Which way a film was taken and how it lies: view, orientation and laterality from the header or the reader."""

from __future__ import annotations

import re
from typing import get_args

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept

from ..errors import Code, Warned, XrayInterpError
from . import header
from .radiograph import View, ViewFrom

_FRONTAL_WORDS = frozenset({"PA", "AP"})
_LATERAL_WORDS = frozenset({"LATERAL", "LAT", "LL", "RL", "LLD", "RLD", "DECUBITUS"})
_OBLIQUE_WORDS = frozenset({"OBLIQUE", "OBL", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO"})
_CODED: tuple[tuple[Concept, str], ...] = (
    (codes.cid4010.PosteroAnterior, "PA"),
    (Concept("R-10214", "SRT", "postero-anterior"), "PA"),  # the code of older files, unknown to pydicom's mapping
    (codes.cid4010.AnteroPosterior, "AP"),
    (codes.cid4010.LeftLateral, "LL"),
    (codes.cid4010.RightLateral, "RL"),
    (codes.cid4010.LateralProjection, "LATERAL"),
    (codes.cid4010.Sagittal, "LATERAL"),
)
_DIRECTION = re.compile(r"[AHFPLR]{1,3}")
_ASK = "Give the view as PA or AP if the film is frontal."


def check_view(view: str | None) -> View | None:
    """A reader's view as PA, AP or None ("unknown" says nothing).

    Raises:
        XrayInterpError: `bad-option` for any other word.
    """
    if view is None or view == "unknown":
        return None
    if view not in get_args(View):
        raise XrayInterpError(Code.BAD_OPTION, f"The view {view!r} is not known.", "Use PA or AP.")
    return "PA" if view == "PA" else "AP"


def view_of(dataset: Dataset, reader: View | None) -> tuple[View, ViewFrom]:
    """The view: the reader's word before the header's.

    Raises:
        XrayInterpError: `view-not-supported` where the header names a lateral, decubitus or oblique view and the
            reader gave none.
    """
    if reader is not None:
        return reader, "reader"
    words = _header_words(dataset)
    for kind, refused in (("a lateral", _LATERAL_WORDS), ("an oblique", _OBLIQUE_WORDS)):
        if found := sorted(words & refused):
            raise XrayInterpError(
                Code.VIEW_NOT_SUPPORTED,
                f"The header says {found[0]}, {kind} view; only frontal views (PA, AP) are supported.",
                _ASK,
            )
    if "PA" in words:
        return "PA", "header"
    if "AP" in words:
        return "AP", "header"
    return "unknown", "missing"


def view_unknown() -> Warned:
    """The warning on a film whose view neither the header nor the reader gave."""
    return Warned(Code.VIEW_UNKNOWN, f"The view is not known; the film was taken to be frontal. {_ASK}")


def orientation_of(dataset: Dataset) -> tuple[str, str] | None:
    """Patient Orientation as (row direction, column direction), such as ("L", "F"), or None."""
    found = [str(value).strip().upper() for value in header.values(dataset, "PatientOrientation")]
    if len(found) != 2 or not all(_DIRECTION.fullmatch(direction) for direction in found):
        return None
    return found[0], found[1]


def orientation_warning(orientation: tuple[str, str] | None) -> Warned | None:
    """A warning where the header says that the film is mirrored, turned or seen from the side."""
    if orientation is None or (orientation[0][0], orientation[1][0]) == ("L", "F"):
        return None
    said = "\\".join(orientation)
    if orientation[0][0] in "AP":
        text = f"Patient Orientation {said} describes a lateral film, against the stated view."
    elif (orientation[0][0], orientation[1][0]) == ("R", "F"):
        text = f"Patient Orientation {said} says that the film is mirrored: image left would be the patient's left."
    else:
        text = f"Patient Orientation {said} says that the film does not stand upright."
    return Warned(Code.ORIENTATION, f"{text} It is shown as stored.")


def laterality_of(dataset: Dataset) -> str | None:
    """Image Laterality (else Laterality): R, L, U (unpaired), B (both) or None."""
    for keyword in ("ImageLaterality", "Laterality"):
        if (value := header.text(dataset, keyword)) in ("R", "L", "U", "B"):
            return value
    return None


def _header_words(dataset: Dataset) -> frozenset[str]:
    """The words known here that the header has for the view: View Position, else View Code, else the orientation."""
    said = frozenset(re.split(r"[^A-Z]+", header.text(dataset, "ViewPosition")))
    coded = frozenset(_coded(item) for item in header.items(dataset, "ViewCodeSequence"))
    for words in (said, coded):
        if known := words & (_FRONTAL_WORDS | _LATERAL_WORDS | _OBLIQUE_WORDS):
            return known
    orientation = orientation_of(dataset)
    return frozenset({"LATERAL"} if orientation is not None and orientation[0][0] in "AP" else ())


def _coded(item: Dataset) -> str:
    value, scheme = header.text(item, "CodeValue"), header.text(item, "CodingSchemeDesignator")
    if not value or not scheme:
        return ""
    found = Concept(value, scheme, "view")
    return next((word for concept, word in _CODED if found == concept), "")
