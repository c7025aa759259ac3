"""Concept formation as a figure: one curve a concept over the checkpoints of a training run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import plotly.graph_objects as go

from ..report.words import readable
from .figures_lines import Axis, Curve, curves_figure

if TYPE_CHECKING:
    from ..dissection.formation import Formation

TITLES = {"detectors": "Detectors", "best_iou": "Best IoU"}
CURVES = 7
"""Curves that styles tell apart; the concepts with the most detectors, or the highest IoU, are drawn."""


def formation_figure(found: Formation, figure: Literal["detectors", "best_iou"] = "detectors") -> go.Figure:
    """Detectors, or the best IoU, of the concepts that the probe set could find; `kept` labels as one more curve."""
    drawn = sorted(
        (curve for curve in found.curves if curve.detectable),
        key=lambda curve: (max(getattr(curve, figure)), max(curve.best_iou)),
        reverse=True,
    )[: CURVES - (figure == "detectors")]
    curves = [Curve(f"{readable(c.concept)}-like", list(enumerate(getattr(c, figure)))) for c in drawn]
    if figure == "detectors":
        curves.append(Curve("Kept from the checkpoint before", list(enumerate(found.kept))))
    drawing = curves_figure(curves, Axis("Checkpoint"), Axis(TITLES[figure]), height=360)
    ticks = {"tickmode": "array", "tickvals": list(range(len(found.checkpoints))), "ticktext": list(found.checkpoints)}
    return drawing.update_xaxes(**ticks)
