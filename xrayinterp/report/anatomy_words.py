"""What is said of anatomy: where a map lies, how much of it in the lungs, how wide the heart is, with its caveat."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..anatomy import Anatomy, MapPlace
from ..imaging.radiograph import Radiograph
from ..models.segmenter import card
from .words import RESEARCH_ONLY, percent

if TYPE_CHECKING:
    from ..explanation import Explanation

LIMIT = 0.5
"""Cardiothoracic ratio above which a heart is usually called enlarged, on PA films only."""

CAVEATS = {
    "PA": f"On PA films more than {LIMIT:.2f} is usually called enlarged.",
    "AP": f"AP view: the heart is magnified, the usual limit of {LIMIT:.2f} does not apply.",
    "unknown": f"View not known: on an AP film the heart is magnified, and the limit of {LIMIT:.2f} does not apply.",
}


def place_line(place: MapPlace) -> str:
    """Where a map is strongest: "Strongest support: image-right lower zone; opposition: over the heart ..."."""
    if place.supports is None and place.opposes is None:
        return "The map is zero everywhere."
    if place.supports is None:
        return f"Nothing supports; strongest opposition: {place.opposes}."
    against = f"; opposition: {place.opposes}" if place.opposes is not None else ""
    return f"Strongest{' support' if place.signed else ''}: {place.supports}{against}."


def brief_line(place: MapPlace) -> str:
    """Where a map is strongest, without what opposes where something supports, and its share in the lungs."""
    shorter = replace(place, opposes=None) if place.supports is not None else place
    if place.shares is None:
        return place_line(shorter)
    even = f"{percent(place.shares.area)} if it were even"
    return f"{place_line(shorter)} {percent(place.shares.lungs)} of the map lies in the lungs ({even})."


def shares_line(place: MapPlace) -> str:
    """How much of a map lies in the lungs, at the heart and elsewhere, beside what an even map would give."""
    shares = place.shares
    if shares is None:
        return ""
    covered = f"which cover {percent(shares.area)} of what the model saw"
    text = f"{percent(shares.lungs)} of the map lies in the lungs, {covered}"
    at_heart = f"{percent(shares.heart)} over heart and mediastinum"
    both = f" ({percent(shares.both)} in both)" if shares.both >= 0.005 else ""
    return f"{text}; {at_heart}{both}; {percent(shares.elsewhere)} elsewhere."


def map_line(place: MapPlace) -> str:
    """Both of the above."""
    return " ".join(part for part in (place_line(place), shares_line(place)) if part)


def heart_line(anatomy: Anatomy, radiograph: Radiograph) -> str:
    """The cardiothoracic ratio with the caveat of its view, or why there is none."""
    ratio = anatomy.cardiothoracic
    if ratio is None:
        return f"Cardiothoracic ratio not measurable: {anatomy.unmeasured}."
    return f"Cardiothoracic ratio {ratio.ratio:.2f}. {CAVEATS[radiograph.view]}"


def lines(explanation: Explanation) -> list[str]:
    """Everything that is said of an explanation's anatomy but its maps; empty where nothing was segmented."""
    anatomy = explanation.anatomy
    if anatomy is None:
        return []
    if anatomy.doubt is not None:
        return [f"Lungs and heart were not found reliably ({anatomy.doubt}): places are told by thirds of the film."]
    terms = card()
    by = f"Segmenter: {RESEARCH_ONLY[:1].lower()}{RESEARCH_ONLY[1:]}." if terms.research_only else ""
    return [heart_line(anatomy, explanation.radiograph), *([by] if by else [])]
