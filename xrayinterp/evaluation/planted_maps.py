"""Maps of pasted films against their pastes, film by film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..attribution import Forward, native_map
from ..concepts.probes import ProbeFilm, ProbeSet
from ..datasets.films import BoolMask, FloatImage
from ..training.measure import auroc
from .journal import Journal, Row
from .localisation import Mask, localise, pointing
from .perturbation import at_size
from .planting import Cases, PlantedNet, logits
from .similarity import as_read

NEAR = 15 / 224
"""Tolerance of `pointing`, in sides of the film: half a cell of a 7 by 7 map, so that a coarse map's peak in the right
cell is a hit; at 224 pixels the 15 of Zhang et al. 2018, arXiv 1608.00507."""
MEASURES = ("pointing", "pointing_close", "energy", "iou", "auroc")
"""Of a map against the paste: its peak within NEAR, its peak within `localisation.TOLERANCE`, the share of its positive
sum inside, the IoU at the paste's area, and the area under the ROC curve over the film's pixels."""
Tick = Callable[[], None]


@dataclass(frozen=True)
class Measured:
    """One map of a pasted film against its paste: `values` by measure.

    `net` is the planting's name, `area` the paste's share of the film.
    """

    shortcut: str
    net: str
    method: str
    film: str
    patient: str
    area: float
    values: Mapping[str, float]


def measured(
    net: PlantedNet,
    cases: Cases,
    kept: npt.NDArray[np.intp],
    methods: Sequence[str],
    folder: Path,
    tick: Tick = lambda: None,
) -> Iterator[Measured]:
    """Each method's map of the logit on pasted films, compared with the paste; what the folder holds is not run again.

    Args:
        net: planted or control.
        cases: films with one shortcut.
        kept: (n,) positions of the films to measure.
        methods: names in `METHODS`.
        folder: the journal of this net and shortcut.
        tick: called after each film and method.

    Raises:
        XrayInterpError: `bad-option` where the folder holds results of other settings.
    """
    settings = {"net": net.model.name, "shortcut": cases.shortcut, "pastes": cases.digest}
    journal = Journal(folder, settings)
    done = journal.rows()
    scores = logits(net, cases.pasted)
    for i in kept:
        film, patient = cases.plain.ids[i], cases.plain.patients[i]
        forward = Forward(net.model, cases.inputs(np.array([i])))
        for method in methods:
            if (film, method) not in done:
                values = against_paste(forward, method, cases.masks[i])
                case = (
                    film,
                    patient,
                    "test",
                    net.planting.finding,
                    float(scores[i]),
                    None,
                    bool(cases.plain.labels[i]),
                )
                rows = [Row(*case, True, method, name, value, None, None) for name, value in values.items()]
                journal.add(film, method, MEASURES, rows)
                done[film, method] = {row.metric: [row] for row in rows}
            values = {name: rows[0].value or 0.0 for name, rows in done[film, method].items()}
            yield Measured(cases.shortcut, net.planting.name, method, film, patient, cases.masks[i].mean(), values)
            tick()


def against_paste(forward: Forward, method: str, mask: Mask) -> dict[str, float]:
    """The MEASURES of one method's map of the net's only logit on one film, whose paste is `mask` (d, d)."""
    values = at_size(as_read(method, native_map(forward, 0, method))[0, 0], forward.x)
    found = localise(values, mask)
    area = float(auroc(mask.ravel().astype(np.float64), values.ravel())[0])
    close = found.pointing
    return {
        "pointing": pointing(values, mask, NEAR),
        "pointing_close": close,
        "energy": found.energy,
        "iou": found.iou,
        "auroc": area,
    }


@dataclass(frozen=True, eq=False)
class _PastedCase:
    """A pasted film whose one mask is its paste, whatever it is asked for."""

    cases: Cases
    position: int

    def pixels(self) -> FloatImage:
        return self.cases.pasted[self.position].numpy().astype(np.float32) / np.float32(255)

    def masks(self, names: Sequence[str], /) -> BoolMask:
        return np.stack([self.cases.masks[self.position]] * len(names))


def planted_probes(net: PlantedNet, cases: Cases, kept: npt.NDArray[np.intp]) -> ProbeSet:
    """Pasted films on which the paste is outlined as the net's finding: what `runs.Run` measures lamps on."""
    finding, plain = net.planting.finding, cases.plain
    films = tuple(
        ProbeFilm(plain.ids[i], plain.patients[i], "test", "nih", frozenset((finding,)), _PastedCase(cases, int(i)))
        for i in kept
    )
    provenance = {"net": net.model.name, "shortcut": cases.shortcut, "pastes": cases.digest}
    return ProbeSet(
        f"planted-{cases.shortcut}-{cases.digest}", (finding,), films, seen={"*": ()}, provenance=provenance
    )
