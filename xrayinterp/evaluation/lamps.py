"""The trust strip's lamps: what each asks of a map, how it is measured, and where it turns.

The cut-offs are round figures, conventions and no measured thresholds. Two were moved once after a look at readings of
`compact`: red for the weights (from 0.75 to 0.7, four validation films) and green for faithful (from 0.8 to 0.75, three
test films, to where a chance result is rare). The figures behind a lamp travel with it.

A map that marks nothing (all values equal) has no reading; where the map it is compared with marks nothing, the two
have no likeness: 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..errors import Code, XrayInterpError
from ..models.card import Interval

State = Literal["good", "doubtful", "bad", "not-measurable", "by-construction"]

UNDER_THE_STRIP = "These lamps judge the map, not the finding. A map can pass all and the finding be wrong."
"""Stands under every trust strip."""


@dataclass(frozen=True)
class Lamp:
    """One question to a map.

    `direction` says which values are better. At `good` or better the lamp is green, at `bad` or worse red, between
    them doubtful.
    """

    name: str
    title: str
    question: str
    measure: str
    direction: Literal["higher", "lower"]
    good: float
    bad: float

    def state(self, value: float) -> State:
        """What the lamp shows at a value."""
        sign = 1 if self.direction == "higher" else -1
        if sign * value >= sign * self.good:
            return "good"
        return "bad" if sign * value <= sign * self.bad else "doubtful"


@dataclass(frozen=True)
class Reading:
    """What one lamp shows for one map on one film.

    `value` and `reference` (the same measure of something known, on this film) are None where nothing is measurable;
    `words` say it in a sentence; `details` hold the figures behind it (JSON types only), the seed among them.
    """

    lamp: str
    state: State
    value: float | None
    reference: float | None
    words: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MapTrust:
    """The trust strip of one method's map: its readings, in the order of `LAMPS`."""

    method: str
    readings: tuple[Reading, ...]


Outcome = Literal["pointing", "planted", "correct"]
"""What a lamp may tell: whether a map's peak lies in the outline, on a planted cause, or whether the model is right."""


@dataclass(frozen=True)
class LampWorth:
    """How well a lamp tells good maps from bad ones: AUROC over maps of flagged findings, `hits` of `maps` being good.

    `method` None: the maps of all methods together.
    """

    lamp: str
    outcome: Outcome
    method: str | None
    auroc: Interval | None
    maps: int
    hits: int


LAMPS: Mapping[str, Lamp] = MappingProxyType(
    {
        lamp.name: lamp
        for lamp in (
            Lamp(
                "follows-weights",
                "Follows the weights",
                "Does the map change when what the model learned is destroyed?",
                "Weights are permuted within their tensors, block after block from the head to the input (10 blocks, "
                "cumulative). Value: Spearman's rho between the magnitudes of the film's map and of each randomised "
                "model's map, averaged over the blocks; SSIM and signed rho are among the details. Reference: rho of "
                "the map with itself moved and turned, what two unrelated maps of this shape share. An edge detector "
                "has 1 at every depth.",
                "lower",
                good=0.5,
                bad=0.7,
            ),
            Lamp(
                "follows-finding",
                "Follows the finding",
                "Is this the map of this finding, or the same picture for any finding?",
                "Value: Spearman's rho between this finding's map and the same method's maps of other findings on this "
                "film, averaged. Reference: rho between this finding's maps on this film and on others, synthetic ones "
                "unless films are given. A map that is more "
                "alike for another finding than for another film shows the film, not the finding.",
                "lower",
                good=0.5,
                bad=0.8,
            ),
            Lamp(
                "stable",
                "Stable",
                "Does the map stay where it is when the film hardly changes?",
                "The film is shifted by 5 px of the model's input, to and fro, and faint noise is added; it is never "
                "mirrored, which would move the heart. Only changes count that leave the score where it was. Value: "
                "Spearman's rho between the map and the one of the changed film, shifted back, averaged. Reference: "
                "rho of the map with itself moved and turned.",
                "higher",
                good=0.8,
                bad=0.5,
            ),
            Lamp(
                "faithful",
                "Faithful",
                "Does the score depend on the places that the map marks?",
                "The map's highest 1 to 50 % of the film (8 fractions) is filled twice: with the blurred film and with "
                "the film's mean. Value: share of 20 maps of the same shape (this finding's maps on those other films, "
                "this map mirrored, turned and moved) whose marked places matter less: how often the score drops "
                "further for this map, at the same fraction and fill. Reference: 0.5, chance; 20 independent tosses "
                "reach 0.75 in one case of fifty. Noise is no fair rival: filling scattered pixels can raise it.",
                "higher",
                good=0.75,
                bad=0.5,
            ),
            Lamp(
                "covered-by-concepts",
                "Covered by concepts",
                "How much of the score comes from units whose meaning is known, where they fire?",
                "Value: sum of |contribution| of labelled units where they are above their thresholds, as a share of "
                "the sum of |contribution| of all units. Reference: the share of labelled units with the places where "
                "they do not fire counted in. The same for all maps of a finding.",
                "higher",
                good=0.2,
                bad=0.05,
            ),
        )
    }
)
"""Every lamp by name, in the order of the strip."""


def lamps_named(names: Sequence[str] | None) -> tuple[Lamp, ...]:
    """The lamps of those names in the strip's order; None gives all.

    Raises:
        XrayInterpError: `bad-option` for a name that no lamp bears.
    """
    for name in names or ():
        if name not in LAMPS:
            raise XrayInterpError(Code.BAD_OPTION, f"There is no lamp {name!r}.", f"There are: {', '.join(LAMPS)}.")
    return tuple(lamp for name, lamp in LAMPS.items() if names is None or name in names)
