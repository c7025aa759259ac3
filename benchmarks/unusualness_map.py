"""Whether maps of unusualness follow what the cloner learned: unusualness_map.md beside this file.

Spearman's rho between a film's map and those of cloners whose weights were permuted within their tensors, three a film;
lower is better. 1 is a map that would be the same had nothing been learned. The lamp turns red from 0.70.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from xrayinterp.anomaly.normality import known_detector
from xrayinterp.anomaly.sensitivity import follows_weights
from xrayinterp.datasets.films import load_films
from xrayinterp.evaluation.statistics import mean_interval
from xrayinterp.imaging.reader import read
from xrayinterp.report.normality_words import METHODS

RESULT = Path(__file__).with_suffix(".md")
FILMS = {"gradient": 40, "smoothgrad": 6, "guided": 40, "difference": 40}


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    films = load_films("nih", splits=["test"], min_native_width=128)
    lines = ["# Maps of unusualness and the weights", "", *__doc__.split("\n\n")[1].splitlines(), ""]
    lines += ["| way | rho, mean (95 % interval over patients) | films of split test |", "|---|---|---|"]
    for way, count in FILMS.items():
        chosen = films[:: len(films) // count][:count]
        readings = [
            follows_weights(known_detector(), read(film.path), way=way)
            for film in track(chosen, METHODS[way], transient=True)
        ]
        values = np.array([np.nan if r.value is None else r.value for r in readings])
        found = mean_interval(values, [film.patient for film in chosen])
        told = "–" if found is None else f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
        lines.append(f"| {METHODS[way]} | {told} | {count} |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
