"""Which DICOM objects are chest radiographs: SOP class, modality, body part and intent."""

from __future__ import annotations

from pydicom import uid
from pydicom.dataset import Dataset

from ..errors import Code, Warned, XrayInterpError
from . import header

RADIOGRAPHS = frozenset(
    {
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
    }
)
CAPTURES = frozenset(
    {
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
_MODALITIES = {True: ("", "CR", "DX", "RG"), False: ("", "CR", "DX", "RG", "OT", "SC")}
_MODALITY_NAMES = {
    "BMD": "bone densitometry",
    "CT": "CT",
    "ES": "endoscopy",
    "IO": "intra-oral",
    "MG": "mammography",
    "MR": "MR",
    "NM": "nuclear medicine",
    "OP": "ophthalmic",
    "PT": "PET",
    "PX": "panoramic dental",
    "RF": "fluoroscopy",
    "SM": "microscopy",
    "US": "ultrasound",
    "XA": "X-ray angiography",
    "XC": "photographic",
}
_CHEST_PARTS = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS"})
_OTHER_PARTS = """
    ABDOMEN ANKLE ARM BREAST CLAVICLE CSPINE ELBOW EXTREMITY FEMUR FINGER FOOT FOREARM HAND HEAD HEEL HIP HUMERUS JAW
    KNEE LEG LSPINE NECK PELVIS RIB SCAPULA SHOULDER SKULL SPINE SSPINE STERNUM THUMB TOE TSPINE WRIST
"""
"""Defined terms that may be repeated in a message; any other value might be free text."""
_SUPPORTED = "only CR/DX chest radiographs are supported."
_HINT = "Choose the frontal chest radiograph of the study."


def sop_class(dataset: Dataset) -> uid.UID:
    """The SOP Class UID of the data set, else of the file's meta information.

    Raises:
        XrayInterpError: `corrupt-pixels` where neither has one.
    """
    for place, keyword in ((dataset, "SOPClassUID"), (dataset.file_meta, "MediaStorageSOPClassUID")):
        found = header.values(place, keyword)
        if found:
            return uid.UID(str(found[0]).strip(" \0"))
    raise header.damaged(f"The header lacks {header.named('SOPClassUID')}.")


def check_kind(dataset: Dataset) -> tuple[Warned, ...]:
    """Reservations about a data set that is a radiograph.

    Raises:
        XrayInterpError: `no-pixels`, `not-a-radiograph`.
    """
    found = sop_class(dataset)
    name = class_name(found)
    if found in RADIOGRAPHS and "Rows" not in dataset:
        raise header.damaged(f"This is {name} whose header lacks {header.named('Rows')}.")
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise XrayInterpError(Code.NO_PIXELS, f"This is {name} without pixel data; there is no picture in it.", _HINT)
    if found not in RADIOGRAPHS | CAPTURES:
        raise XrayInterpError(Code.NOT_A_RADIOGRAPH, f"This is {name}; {_SUPPORTED}", _HINT)
    modality = header.text(dataset, "Modality")
    if modality not in _MODALITIES[found in RADIOGRAPHS]:
        kind = _MODALITY_NAMES.get(modality)
        said = f"{_article(kind)} {kind} image" if kind else "an image of another modality"
        raise XrayInterpError(Code.NOT_A_RADIOGRAPH, f"This is {said}; {_SUPPORTED}", _HINT)
    if "PixelData" not in dataset:
        raise XrayInterpError(Code.NOT_A_RADIOGRAPH, f"This is {name} of floating-point numbers; {_SUPPORTED}", _HINT)
    return _reservations(dataset, found)


def class_name(found: uid.UID) -> str:
    """A SOP class as people say it, with its article: "a CT image", "an RT Plan"."""
    if found.name == found or found.type != "SOP Class":
        return "a DICOM object of an unknown class"
    name = found.name.removesuffix(" (Retired)")
    for part in (" - For Presentation", " - For Processing", " Storage"):
        name = name.removesuffix(part)
    name = name.removesuffix(" Image") + " image" if name.endswith(" Image") else name
    return f"{_article(name)} {name}"


def modality_of(dataset: Dataset) -> str | None:
    """Modality where it is one of the accepted words, else None."""
    return header.text(dataset, "Modality") or None


def _reservations(dataset: Dataset, found: uid.UID) -> tuple[Warned, ...]:
    warned: list[Warned] = []
    if found in CAPTURES:
        warned.append(
            Warned(Code.SECONDARY_CAPTURE, "Secondary capture: the file says nothing of how it was acquired.")
        )
    if (
        found == uid.DigitalXRayImageStorageForProcessing
        or header.text(dataset, "PresentationIntentType") == "FOR PROCESSING"
    ):
        warned.append(
            Warned(
                Code.FOR_PROCESSING, "Marked FOR PROCESSING: it is not the picture that readers see; scores may be off."
            )
        )
    if header.text(dataset, "BurnedInAnnotation") == "YES":
        warned.append(Warned(Code.BURNT_IN, "The picture has annotations burnt in; they may name the patient."))
    part = header.text(dataset, "BodyPartExamined")
    if part and not any(word in _CHEST_PARTS for word in part.split()):
        said = part if part in _OTHER_PARTS.split() else "another body part"
        warned.append(Warned(Code.BODY_PART, f"The header says {said}, not chest."))
    return tuple(warned)


def _article(name: str) -> str:
    first = name.split()[0]
    spelt = first.isupper() and len(first) <= 3
    return "an" if first[0].upper() in ("AEFHILMNORSX" if spelt else "AEIOU") else "a"
