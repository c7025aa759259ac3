"""The one exception of xrayinterp, the codes it may carry, and the warnings that travel with a result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Machine-readable reason of an error or a warning; the same text in the app, the CLI and batch tables."""

    # refused inputs
    NOT_FOUND = "not-found"
    NOT_AN_IMAGE = "not-an-image"
    NO_PIXELS = "no-pixels"
    NOT_A_RADIOGRAPH = "not-a-radiograph"
    VIEW_NOT_SUPPORTED = "view-not-supported"
    DECODER_MISSING = "decoder-missing"
    CORRUPT_PIXELS = "corrupt-pixels"
    TOO_LARGE = "too-large"
    TOO_SMALL = "too-small"
    UNSAFE_FILE = "unsafe-file"
    MULTI_FRAME = "multi-frame"
    BLANK = "blank"
    COLOUR = "colour"  # refused for CR/DX, a warning for secondary captures and rasters
    # warnings only
    VIEW_UNKNOWN = "view-unknown"
    AP_VIEW = "ap-view"
    BAD_WINDOW = "bad-window"
    FOR_PROCESSING = "for-processing"
    BURNT_IN = "burnt-in-annotation"
    SECONDARY_CAPTURE = "secondary-capture"
    NO_SPACING = "no-spacing"
    LOW_RESOLUTION = "low-resolution"
    BODY_PART = "body-part"
    ORIENTATION = "orientation"
    POLARITY = "polarity"
    LOOKS_UNLIKE_CHEST = "looks-unlike-chest"
    MODEL_DETAIL = "model-detail"
    # models and their weights
    UNKNOWN_MODEL = "unknown-model"
    WEIGHTS_MISSING = "weights-missing"
    WEIGHTS_OFFLINE = "weights-offline"
    WEIGHTS_HASH = "weights-hash"
    WEIGHTS_UNSAFE = "weights-unsafe"
    WEIGHTS_CORRUPT = "weights-corrupt"
    # wrong use
    BAD_OPTION = "bad-option"
    UNKNOWN_FINDING = "unknown-finding"
    UNKNOWN_METHOD = "unknown-method"
    UNKNOWN_LAYER = "unknown-layer"
    UNSUPPORTED_OPERATOR = "unsupported-operator"
    UNKNOWN_PROBES = "unknown-probes"
    # nothing to be found
    NO_GRADIENT = "no-gradient"
    NO_PATHWAY = "no-pathway"
    # data
    DATA_MISSING = "data-missing"
    BAD_MANIFEST = "bad-manifest"
    BAD_DATA = "bad-data"
    ATLAS_MISMATCH = "atlas-mismatch"
    # fetching
    OFFLINE = "offline"
    WRONG_HASH = "wrong-hash"
    INTERNAL = "internal"


class XrayInterpError(Exception):
    """Any failure a user can act on.

    Args:
        code: what happened, for machines.
        message: the thing, the value and what is wrong with it, for people.
        hint: what to do about it; may be empty.
    """

    def __init__(self, code: Code, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


@dataclass(frozen=True)
class Warned:
    """A reservation about an input that was read all the same; it stays with every result made of it."""

    code: Code
    message: str
