"""What `doctor` says of decoders."""

from __future__ import annotations

from pydicom.uid import UID, AllTransferSyntaxes

from xrayinterp.imaging.decoders import decoders, syntax_name


def test_every_syntax_a_film_may_come_in_is_available():
    found = {decoder.name: decoder for decoder in decoders()}
    for words in (
        "Explicit VR Little",
        "Deflated",
        "RLE",
        "Baseline",
        "Process 14",
        "JPEG-LS",
        "JPEG 2000",
        "High-Thr",
    ):
        assert any(words in name and decoder.available for name, decoder in found.items()), words
    assert len(found) == len(decoders())
    for decoder in decoders():
        assert UID(decoder.uid) in AllTransferSyntaxes
        assert decoder.install or decoder.plugins == ("pydicom",)


def test_an_unknown_syntax_is_not_repeated():
    assert syntax_name(UID("1.2.3.4.5")) == "an unknown transfer syntax"
