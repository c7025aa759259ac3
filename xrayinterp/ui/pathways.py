"""The page Pathways: the few neurons behind one logit, how much they keep, and whether finders agree on them."""

from __future__ import annotations

import streamlit as st

from ..attribution.pathway_masks import Quota
from ..evaluation.pathways import CANDIDATES, QUICK
from ..explanation import Explanation
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.words import percent, readable
from . import beside, page
from .beside import PathChoice, asked_of
from .finder_words import finder_words
from .grid import SCALES, Cell, Film, Scale, grid_message
from .paths import OnPath
from .pathways_panels import concepts_panel, figures_panel, linear_panel, overlap_panel, retention_panel
from .shell import finding_picker, without_maps
from .state import Case
from .viewer_component import film_grid
from .watching import in_turn

SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
QUOTAS: dict[Quota, str] = {"global": "Over the whole network", "layer": "At each layer alike"}
_SCALES: tuple[Scale, ...] = ("own", "common", "rank")


def pathways(case: Case, radiograph: Radiograph) -> None:
    """Choices at the top; film and linear check at the left, figures, concepts and agreement at the right."""
    outcome = without_maps(case, radiograph)
    if outcome is None:
        return
    with st.container(key="pathways"):
        page.heading("Pathways", 1)
        page.line(
            "A pathway is the small part of the network's neurons that a path finder keeps. Below is how much of the "
            "response to this film it still gives. It says which neurons take part, not that any means a disease."
        )
        choice, scale, every = _choices(case, outcome)
        asked = asked_of(outcome)
        path = beside.path(asked, choice)
        overlap = beside.overlap(asked, choice, every=every)
        curves = beside.retention(asked, choice.quota)
        claims = beside.linear(asked, choice)
        in_turn(
            [
                (f"path by {finder_words(choice.finder)}", path),
                ("comparison of finders", overlap),
                ("response kept at rising share removed", curves),
                ("linear check", claims),
            ]
        )
        left, right = st.columns([3, 2], gap="medium")
        with left:
            if path.results:
                _maps(case, radiograph, outcome, path.results[0], scale)
            if claims.results:
                linear_panel(claims.results[0])
        with right:
            if path.results:
                figures_panel(path.results[0])
                concepts_panel(path.results[0])
            if curves.results:
                retention_panel(curves.results[0], choice.sparsity)
            if overlap.results:
                overlap_panel(overlap.results[0])


def _choices(case: Case, explanation: Explanation) -> tuple[PathChoice, Scale, bool]:
    columns = st.columns([1.1, 1.2, 1.5, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        finding_picker(case, tuple(p.finding for p in explanation.predictions), explanation.finding)
    with columns[1]:
        finder: str = st.selectbox("Path finder", list(CANDIDATES), key="finder", format_func=_listed)
    with columns[2]:
        sparsity: float = st.select_slider(
            "Share of neurons removed", SPARSITIES, 0.9, key="sparsity", format_func=percent
        )
    with columns[3]:
        quotas: list[Quota] = list(QUOTAS)
        quota: Quota = st.selectbox("Removed", quotas, key="quota", format_func=QUOTAS.__getitem__)
    with columns[4]:
        scale: Scale = st.selectbox("Colour", _SCALES, key="path-scale", format_func=SCALES.__getitem__)
    every: bool = st.toggle(
        "Compare the slow finders as well", key="every-finder", help="They need hundreds of runs of the model."
    )
    return PathChoice(finder, sparsity, quota), scale, every


def _listed(label: str) -> str:
    words = finder_words(label)
    return f"{words[:1].upper()}{words[1:]}{'' if label in QUICK else ' (slow)'}"


def _maps(case: Case, radiograph: Radiograph, explanation: Explanation, found: OnPath, scale: Scale) -> None:
    film = Film(radiograph, frame(*radiograph.shape, case.fit))
    cells = [
        Cell("Gradient of the whole network", found.whole, f"{readable(explanation.finding)}, every neuron"),
        Cell("Gradient of the path", found.pruned, f"{percent(1 - found.reached, 1)} of the neurons"),
    ]
    film_grid(grid_message([film], cells, how=scale, columns=2), key="path-grid")
