"""What pages ask of atlases: kept and opened ones, their films and what was measured of their units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from . import services

if TYPE_CHECKING:
    from ..concepts.probes import ProbeSet
    from ..dissection.atlas import Atlas
    from ..dissection.inventory import LayerInventory
    from ..dissection.unit_facts import UnitFacts
    from ..dissection.unit_index import UnitEntry


@dataclass(frozen=True)
class Survey:
    """An atlas as pages show it: its layers, and its units as a list."""

    atlas: Atlas
    layers: tuple[LayerInventory, ...]
    units: tuple[UnitEntry, ...]


@st.cache_resource(scope="session", max_entries=12, show_spinner=False)
def _surveyed(identity: int, _atlas: Atlas) -> Survey:
    from ..dissection.inventory import inventory
    from ..dissection.unit_index import unit_entries

    return Survey(_atlas, inventory(_atlas), unit_entries(_atlas))


def surveyed(atlas: Atlas) -> Survey:
    """An atlas counted through, once; the entry holds the atlas, so that no other can have its identity."""
    return _surveyed(id(atlas), _atlas=atlas)


@st.cache_resource(max_entries=6, show_spinner=False)
def _probed(name: str, splits: tuple[str, ...] | None) -> ProbeSet:
    from ..concepts.probes import load_probe_set

    return load_probe_set(name, splits=splits)


def probed(atlas: Atlas) -> ProbeSet:
    """The films an atlas was made of, where they are at hand.

    Raises:
        XrayInterpError: see `load_probe_set`.
    """
    told = atlas.provenance.get("probe")
    splits = atlas.provenance.get("splits") or (told.get("splits") if isinstance(told, dict) else None)
    return _probed(atlas.probe, tuple(splits) if isinstance(splits, list) else None)


def atlases_of(model: str) -> tuple[Atlas, ...]:
    """The atlases of a model that are kept here, shipped or the user's own.

    Raises:
        XrayInterpError: where a file in their folder is no atlas.
    """
    from ..dissection.io import atlases_for

    return atlases_for(services.describe(model))


def facts_of(model: str) -> UnitFacts | None:
    """Head use, causal effects and shortcut units of a model, where they were measured with its present weights."""
    from ..dissection.unit_facts import unit_facts_for

    return unit_facts_for(services.describe(model))


def owner_of(atlas: Atlas) -> str | None:
    """The model here whose weights an atlas was made of."""
    from ..dissection.shelf import same_weights

    known = (atlas.model, atlas.model_sha256)
    return next((m.name for m in services.models() if same_weights(*known, m.name, m.card.sha256)), None)


def receive_atlas(file: services.Upload) -> Atlas:
    """An atlas from a file of unknown origin; nothing is stored.

    Raises:
        XrayInterpError: see `received_atlas`.
    """
    from ..dissection.received import received_atlas

    return received_atlas(file.data, file.name)


def keep_atlas(atlas: Atlas, model: str) -> Path:
    """Store an atlas where those of a model are looked for; what was made of films with former ones is dropped.

    Raises:
        XrayInterpError: `atlas-mismatch` where the model lacks its units.
    """
    from ..dissection.io import atlas_folder, save_atlas
    from ..dissection.received import check_units

    check_units(atlas, services.describe(model).layers, model)
    path = atlas_folder() / f"{model}.{atlas.probe}.parquet"
    save_atlas(atlas, path)
    services.forget()
    return path
