"""What "normal" means to a detector, and how it was fitted."""

from __future__ import annotations

import streamlit as st

from ..anomaly.model import AnomalyModel
from . import page
from .charts import chart
from .figures_lines import Axis, Curve, curves_figure

_EXPERTS = {
    True: "trained on labels of radiographs: the detector is informed by labels",
    False: "trained without labels of radiographs",
    None: "whether it was trained on labels of radiographs is not known",
}
_TERMS = {"both": "values and direction", "value": "values alone", "direction": "direction alone"}
_FUSIONS = {"sum": "summed as they are", "standardised": "each in standard deviations of held-out reference films"}
_LAMBDA = "by calibration, both weigh the same on the untrained cloner"


def normal_card(model: AnomalyModel) -> None:
    """The statement, the card's limits, and folded below the training."""
    record, text = model.record, model.text
    with st.container(border=True, key="card-normal"):
        page.heading("What normal means here")
        page.line(f"{record.normals.description}.", "strong")
        if text is not None:
            page.paragraphs([text.data])
            page.bullets(text.limits)
        with st.expander("How it was fitted"):
            _fit(model)


def _fit(model: AnomalyModel) -> None:
    record = model.record
    page.line(
        "An expert is a network left as it is; a small cloner learned to give its features on reference films. Where "
        "the two part on a film, it is unlike those. Lambda weighs values against direction."
    )
    page.facts(
        [
            ("Expert", f"{record.expert.name}, {_EXPERTS[model.label_informed]}"),
            ("Cloner", f"{record.settings.cloner}, {len(record.curve)} epochs, seed {record.settings.seed}"),
            (
                "Compared",
                f"{_TERMS[record.settings.terms]} of the features, {_FUSIONS[record.settings.fusion]}",
            ),
            ("Lambda", f"{record.balance:.3g}; {_LAMBDA}"),
            ("Percentiles", f"among {record.calibration.description}"),
            ("Films seen at", f"{record.detail} px"),
        ]
    )
    if record.curve:
        points = [(float(i), loss) for i, loss in enumerate(record.curve, 1)]
        chart(
            curves_figure([Curve("loss", points)], Axis("epoch"), Axis("mean loss"), height=220), key="training-curve",
            alt=f"Training curve: mean loss from {record.curve[0]:.3g} to {record.curve[-1]:.3g} "
            f"over {len(record.curve)} epochs.",
        )  # fmt: skip
