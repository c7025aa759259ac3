"""Would this map change if the network had learned nothing? A slider through ever deeper randomisation."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..evaluation.lamps import LAMPS
from ..evaluation.randomisation import BLOCKS
from ..evaluation.similarity import mean_likeness
from ..explanation import Explanation
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.words import plain
from . import beside, page
from .beside import asked_of
from .charts import chart
from .compare_findings import quick_method
from .depths import Depth
from .figures_lines import Axis, Curve, curves_figure
from .grid import SCALES, Cell, Film, Scale, grid_message
from .shell import finding_picker
from .state import Case
from .viewer_component import film_grid
from .watching import in_turn

_SCALES: tuple[Scale, ...] = ("own", "common", "rank")


def depth_view(case: Case, radiograph: Radiograph, explanation: Explanation) -> None:
    """The map of the trained network beside that of one whose weights are permuted down to the chosen depth."""
    columns = st.columns([1, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        finding_picker(case, tuple(p.finding for p in explanation.predictions), explanation.finding)
    with columns[1]:
        method = quick_method(case)
    with columns[2]:
        scale: Scale = st.selectbox("Colour", _SCALES, key="depth-scale", format_func=SCALES.__getitem__)
    work = beside.depths(asked_of(explanation), method)
    in_turn([(f"map at {BLOCKS} depths of randomisation", work)])
    known = work.results
    if work.state != "running" and len(known) > 1:
        _shown(case, radiograph, known, scale)


def _shown(case: Case, radiograph: Radiograph, known: Sequence[Depth], scale: Scale) -> None:
    depth: int = st.slider(
        "Blocks of weights permuted, from the output layer back", 0, len(known) - 1, min(case.depth, len(known) - 1),
        key=f"depth-{len(known)}",
    )  # fmt: skip
    case.depth = depth
    left, right = st.columns([3, 2], gap="medium")
    film = Film(radiograph, frame(*radiograph.shape, case.fit))
    cells = [Cell("Trained network", known[0].saliency, "nothing permuted"), _cell(known[depth])]
    with left:
        film_grid(grid_message([film], cells, how=scale, columns=2), key="depth-grid")
    with right, st.container(border=True, key="depth-curves"):
        page.heading("Likeness to the trained network's map")
        page.line(_verdict(known))
        curves = [
            Curve("rank correlation of magnitudes", [(d.depth, d.alike.spearman_abs) for d in known]),
            Curve("rank correlation, signed", [(d.depth, d.alike.spearman) for d in known]),
            Curve("structural similarity", [(d.depth, d.alike.ssim) for d in known]),
        ]
        words = ", ".join(f"depth {d.depth}: {_figure(d.alike.spearman_abs)}" for d in known)
        chart(
            curves_figure(curves, Axis("blocks permuted"), Axis("likeness", (-0.4, 1.05)), mark=depth, height=320),
            key="depth-chart", alt=f"Line chart of likeness against depth; rank correlation of magnitudes, {words}.",
        )  # fmt: skip
        with st.expander("Depths as a table"):
            page.table(
                ("Blocks", "Down to layer", "Rank correlation of magnitudes", "Signed", "Structural similarity"),
                [
                    (
                        str(d.depth),
                        d.layer or "–",
                        *map(_figure, (d.alike.spearman_abs, d.alike.spearman, d.alike.ssim)),
                    )
                    for d in known
                ],
                "Likeness of the map at each depth to the trained network's map",
            )


def _cell(depth: Depth) -> Cell:
    if depth.depth == 0:
        return Cell("Move the slider", depth.saliency, "nothing permuted")
    note = f"down to {depth.layer} · rank correlation {_figure(depth.alike.spearman_abs)}"
    blocks = "1 block" if depth.depth == 1 else f"{depth.depth} blocks"
    return Cell(f"{blocks} permuted", depth.saliency, note)


def _verdict(known: Sequence[Depth]) -> str:
    """What the lamp "follows the weights" makes of the depths so far."""
    if len(known) <= BLOCKS:
        return f"Stopped after {len(known) - 1} of {BLOCKS} depths; there is no verdict before the last."
    mean = mean_likeness([d.alike.spearman_abs for d in known[1:]])
    said = {
        "good": "The map falls apart with the weights, as a map of what the network learned should",
        "doubtful": "Part of the map stays without what the network learned",
        "bad": "Most of the map stays without anything learned: it shows the film",
    }[LAMPS["follows-weights"].state(mean)]
    return f"{said} (mean {plain(mean)} over {BLOCKS} depths)."


def _figure(value: float | None) -> str:
    return "not measurable" if value is None else plain(value)
