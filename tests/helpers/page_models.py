"""A folder of built-in models with random weights and an atlas of one of them: enough for a page to stand on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from helpers.small_models import write_small_builtin

from xrayinterp.dissection.atlas import Atlas, AtlasRow, Reference
from xrayinterp.dissection.io import save_atlas
from xrayinterp.models.documents import read_record
from xrayinterp.models.layout import dissection_layers
from xrayinterp.models.registry import BUILTIN_DIR
from xrayinterp.models.segmenter import FOLDER

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
CONCEPTS = ("Effusion", "Cardiomegaly", "Consolidation", "Emphysema")
UNITS_PER_CONCEPT = 3
EARLIER = "denseblock3"
"""A layer beside the last at which units bear names."""


def write_page_models(folder: Path, cache: Path) -> None:
    """`compact` (14 findings, Hernia not assessed, with an atlas) and `brixia` (six zones and their sum, without).

    The segmenter is the shipped one, where there is one.
    """
    if (BUILTIN_DIR / FOLDER).is_dir():
        shutil.copytree(BUILTIN_DIR / FOLDER, folder / FOLDER)
    points = {
        name: {"threshold": -0.2 + 0.05 * i, "sensitive": -0.6, "specific": 0.6, "sensitivity": 0.7,
               "specificity": 0.74, "measured_on": "val"}
        for i, name in enumerate(FINDINGS)
    }  # fmt: skip
    metrics = {
        name: {"auroc": [0.75, 0.7, 0.8], "patients": 40, "measured_on": "test", "assessed": True} for name in FINDINGS
    }
    metrics["Hernia"] = {"auroc": [0.6, 0.4, 0.8], "patients": 4, "measured_on": "test", "assessed": False}
    weights = write_small_builtin(
        folder, "compact", FINDINGS, size=224, detail=128, operating_points=points, calibrations={}, metrics=metrics
    )
    none = {"operating_points": {}, "calibrations": {}, "metrics": {}}
    write_small_builtin(folder, "brixia", (*"ABCDEF", "global"), size=224, task="severity", **none)
    save_atlas(_atlas(weights), cache / "atlases" / "compact.parquet")


def _atlas(weights: Path) -> Atlas:
    record = read_record(weights)
    assert record is not None
    layers = dissection_layers(record.architecture, record.size)
    named = ("norm5", EARLIER)
    rows = tuple(_row(i, c, layer) for layer in named for i, c in enumerate(CONCEPTS * UNITS_PER_CONCEPT))
    references = {
        layer: Reference(np.full(layers[layer].units, 0.3), 200, "200 films without findings") for layer in named
    }
    return Atlas("compact", record.sha256, "chestx-det", "khakzar2021", rows, references)


def _row(unit: int, concept: str, layer: str) -> AtlasRow:
    return AtlasRow(
        layer=layer, unit=unit, concept=concept, iou=0.1, precision=0.3, ceiling=0.5, null_p=0.01, null_high=0.03,
        ci_low=0.08, ci_high=0.12, threshold=0.8, area=0.01, coverage=0.02, films=40, patients=30, probe="chestx-det",
        probe_seen="no", label=True,
    )  # fmt: skip
