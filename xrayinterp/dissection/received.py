"""Atlases that come as files from elsewhere: looked through before anything is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import Code, XrayInterpError
from ..models.card import Layer
from ..models.registry import is_name
from .atlas import Atlas, AtlasRow
from .io import SCHEMA, atlas_of, described_in, no_atlas

MOST_BYTES = 32_000_000
"""Size of a file, about ten times that of the largest shipped atlas."""
MOST_UNPACKED = 256_000_000
"""Bytes of its columns once unpacked."""
MOST_ROWS = 400_000
"""One row a unit and concept."""
LONGEST = 80
"""Characters of a name."""

_SHARES = ("iou", "precision", "ceiling", "null_p", "null_high", "ci_low", "ci_high", "area", "coverage")


def received_atlas(data: bytes, name: str) -> Atlas:
    """The atlas in the bytes of a Parquet file.

    Args:
        data: the file.
        name: what errors call it.

    Raises:
        XrayInterpError: `too-large` before anything is unpacked; `bad-manifest` where it is no atlas of this version,
            or a row holds what no dissection gives.
    """
    _limit(name, len(data), MOST_BYTES, "bytes")
    try:
        file = pq.ParquetFile(pa.BufferReader(data), memory_map=False)
        described = file.metadata
        _limit(name, described.num_rows, MOST_ROWS, "rows")
        groups = range(described.num_row_groups)
        _limit(name, sum(described.row_group(i).total_byte_size for i in groups), MOST_UNPACKED, "bytes unpacked")
        metadata = described_in(file.schema_arrow, name)
        atlas = atlas_of(file.read(columns=SCHEMA.names).cast(SCHEMA), metadata)
    except (pa.ArrowException, OSError) as error:
        raise no_atlas(name, str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise no_atlas(name, f"its description is damaged ({type(error).__name__})") from error
    _look_through(atlas, name)
    return atlas


def check_units(atlas: Atlas, layers: Mapping[str, Layer], model: str) -> None:
    """Whether a model has the units that an atlas speaks of.

    Raises:
        XrayInterpError: `atlas-mismatch` naming the layer or the unit that the model lacks.
    """
    most: dict[str, int] = {}
    for row in atlas.rows:
        most[row.layer] = max(row.unit, most.get(row.layer, 0))
    for layer, unit in most.items():
        if layer not in layers:
            raise _other(model, f"has no layer {layer!r}; it has {', '.join(layers) or 'none'}")
        if unit >= layers[layer].units:
            raise _other(model, f"has {layers[layer].units} units in {layer!r}, the atlas names unit {unit}")
    for layer, reference in atlas.references.items():
        if layer in layers and len(reference.means) != layers[layer].units:
            raise _other(model, f"has {layers[layer].units} units in {layer!r}, the reference {len(reference.means)}")


def _other(model: str, what: str) -> XrayInterpError:
    return XrayInterpError(
        Code.ATLAS_MISMATCH, f"Model {model!r} {what}.", f"Make one for it: xrayinterp dissect --model {model}."
    )


def _limit(name: str, value: int, most: int, what: str) -> None:
    if value > most:
        found = f"{name} holds {value:,} {what}; at most {most:,} are read."
        raise XrayInterpError(Code.TOO_LARGE, found, "Dissect fewer layers at once.")


def _look_through(atlas: Atlas, name: str) -> None:
    """Names that are names, shares in [0, 1], units from 0, and whatever else a page takes for granted."""
    if not atlas.rows:
        raise no_atlas(name, "it has no rows")
    for text in (atlas.model, atlas.probe, atlas.definition):
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
            raise no_atlas(name, "model, probe set or definition have no proper name")
    if not is_name(atlas.probe):
        raise no_atlas(name, f"{atlas.probe!r} names no probe set")
    if not isinstance(atlas.model_sha256, str | None) or not isinstance(atlas.provenance, dict):
        raise no_atlas(name, "its hash or its provenance is of the wrong kind")
    for reference in atlas.references.values():
        if reference.means.ndim != 1 or not isinstance(reference.films, int):
            raise no_atlas(name, "a reference holds no row of means")
    for number, row in enumerate(atlas.rows):
        if (problem := _wrong(row)) is not None:
            raise no_atlas(name, f"row {number}, {problem}")


def _wrong(row: AtlasRow) -> str | None:
    missing = [f.name for f in fields(AtlasRow) if f.name != "iou_crossfit" and getattr(row, f.name) is None]
    if missing:
        return f"{missing[0]} is missing"
    for field in ("layer", "concept", "probe"):
        text: Any = getattr(row, field)
        if not text[:1].isalnum() or len(text) > LONGEST or not text.isprintable():
            return f"{field} is no name"
    for field in _SHARES:
        if not 0 <= getattr(row, field) <= 1:
            return f"{field} is {getattr(row, field)!r}, not from 0 to 1"
    if row.iou_crossfit is not None and not 0 <= row.iou_crossfit <= 1:
        return f"iou_crossfit is {row.iou_crossfit!r}, not from 0 to 1"
    if not math.isfinite(row.threshold) or min(row.unit, row.films, row.patients) < 0:
        return "a threshold, unit or count is impossible"
    if row.probe_seen not in ("yes", "no", "unknown"):
        return f"probe_seen is {row.probe_seen!r}"
    return None
