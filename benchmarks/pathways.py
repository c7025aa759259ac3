"""Do path finders agree, what do their paths keep, and is a pruned network linear around a film?

Writes pathways.md beside this file. Needs XRAYINTERP_DATA. `--keep FOLDER` holds finished films, so that a broken run
goes on.
"""

from __future__ import annotations

import argparse
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from xrayinterp.attribution.forward import Forward
from xrayinterp.attribution.target import Target
from xrayinterp.concepts.probes import ProbeFilm, load_probe_set
from xrayinterp.evaluation.cases import film_cases
from xrayinterp.evaluation.pathway_linear import SHARES, LinearCheck, linear_check
from xrayinterp.evaluation.pathways import (
    CANDIDATES,
    QUICK,
    SPARSITIES,
    FinderComparison,
    PathFigures,
    candidate_paths,
    compare_finders,
    mean_over_films,
    retention_curves,
)
from xrayinterp.evaluation.statistics import mean_interval
from xrayinterp.evaluation.tables import figure, markdown
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model

SPARSITY = 0.9
CLAIM = ("whole", "marginal_taylor", "iterative")
"""Networks whose linearity is checked: nothing pruned, and two finders' paths at SPARSITY."""


@dataclass(frozen=True)
class FilmPaths:
    """All that is measured of one film's primary finding."""

    patient: str
    comparison: FinderComparison
    curves: Mapping[str, tuple[PathFigures, ...]]
    claims: Mapping[str, LinearCheck]


def measure(model: ChestModel, film: ProbeFilm, gaussians: int) -> FilmPaths:
    """Paths of one film by every finder, retention by the quick ones, and the linear check."""
    seen = film_cases(model, film)
    index = model.index(next(case.finding for case in seen.cases if case.primary))
    forward = Forward(model, seen.x)
    masks = {
        name: None if name == "whole" else candidate_paths(forward, Target(index), name, [SPARSITY])[0].masks
        for name in CLAIM
    }
    return FilmPaths(
        film.patient,
        compare_finders(model, seen.x, index, tuple(CANDIDATES), sparsity=SPARSITY),
        retention_curves(model, seen.x, index, QUICK),
        {name: linear_check(model, seen.x, index, kept, gaussians=gaussians) for name, kept in masks.items()},
    )


def document(model: ChestModel, films: Sequence[FilmPaths], split: str) -> str:
    """The report as Markdown."""
    patients = len({film.patient for film in films})
    comparisons = [film.comparison for film in films]
    lines = [
        f"# Pathways of {model.name}",
        "",
        f"{len(films)} films of {patients} patients (chestx-det, {split}), each film's primary finding; weights "
        f"{str(model.card.sha256)[:12]}, seed 0. Means over films; intervals are 95 % over patients.",
        "",
        f"## Overlap of paths at {SPARSITY:.0%} of neurons removed",
        "",
        "Jaccard index of neurons kept, all sites together; behind the stroke, what chance gives two paths with the "
        "same occupancy of every site. Distillation-guided routing ran 100 of the 1,000 published steps (random gates: "
        "3 attempts of 100), after which gates are still near where they started.",
        "",
        *_overlap(comparisons),
        "",
        f"## What the paths are, at {SPARSITY:.0%}",
        "",
        "Retention: response kept, 1 for the whole network's, 0 for none of it; median and quartiles over films. Dead: "
        "share of what is kept that is "
        f"dead in the whole network, where {np.mean([c.dead_share for c in comparisons]):.0%} of all neurons are.",
        "",
        *_figures(films),
        "",
        *_without(comparisons),
        "## Retention at rising sparsity",
        "",
        *_retention(films),
        "",
        "## Is the pruned network linear around the film?",
        "",
        "In float64, medians over films. `radius`: of the ball in which the network must be linear, estimated; `kink`: "
        "distance along the gradient up to which it must be, both as shares of the film's length. `inside`: largest "
        "deviation from the linear model at 99 % of that, in logits [films with room to try]. Then the relative error "
        "of the linear model at rising distances (1: it knows nothing), along the gradient and, behind the stroke, the "
        "median of random directions. A film with flat areas, a black border say, lies on ties of max-pooling: its "
        "radius is 0.",
        "",
        *_linear(films),
    ]
    return "\n".join(lines) + "\n"


def _overlap(comparisons: Sequence[FinderComparison]) -> list[str]:
    means = mean_over_films(comparisons)

    def cell(a: int, b: int) -> str:
        return "1" if a == b else f"{means.jaccard[a, b]:.2f} / {means.chance[a, b]:.2f}"

    places = range(len(means.labels))
    return markdown(["", *means.labels], [[name, *(cell(a, b) for b in places)] for a, name in enumerate(means.labels)])


def _figures(films: Sequence[FilmPaths]) -> list[str]:
    body = []
    for label in mean_over_films([film.comparison for film in films]).labels:
        pairs = [(film.patient, path) for film in films for path in film.comparison.paths if path.label == label]
        patients = [patient for patient, _ in pairs]
        reached, dead, emptied = (
            figure(mean_interval(np.array([float(getattr(path, name)) for _, path in pairs]), patients))
            for name in ("reached", "dead_share", "emptied")
        )
        body.append([label, str(len(pairs)), reached, _quartiles([path.retention for _, path in pairs]), dead, emptied])
    return markdown(["finder", "films with a path", "removed", "retention", "dead", "sites left empty"], body)


def _retention(films: Sequence[FilmPaths]) -> list[str]:
    body = [
        [label, *(_quartiles([film.curves[label][n].retention for film in films]) for n in range(len(SPARSITIES)))]
        for label in films[0].curves
        if label != "active"  # it has one sparsity only
    ]
    return markdown(["finder", *(f"{sparsity:.0%}" for sparsity in SPARSITIES)], body)


def _without(comparisons: Sequence[FinderComparison]) -> list[str]:
    """Which finders had no path, on how many films."""
    counts = Counter(label for one in comparisons for label in one.missing)
    return [f"No path by {label} on {count} of the films." for label, count in counts.items()] + [""] * bool(counts)


def _quartiles(values: Sequence[float]) -> str:
    """Median, lower and upper quartile: a share of a response that may be small has no useful mean."""
    low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _linear(films: Sequence[FilmPaths]) -> list[str]:
    body = []
    for name in CLAIM:
        checks = [film.claims[name] for film in films]
        errors = [
            f"{np.nanmedian([c.along_gradient[n] for c in checks]):.1%} / "
            f"{np.nanmedian([c.at_random[n] for c in checks]):.1%}"
            for n in range(len(SHARES))
        ]
        tried = [check.inside for check in checks if check.inside is not None]
        body.append(
            [
                name,
                f"{np.median([c.region.radius / c.length for c in checks]):.1e}",
                f"{np.median([c.kink / c.length for c in checks]):.1e}",
                f"{max(tried):.0e} [{len(tried)}]" if tried else "no room [0]",
                *errors,
            ]
        )
    return markdown(["network", "radius", "kink", "inside", *(f"at {share:g}" for share in SHARES)], body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--split", default="test")
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--first", type=int, help="only so many of the films drawn")
    parser.add_argument("--gaussians", type=int, default=16, help="directions of the radius's estimate")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    model = load_model(options.model)
    probes = load_probe_set("chestx-det", splits=[options.split], limit=options.films)
    found = []
    for film in track(probes.films[: options.first], "films"):
        kept = None if options.keep is None else options.keep / f"{film.id}.pickle"
        if kept is not None and kept.is_file():
            found.append(pickle.loads(kept.read_bytes()))
            continue
        found.append(measure(model, film, options.gaussians))
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps(found[-1]))
    options.out.write_text(document(model, found, options.split), encoding="utf-8")


if __name__ == "__main__":
    main()
