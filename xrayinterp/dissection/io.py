"""Atlases on disk: one Parquet file, one row a unit and concept, everything else in its schema metadata."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import Code, XrayInterpError
from ..paths import cache_dir, whole_file
from .atlas import Atlas, AtlasRow, Reference
from .shelf import builtin_folder, same_weights, short_hash

if TYPE_CHECKING:  # a page lists atlases before anything needs torch
    from .unit_facts import Carded

_KEY = b"xrayinterp.atlas"
_FORMAT = 1
_TYPES = {
    **dict.fromkeys(("layer", "concept", "probe", "probe_seen"), pa.string()),
    **dict.fromkeys(("unit", "films", "patients"), pa.int32()),
    "label": pa.bool_(),
    "exemplars": pa.list_(pa.string()),
}
"""Columns that hold no float64."""
SCHEMA = pa.schema([(column.name, _TYPES.get(column.name, pa.float64())) for column in fields(AtlasRow)])
"""The columns of an atlas."""


def save_atlas(atlas: Atlas, path: Path) -> None:
    """Write an atlas; an existing file is replaced in one step. The same atlas gives the same rows and metadata."""
    columns = {
        column.name: pa.array([getattr(row, column.name) for row in atlas.rows], SCHEMA.field(column.name).type)
        for column in fields(AtlasRow)
    }
    metadata = {_KEY: json.dumps(_metadata(atlas), sort_keys=True, allow_nan=False).encode()}
    with whole_file(path) as partial:
        pq.write_table(pa.table(columns, schema=SCHEMA.with_metadata(metadata)), partial, compression="zstd")


def load_atlas(path: Path, model: Carded | None = None) -> Atlas:
    """Read an atlas.

    Args:
        model: the model it is meant for; None does not ask.

    Raises:
        XrayInterpError: `not-found`; `bad-manifest` where the file is no atlas; `atlas-mismatch` where it was made of
            other weights than the model's.
    """
    metadata = _read_metadata(path)
    if model is not None and not _applies(metadata, model):
        raise XrayInterpError(
            Code.ATLAS_MISMATCH,
            f"{path} is an atlas of {metadata['model']!r} with weights {short_hash(metadata['model_sha256'])}, "
            f"not of {model.name!r} with weights {short_hash(model.card.sha256)}.",
            f"Make one for this model: xrayinterp dissect --model {model.name}.",
        )
    return atlas_of(pq.read_table(path, columns=SCHEMA.names), metadata)


def atlas_of(table: pa.Table, metadata: dict[str, Any]) -> Atlas:
    """An atlas of its columns and of what `described_in` gave."""
    rows = tuple(AtlasRow(**row | {"exemplars": tuple(row["exemplars"] or ())}) for row in table.to_pylist())
    references = {
        layer: Reference(np.array(value["means"], dtype=np.float64), value["films"], value["described"])
        for layer, value in metadata["references"].items()
    }
    return Atlas(
        metadata["model"],
        metadata["model_sha256"],
        metadata["probe"],
        metadata["definition"],
        rows,
        references,
        metadata["provenance"],
    )


def atlases_for(model: Carded) -> tuple[Atlas, ...]:
    """Every atlas made of exactly this model's weights: the shipped ones, then the user's in the cache folder.

    Atlases of other models are passed over. A user's atlas takes the place of a shipped one of the same probe set.
    """
    found: dict[str, Atlas] = {}
    for folder in (builtin_folder(), atlas_folder()):
        files = [(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.parquet"))]
        own = [_unchanged_atlas(*file) for file in files if _applies(_made_of(*file), model)]
        found |= {atlas.probe: atlas for atlas in own}
    return tuple(found.values())


@lru_cache(maxsize=64)
def _made_of(path: Path, modified: int) -> dict[str, Any]:
    """Name and hash of the model that an atlas is of, once for every state of a file."""
    metadata = _read_metadata(path)
    return {key: metadata[key] for key in ("model", "model_sha256")}


@lru_cache(maxsize=16)
def _unchanged_atlas(path: Path, modified: int) -> Atlas:
    """`load_atlas`, once for every state of a file: an atlas is asked for with each film."""
    return load_atlas(path)


def atlas_folder() -> Path:
    """Where the user's own atlases are looked for."""
    return cache_dir() / "atlases"


def _metadata(atlas: Atlas) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": atlas.model,
        "model_sha256": atlas.model_sha256,
        "probe": atlas.probe,
        "definition": atlas.definition,
        "provenance": dict(atlas.provenance),
        "references": {
            layer: {"means": value.means.tolist(), "films": value.films, "described": value.described}
            for layer, value in atlas.references.items()
        },
    }


def _read_metadata(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise XrayInterpError(Code.NOT_FOUND, f"There is no atlas at {path}.", "Make one with xrayinterp dissect.")
    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise no_atlas(str(path), str(error)) from error
    return described_in(schema, str(path))


def described_in(schema: pa.Schema, name: str) -> dict[str, Any]:
    """What the schema of a Parquet file says of its atlas; `name` is what errors call the file.

    Raises:
        XrayInterpError: `bad-manifest` where it is no atlas.
    """
    problem = "its rows or its description are missing"
    try:
        metadata: dict[str, Any] = json.loads((schema.metadata or {}).get(_KEY, b"{}"))
        whole = metadata["format"] == _FORMAT and set(SCHEMA.names) <= set(schema.names)
    except (KeyError, TypeError):
        whole = False
    except (ValueError, RecursionError) as error:
        whole, problem = False, str(error)
    if not whole:
        raise no_atlas(name, problem)
    return metadata


def no_atlas(name: str, problem: str) -> XrayInterpError:
    """The error for a file that holds no atlas."""
    reason = problem.splitlines()[0].rstrip(".") if problem else "it cannot be read"
    return XrayInterpError(
        Code.BAD_MANIFEST, f"{name} is not an atlas of this version: {reason}.", "Make it again, or remove it."
    )


def _applies(metadata: dict[str, Any], model: Carded) -> bool:
    return same_weights(metadata["model"], metadata["model_sha256"], model.name, model.card.sha256)
