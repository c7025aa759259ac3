"""Panels of the page Pathways: a path in figures, its concepts, retention, agreement of finders, the linear check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from ..evaluation.pathway_linear import LinearCheck
from ..evaluation.pathways import FinderComparison, Floats, PathFigures
from ..report.words import percent, plain
from . import page
from .charts import chart
from .figures_lines import Axis, Curve, columns_figure, curves_figure, matrix_figure
from .finder_words import finder_words, short_finder_words
from .paths import LinearClaim, OnPath

CONCEPTS = 8
"""Concepts listed."""


def figures_panel(found: OnPath) -> None:
    """How many neurons stay, what they keep of the response, and where in the network they are."""
    with st.container(border=True, key="path-figures"):
        page.heading("What the path keeps")
        kept = round(found.neurons * (1 - found.reached))
        emptied = sum(share == 0 for share in found.occupancy)
        page.facts(
            [
                ("Neurons", f"{kept:,} of {found.neurons:,} ({percent(1 - found.reached, 1)})".replace(",", "\u202f")),
                (
                    "Response kept",
                    f"{_share(found.retention)} (logit {plain(found.pruned_logit)}, "
                    f"of the whole network {plain(found.logit)})",
                ),
                ("Dead in the whole network", f"{percent(found.dead_share, 1)} of what stays"),
                ("Layers left empty", f"{emptied} of {len(found.occupancy)}"),
            ]
        )
        page.line("Part of each layer's neurons that stays, from input to output")
        most = max(range(len(found.occupancy)), key=found.occupancy.__getitem__)
        chart(
            columns_figure(found.sites, found.occupancy, Axis("kept", percent=True), height=190), key="occupancy",
            alt=f"Column chart of the part of each of {len(found.occupancy)} layers that stays; most at "
            f"{found.sites[most]}, {percent(found.occupancy[most], 1)}.",
        )  # fmt: skip
        with st.expander("Layers as a table"):
            rows = [(site, percent(share, 1)) for site, share in zip(found.sites, found.occupancy, strict=True)]
            page.table(("Layer: units × grid", "Kept"), rows, "Part of each layer that stays")


def concepts_panel(found: OnPath) -> None:
    """Which units of the last map are on the path, by the concepts they are named after."""
    concepts = found.concepts
    with st.container(border=True, key="path-concepts"):
        page.heading("Concepts on the path")
        page.line(f"{concepts.units} of the last map's {concepts.of} units are on it, {concepts.unlabelled} unnamed.")
        if concepts.semantic.advice:
            page.line(concepts.semantic.advice, "caution")
        page.units([(one.words, one.contribution) for one in concepts.concepts[:CONCEPTS]])
        page.total("Logit of the path", "concepts, unnamed units and bias", concepts.semantic.logit)


def retention_panel(curves: Mapping[str, Sequence[PathFigures]], sparsity: float) -> None:
    """How the response fades as neurons are removed, finder by finder."""
    with st.container(border=True, key="path-retention"):
        page.heading("Response kept, by share removed")
        lines = [
            Curve(finder_words(label), [(one.sparsity, _finite(one.retention)) for one in figures])
            for label, figures in curves.items()
            if label != "active"  # it has one sparsity only, whatever is asked
        ]
        words = "; ".join(
            f"{finder_words(label)} {_share(_at(figures, sparsity).retention)}" for label, figures in curves.items()
        )
        chart(
            curves_figure(
                lines, Axis("removed", percent=True), Axis("kept", percent=True), mark=sparsity, height=300
            ),
            key="retention",
            alt=f"Line chart of response kept against neurons removed; at {percent(sparsity)}: {words}.",
        )  # fmt: skip
        with st.expander("Curves as a table"):
            columns = ("Finder", *(percent(one.sparsity) for one in next(iter(curves.values()))))
            rows = [(finder_words(name), *(_share(one.retention) for one in line)) for name, line in curves.items()]
            page.table(columns, rows, "Response kept at each share removed")


def overlap_panel(comparison: FinderComparison) -> None:
    """Neurons on both paths over neurons on either, and what chance would give."""
    with st.container(border=True, key="path-overlap"):
        page.heading("Do finders find the same path?")
        page.line(agreement(comparison))
        if comparison.missing:
            without = ", ".join(finder_words(label) for label in comparison.missing)
            page.line(f"Without a path on this film: {without}.", "caution")
        names = [short_finder_words(label) for label in comparison.labels]
        page.line("Neurons on both paths, of those on either (Jaccard)")
        pairs = ", ".join(
            f"{names[a]} and {names[b]} {plain(float(comparison.jaccard[a, b]))}"
            for a in range(len(names))
            for b in range(a)
        )
        chart(
            matrix_figure(names, np.nan_to_num(comparison.jaccard).tolist()), key="overlap",
            alt=f"Matrix of the overlap of paths by finder: {pairs}.",
        )  # fmt: skip
        with st.expander("Finders as a table"):
            page.table(
                ("Finder", "Removed", "Response kept", "Dead in the whole network", "Layers left empty"),
                [
                    (
                        finder_words(p.label),
                        percent(p.reached, 1),
                        _share(p.retention),
                        percent(p.dead_share, 1),
                        str(p.emptied),
                    )
                    for p in comparison.paths
                ],
                "Paths of this film by finder",
            )


def agreement(comparison: FinderComparison) -> str:
    """How far the finders that choose by what neurons do agree, against chance."""
    chosen = [n for n, label in enumerate(comparison.labels) if label not in ("random", "active")]
    pairs = [(a, b) for a in chosen for b in chosen if a < b]
    if not pairs:
        return "One finder alone: there is nothing to compare."
    mean = float(np.nanmean([comparison.jaccard[pair] for pair in pairs]))
    chance = float(np.nanmean([comparison.chance[pair] for pair in pairs]))
    return (
        f"On average {percent(mean)} of the neurons on either of two paths are on both, where chance gives "
        f"{percent(chance)}."
    )


def linear_panel(claim: LinearClaim) -> None:
    """By how much a linear model misses the network, at rising distance from the film."""
    with st.container(border=True, key="path-linear"):
        page.heading("Is the path linear around this film?")
        page.line(claim.pruned.words)
        lines = [
            Curve("path, along its gradient", _points(claim.pruned, claim.pruned.along_gradient)),
            Curve("path, random directions", _points(claim.pruned, claim.pruned.at_random)),
            Curve("whole network, along its gradient", _points(claim.whole, claim.whole.along_gradient)),
            Curve("whole network, random directions", _points(claim.whole, claim.whole.at_random)),
        ]
        last = _finite(float(claim.pruned.along_gradient[-1]))
        chart(
            curves_figure(
                lines, Axis("change of the film, as a share of all its grey values", log=True),
                Axis("error of the linear model", percent=True), height=300,
            ),
            key="linear",
            alt="Line chart of the linear model's relative error against distance; at the largest distance, along the "
            f"path's gradient: {'not defined' if last is None else percent(last)}.",
        )  # fmt: skip
        page.line(_region(claim))
        with st.expander("Linear check as a table"):
            rows = [
                (
                    f"{distance / claim.pruned.length:.0e}",
                    *(_share(math.nan if (error := line.points[i][1]) is None else error) for line in lines),
                )
                for i, distance in enumerate(claim.pruned.distances.tolist())
            ]
            page.table(("Distance", *(line.name for line in lines)), rows, "Relative error of the linear model")


def _region(claim: LinearClaim) -> str:
    radii = [
        f"{check.region.radius / check.length:.1e}" if check.region.radius else "0, the film lies on a boundary"
        for check in (claim.pruned, claim.whole)
    ]
    kind = "exact" if claim.pruned.region.exact else f"estimated from {claim.pruned.region.directions} directions"
    return f"Radius of linearity as a share of the film's size ({kind}): path {radii[0]}; whole network {radii[1]}."


def _points(check: LinearCheck, errors: Floats) -> list[tuple[float, float | None]]:
    return [
        (distance / check.length, _finite(error))
        for distance, error in zip(check.distances.tolist(), errors.tolist(), strict=True)
    ]


def _at(figures: Sequence[PathFigures], sparsity: float) -> PathFigures:
    return min(figures, key=lambda one: abs(one.sparsity - sparsity))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _share(value: float) -> str:
    return percent(value) if math.isfinite(value) else "not defined"
