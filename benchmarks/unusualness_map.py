"""Whether maps of unusualness follow what the cloner learned, and whether they find what was outlined.

Writes unusualness_map.md beside this file; a quarter of an hour on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from xrayinterp.anomaly.baselines.centre import Centre
from xrayinterp.anomaly.normality import known_detector
from xrayinterp.anomaly.protocol import Measured, Trial, as_floats, by_pixel
from xrayinterp.anomaly.protocol_family import Loading
from xrayinterp.anomaly.protocol_lines import interval
from xrayinterp.anomaly.protocol_tasks import families
from xrayinterp.anomaly.sensitivity import follows_weights
from xrayinterp.datasets.films import load_films
from xrayinterp.evaluation.statistics import mean_interval
from xrayinterp.imaging.reader import read
from xrayinterp.report.normality_words import METHODS

RESULT = Path(__file__).with_suffix(".md")
FILMS = {"gradient": 40, "smoothgrad": 6, "guided": 40, "difference": 40}
NORMALS = 300
"""Normal films of the training split whose maps say what is usual at each place."""
Maps = npt.NDArray[np.float64]

FOLLOWED = """\
## Do they follow what was learned?

Spearman's rho between a film's map and those of cloners whose weights were permuted within their tensors, three a film;
lower is better. 1 is a map that would be the same had nothing been learned. The lamp turns red from 0.70.
"""
FOUND = """\
## Do they find what was outlined?

AUROC of pixels and overlap per region (PRO, false positive rate up to .3), {films} films with outlines of {patients}
patients the cloner never saw, 95 % intervals over patients. Beside each map stand two pictures that look at no film, a
blob in the middle and the mean of the maps of {normals} normal films, and the map in standard deviations of those
films' maps at each place: what is left of it once the usual picture is taken away.
"""


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    found = list(located())
    RESULT.write_text("\n".join(["# Maps of unusualness", "", *followed(), "", *found]) + "\n", encoding="utf-8")


def followed() -> Iterator[str]:
    """Lines: each way's likeness to maps of ruined cloners."""
    films = load_films("nih", splits=["test"], min_native_width=128)
    yield from FOLLOWED.splitlines()
    yield from ("", "| way | rho, mean (95 % interval over patients) | films of split test |", "|---|---|---|")
    for way, count in FILMS.items():
        chosen = films[:: len(films) // count][:count]
        readings = [
            follows_weights(known_detector(), read(film.path), way=way)
            for film in track(chosen, METHODS[way], transient=True)
        ]
        values = np.array([np.nan if r.value is None else r.value for r in readings])
        mean = mean_interval(values, [film.patient for film in chosen])
        told = "–" if mean is None else f"{mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f})"
        yield f"| {METHODS[way]} | {told} | {count} |"


def located() -> Iterator[str]:
    """Lines: how well maps, and pictures that look at no film, find outlines."""
    task = families()["nih"].load("nih", Loading(None, 128, None))
    trial = next(trial for trial in task.trials if trial.masks)
    told = FOUND.format(films=len(trial.images), patients=len(set(trial.patients)), normals=NORMALS)
    yield from told.splitlines()
    yield from ("", "| map | AUROC of pixels | PRO | AUROC less that of normal films' mean |", "|---|---|---|---|")
    for way in METHODS:
        usual = _maps(task.train[:: len(task.train) // NORMALS][:NORMALS], way)
        own, mean, deviation = _maps(trial.images, way), usual.mean(0), usual.std(0)
        prior = _measured(trial, np.broadcast_to(mean, own.shape))
        spread = deviation.clip(min=1e-6 * deviation.max())
        for title, maps in (
            (METHODS[way], own),
            (f"{METHODS[way]}, in deviations of normal films", (own - mean) / spread),
        ):
            yield _row(title, _measured(trial, maps), prior)
        yield _row(f"{METHODS[way]}, mean of normal films", prior)
    yield _row("blob in the middle", _measured(trial, Centre().maps(as_floats(trial.images)).double().numpy()[:, 0]))


def _maps(images: Tensor, way: str) -> Maps:
    """Maps (N, d, d) of the built-in detector."""
    parts = track(as_floats(images).split(16), METHODS[way], transient=True)
    return torch.cat([known_detector().detector.maps(part, method=way)[:, 0] for part in parts]).double().numpy()


def _measured(trial: Trial, maps: Maps) -> tuple[Measured, Measured]:
    """AUROC of pixels and overlap of all outlines together."""
    every = by_pixel(trial, maps, "")
    return next(every), next(every)


def _row(title: str, found: tuple[Measured, Measured], prior: tuple[Measured, Measured] | None = None) -> str:
    cells = [f"{one.value:.3f} ({_span(one.draws)})" for one in found]
    less = "" if prior is None else f"{found[0].value - prior[0].value:+.3f} ({_span(found[0].draws - prior[0].draws)})"
    return f"| {title} | {' | '.join(cells)} | {less} |"


def _span(draws: npt.NDArray[np.floating]) -> str:
    low, high = interval(draws)
    return f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
