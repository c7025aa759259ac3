"""A ChestModel small enough to compute by hand, and an atlas of it whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from helpers.closed_form import SIZE, SMALL, frozen, random_densenet

from xrayinterp.dissection.atlas import Atlas, AtlasRow, Reference
from xrayinterp.models.chest_model import Calibration, Card, ChestModel, FindingMetrics, OperatingPoint
from xrayinterp.models.layout import dissection_layers

FINDINGS = ("Effusion", "Mass", "Hernia", "Nodule", "Edema")
SHA = "ab" * 32


def tiny_model(seed: int = 0, **changes: Any) -> ChestModel:
    """Five findings; Hernia is not reliably assessed, Edema has no operating point, Effusion a calibration."""
    points = {name: OperatingPoint(0.25, sensitive=-0.5, specific=1.0) for name in FINDINGS if name != "Edema"}
    model = ChestModel(
        name="tiny",
        module=frozen(random_densenet(seed, outputs=len(FINDINGS)), torch.float32),
        findings=FINDINGS,
        layers=dissection_layers(SMALL, SIZE),
        size=SIZE,
        scale=1.0,
        detail=None,
        task="findings",
        card=Card("tiny", "random weights", "none", "Apache-2.0", (), sha256=SHA),
        operating_points=points,
        calibrations={"Effusion": Calibration(0.5, -1.0, 0.1, 0.01, "nothing")},
        metrics={"Hernia": FindingMetrics(patients=3, assessed=False)},
    )
    return replace(model, **changes)


def severity_model(seed: int = 0) -> ChestModel:
    """Six zones and their sum, as a regression head gives them."""
    net = random_densenet(seed, outputs=7)
    with torch.no_grad():
        net.classifier.weight[6] = net.classifier.weight[:6].sum(0)
        net.classifier.bias[6] = net.classifier.bias[:6].sum()
    card = Card("tiny", "", "", "", (), sha256=None, measured={"global_interval_half_width": 4.0})
    return tiny_model(
        module=frozen(net, torch.float32),
        findings=("A", "B", "C", "D", "E", "F", "global"),
        task="severity",
        card=card,
        operating_points={},
        calibrations={},
        metrics={},
    )


def row(unit: int, concept: str, **changes: Any) -> AtlasRow:
    """An atlas row of `norm5`: a detector at IoU .1 of ceiling .5, threshold 0.5."""
    base = AtlasRow(
        layer="norm5", unit=unit, concept=concept, iou=0.1, precision=0.3, ceiling=0.5, null_p=0.01, null_high=0.03,
        ci_low=0.08, ci_high=0.12, threshold=0.5, area=0.01, coverage=0.02, films=40, patients=30, probe="chestx-det",
        probe_seen="no", label=True,
    )  # fmt: skip
    return replace(base, **changes)


def atlas(*rows: AtlasRow, probe: str = "chestx-det", means: float | None = 0.2, films: int = 50) -> Atlas:
    """Those rows, and a reference of equal means where `means` is given."""
    units = tiny_model().layers["norm5"].units
    references = {} if means is None else {"norm5": Reference(np.full(units, means), films, f"{films} normal films")}
    return Atlas("tiny", SHA, probe, "khakzar2021", tuple(replace(r, probe=probe) for r in rows), references)
