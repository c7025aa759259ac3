"""What page, print and JSON say of the input gate and of how unusual a film is; never that it is ill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .words import plain

if TYPE_CHECKING:  # words are wanted before torch is there
    from ..anomaly.calibration import Percentile
    from ..anomaly.normality import Normality, Unusualness

NOT_A_CHEST = "This does not look like a frontal chest radiograph"
NO_SIGN = "Not a sign of health."
FLAGS = "It flags what is unlike the reference films: another machine, a pacemaker or a child as much as any finding."
REFERENCE = "No Finding reference"
METHODS = {
    "difference": "Difference",
    "gradient": "Gradient",
    "smoothgrad": "SmoothGrad",
    "guided": "Guided backprop",
}
"""Ways of localisation, by `anomaly.localisation.METHODS`, in the page's order."""
NO_FINDING = "A high percentile is no finding either."
HIGH = 90
"""The percentile from which on that is said."""
WORTH = (
    "Films with findings score higher than films without only a little more often than not: AUROC 0.61 (0.56 to 0.66) "
    "on the validation split, where 0.50 is chance."
)
"""Of the built-in detector."""
_ALIKE = (
    "Much of this map is the same for every film: the mean of normal films' maps finds outlined findings better "
    "(AUROC of pixels {mean} against {own})."
)
CAUTIONS = {
    "difference": "Points at outlined findings only weakly: AUROC of pixels 0.67; the mean of normal films' maps "
    "reaches 0.63, a blob in the middle 0.77.",
    "gradient": _ALIKE.format(mean="0.79", own="0.75"),
    "smoothgrad": _ALIKE.format(mean="0.80", own="0.74"),
    "guided": "Shows structure: measured, its maps hardly change when what was learned is destroyed (rho 0.85). "
    + _ALIKE.format(mean="0.73", own="0.70"),
}
"""What must be said of ways by what was measured of their maps."""
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def percentile_line(found: Unusualness) -> str:
    """The one line: "62nd percentile of the No Finding reference. Not a sign of health."."""
    return f"{place(found.percentile)} {no_sign(found.percentile)}"


def no_sign(percentile: Percentile) -> str:
    """What a percentile is not; of a high one, neither a finding."""
    return f"{NO_SIGN} {NO_FINDING}" if percentile.value >= HIGH else NO_SIGN


def map_name(way: str) -> str:
    """The map of unusualness by the way it was made: "Unusualness, difference"."""
    return f"Unusualness, {METHODS[way][:1].lower()}{METHODS[way][1:]}"


def place(percentile: Percentile) -> str:
    """Where the score lies among the reference films."""
    if percentile.value >= 99.95:
        return f"Above every film of the {REFERENCE}."
    if percentile.value <= 0.05:
        return f"Below every film of the {REFERENCE}."
    return f"{ordinal(min(max(round(percentile.value), 1), 99))} percentile of the {REFERENCE}."


def interval_line(percentile: Percentile) -> str:
    """How sure the percentile is, with the number of reference films behind it."""
    return f"95 % interval {plain(percentile.low, 0)} to {plain(percentile.high, 0)}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 62nd."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{_ENDINGS.get(number % 10, 'th')}"


def facts(found: Normality | None) -> list[list[str]]:
    """Rows for a table of facts; none where nothing was asked."""
    if found is None or found.unusualness is None:
        return []
    one = found.unusualness
    return [
        ["Unusualness", f"{percentile_line(one)} {interval_line(one.percentile)}; reference: {one.reference}. {FLAGS}"]
    ]
