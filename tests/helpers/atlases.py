"""Atlases made up in small, whose every count is known."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from xrayinterp.dissection.atlas import Atlas, AtlasRow, Reference
from xrayinterp.dissection.io import save_atlas

CONCEPTS = ("Effusion", "Cardiomegaly", "Nodule", "Lungs")
"""Nodule is too small to be found, Lungs are anatomy."""
UNITS = 8
COUNTS = {"denseblock3": {"Effusion": 1}, "norm5": {"Effusion": 3, "Cardiomegaly": 2, "Lungs": 1}}
EXPECTED = {"Effusion": 0.25, "Cardiomegaly": 0.5, "Nodule": 0.0, "Lungs": 5.0}


def counted_atlas(
    counts: Mapping[str, Mapping[str, int]] = COUNTS, *, iou: float = 0.1, told: bool = True, **changes: object
) -> Atlas:
    """Units labelled from 0 on, concept after concept; every other one of them stands family-wise where `told`."""
    rows: list[AtlasRow] = []
    for layer, wanted in counts.items():
        names = [name for name in CONCEPTS for _ in range(wanted.get(name, 0))]
        for unit in range(UNITS):
            label = names[unit] if unit < len(names) else None
            rows += [_row(layer, unit, concept, concept == label, iou) for concept in CONCEPTS]
    provenance = {
        "films": 40, "patients": 20, "fit": "crop", "anatomy": ["Lungs"], "probe": {"title": "Drawn films"},
        "layers": {layer: _layer() for layer in counts} if told else {},
    }  # fmt: skip
    references = {layer: Reference(np.full(UNITS, 0.3), 9, "9 films without findings") for layer in counts}
    made = Atlas("compact", "0" * 64, "drawn", "khakzar2021", tuple(rows), references, provenance)
    return replace(made, **changes)


def parquet(atlas: Atlas, folder) -> bytes:
    """The file that an atlas is."""
    path = folder / "atlas.parquet"
    save_atlas(atlas, path)
    return path.read_bytes()


def rewritten(data: bytes, change) -> bytes:
    """The same file after `change` of its table."""
    table = change(pa.parquet.read_table(pa.BufferReader(data)))
    out = io.BytesIO()
    pa.parquet.write_table(table, out)
    return out.getvalue()


def _layer() -> dict[str, object]:
    p = [0.01 if unit % 2 == 0 else 0.5 for unit in range(UNITS)]
    return {"family_p": p, "positives_p": [0.02] * UNITS, "permuted": {"by_concept": EXPECTED, "mean": 5.75}}


def _row(layer: str, unit: int, concept: str, label: bool, iou: float) -> AtlasRow:
    value = iou + 0.01 * unit if label else 0.01
    small = concept == "Nodule"
    return AtlasRow(
        layer=layer, unit=unit, concept=concept, iou=0.0 if small else value, precision=0.3,
        ceiling=0.02 if small else 0.5, null_p=0.01 if label else 0.6, null_high=0.03, ci_low=0.8 * value,
        ci_high=min(1.2 * value, 1.0), threshold=0.8, area=0.01, coverage=0.02, films=12, patients=9, probe="drawn",
        probe_seen="no", label=label, iou_crossfit=value if label else None,
    )  # fmt: skip
