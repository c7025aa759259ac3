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
USUAL_WAY = "difference"
"""The only way whose maps find outlines better than the mean of normal films' maps: benchmarks/unusualness_map.md."""
_ALIKE = (
    "Much of this map is the same for every film: the mean of normal films' maps finds outlined findings better "
    "(AUROC of pixels {mean} against {own})."
)
CAUTIONS = {
    "gradient": _ALIKE.format(mean="0.79", own="0.75"),
    "smoothgrad": _ALIKE.format(mean="0.80", own="0.74"),
    "guided": "Shows structure: measured, its maps hardly change when what was learned is destroyed (rho 0.85). "
    + _ALIKE.format(mean="0.73", own="0.70"),
}
"""What must be said of ways by what was measured of their maps."""
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def percentile_line(found: Unusualness) -> str:
    """The one line: "62nd percentile of the No Finding reference. Not a sign of health."."""
    return f"{place(found.percentile)} {NO_SIGN}"


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
    return [["Unusualness", f"{percentile_line(one)} {interval_line(one.percentile)}; reference: {one.reference}."]]
