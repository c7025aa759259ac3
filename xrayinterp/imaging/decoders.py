"""Which DICOM transfer syntaxes can be decoded here, and what to install where one cannot."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ..errors import Code, XrayInterpError

_NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_PIP = {
    RLELossless: "pip install pydicom",
    JPEGBaseline8Bit: "pip install pillow",
    JPEGExtended12Bit: 'pip install "xrayinterp[gpl-decoders]"',
    JPEGLossless: "pip install python-gdcm",
    JPEGLosslessSV1: "pip install python-gdcm",
    JPEGLSLossless: "pip install pyjpegls",
    JPEGLSNearLossless: "pip install pyjpegls",
    JPEG2000Lossless: "pip install pylibjpeg pylibjpeg-openjpeg",
    JPEG2000: "pip install pylibjpeg pylibjpeg-openjpeg",
    HTJ2KLossless: "pip install pylibjpeg pylibjpeg-openjpeg",
    HTJ2KLosslessRPCL: "pip install pylibjpeg pylibjpeg-openjpeg",
    HTJ2K: "pip install pylibjpeg pylibjpeg-openjpeg",
}
_OPENJPEG = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})


@dataclass(frozen=True)
class Decoder:
    """One transfer syntax: its name and UID, the plugins that decode it here, and how to get one."""

    name: str
    uid: str
    plugins: tuple[str, ...]
    install: str

    @property
    def available(self) -> bool:
        """True if films of this syntax can be read here."""
        return bool(self.plugins)


def decoders() -> tuple[Decoder, ...]:
    """Every transfer syntax that a radiograph may come in, uncompressed first."""
    return tuple(Decoder(syntax_name(uid), str(uid), _plugins(uid), _PIP.get(uid, "")) for uid in (*_NATIVE, *_PIP))


def syntax_name(uid: UID) -> str:
    """The transfer syntax's name, shortened to what tells it apart; never the UID of an unknown one."""
    if uid.name == uid:
        return "an unknown transfer syntax"
    return uid.name.removesuffix(" Image Compression").replace(" Image Compression (", " (").split(", First-Order")[0]


def plugin_for(uid: UID, bits_allocated: int) -> str:
    """The pydicom plugin to decode with; "" leaves the order to pydicom.

    Raises:
        XrayInterpError: `decoder-missing` where none here decodes this syntax at this depth.
    """
    plugins = _plugins(uid)
    if uid == JPEGExtended12Bit and bits_allocated > 8:
        plugins = tuple(name for name in plugins if name == "pylibjpeg")  # gdcm and pillow fail beyond 8 bits
    if not plugins:
        hint = f"Run: {_PIP[uid]}" if uid in _PIP else "Export the film uncompressed (Explicit VR Little Endian)."
        raise XrayInterpError(
            Code.DECODER_MISSING, f"The pixels are stored as {syntax_name(uid)}, which cannot be decoded here.", hint
        )
    return "pylibjpeg" if uid in _OPENJPEG and "pylibjpeg" in plugins else ""


def _plugins(uid: UID) -> tuple[str, ...]:
    if uid in _NATIVE:
        return ("pydicom",)
    try:
        return tuple(sorted(get_decoder(uid).available_plugins))
    except NotImplementedError:
        return ()
