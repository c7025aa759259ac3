"""Films to measure on: what each shows, which are normal, whose they are, and how patients fall into halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import Code, XrayInterpError

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cohort:
    """N films of a measurement.

    `shows` (N, F): the film shows the finding of that output; `normal` (N,): it is labelled to show none; `patients`
    (N,) names; `half` (N,): the patient's half, 0 or 1.

    Raises:
        XrayInterpError: `bad-option` where lengths differ or a patient is in both halves.
    """

    shows: Bools
    normal: Bools
    patients: tuple[str, ...]
    half: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {len(self.shows), len(self.normal), len(self.patients), len(self.half)}
        if len(lengths) > 1 or 0 in lengths:
            raise XrayInterpError(Code.BAD_OPTION, f"A cohort of {sorted(lengths)} rows is none.", "One row a film.")
        known: dict[str, int] = {}
        for patient, half in zip(self.patients, self.half.tolist(), strict=True):
            first = known.setdefault(patient, half)
            if half not in (0, 1) or first != half:
                raise XrayInterpError(
                    Code.BAD_OPTION, f"Patient {patient!r} is in halves {first} and {half}.", "Put each in 0 or in 1."
                )

    def films_of(self, half: int) -> npt.NDArray[np.intp]:
        """Rows of the films of one half."""
        return np.flatnonzero(self.half == half)


def halves(patients: Sequence[str], seed: int = 0) -> dict[str, int]:
    """Patients drawn into two halves of equal size: name -> 0 or 1; the order in which they are named plays no part."""
    names = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[i]: int(place >= len(names) // 2) for place, i in enumerate(order)}
