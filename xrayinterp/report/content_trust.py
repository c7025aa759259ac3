"""What a printed report says of how far its maps can be trusted: one row a lamp, and the line that is always there."""

from __future__ import annotations

from typing import Any

from ..anomaly.shelf import UNUSUALNESS
from ..evaluation.lamps import LAMPS, UNDER_THE_STRIP, MapTrust, Reading
from ..evaluation.standing import standing
from ..explanation import Explanation
from . import normality_words, trust_words, words


def trust(explanation: Explanation) -> dict[str, Any] | None:
    """The strips of the explanation's maps, and what the lamps ask; None for a report without maps."""
    if not explanation.maps:
        return None
    measured = {strip.method: strip for strip in explanation.trust}
    return {
        "strips": [
            _strip(measured[one.method]) if one.method in measured else _unmeasured(one.method)
            for one in explanation.maps
        ]
        + [_strip(strip) for strip in explanation.trust if strip.method == UNUSUALNESS],
        "under": UNDER_THE_STRIP,
        "asked": [
            [lamp.title, f"{lamp.question} {trust_words.cut_offs(lamp)}"]
            for lamp in LAMPS.values()
            if any(reading.lamp == lamp.name for strip in explanation.trust for reading in strip.readings)
        ],
    }


def cautions(explanation: Explanation) -> list[str]:
    """What must be said of maps whose method was measured to ignore the finding or the weights."""
    fails = standing(explanation.model, explanation.model_sha256).fails
    methods = [saliency.method for saliency in explanation.maps if saliency.method in fails]
    return [f"{words.method(method)}. {words.structure_only(fails[method])}" for method in methods]


def _unmeasured(method: str) -> dict[str, Any]:
    return {"method": words.method(method), "reason": "Not measured for this map on this film.", "rows": []}


def _strip(strip: MapTrust) -> dict[str, Any]:
    reason = trust_words.common_reason(strip.readings)
    return {
        "method": _name(strip),
        "reason": reason,
        "rows": [] if reason is not None else [_row(reading) for reading in strip.readings],
    }


def _name(strip: MapTrust) -> str:
    if strip.method != UNUSUALNESS:
        return words.method(strip.method)
    return normality_words.map_name(strip.readings[0].details["way"])


def _row(reading: Reading) -> dict[str, Any]:
    lamp = LAMPS[reading.lamp]
    bar = None
    if reading.value is not None:
        good = [lamp.good, 1.0] if lamp.direction == "higher" else [0.0, lamp.good]
        reference = None if reading.reference is None else trust_words.share(reading.reference)
        bar = {"value": trust_words.share(reading.value), "good": good, "reference": reference}
    return {
        "title": lamp.title,
        "state": reading.state,
        "said": trust_words.state_line(reading),
        "reference": trust_words.reference_line(reading),
        "words": reading.words,
        "bar": bar,
    }
