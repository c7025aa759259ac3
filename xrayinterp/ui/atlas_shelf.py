"""Which atlases a page can show: those kept for the model on screen, and those opened from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..dissection.atlas import Atlas
from ..dissection.inventory import LayerInventory
from ..dissection.unit_facts import UnitFacts
from ..report.atlas_words import layer_title, probe_words
from . import atlas_services
from .atlas_services import Survey
from .state import Case, Look, OpenedAtlas

Row: TypeAlias = DeltaGenerator
"""The row at the top of the page, where each view adds its own choices."""
WIDTH = 560
"""Of a choice among atlases, in pixels."""


@dataclass(frozen=True)
class Shown:
    """An atlas to look at. `owner` is the model here that it is of; `file` is set where it came from one."""

    key: str
    atlas: Atlas
    owner: str | None
    file: OpenedAtlas | None = None

    @property
    def title(self) -> str:
        """What the choice of atlases calls it."""
        if self.file is None:
            return probe_words(self.atlas)
        whose = f"of {self.owner}" if self.owner else "of a model not here"
        return f"From {self.file.file}, {whose} · {probe_words(self.atlas)}"

    @property
    def name(self) -> str:
        """Whose units these are, and on which films, in few words."""
        return f"{self.owner or self.atlas.model} on {self.atlas.probe}"

    @property
    def survey(self) -> Survey:
        """The atlas counted through."""
        return atlas_services.surveyed(self.atlas)

    @property
    def facts(self) -> UnitFacts | None:
        """What was measured of its model's units beyond the atlas."""
        return atlas_services.facts_of(self.owner) if self.owner else None


def on_shelf(case: Case) -> dict[str, Shown]:
    """The atlases of the model on screen, then those from files, by key.

    Raises:
        XrayInterpError: where a file in the folder of atlases is none.
    """
    own = kept_of(case.model or "")
    opened = [Shown(one.key, one.atlas, atlas_services.owner_of(one.atlas), one) for one in case.atlases]
    return {shown.key: shown for shown in (*own, *opened)}


def kept_of(model: str) -> list[Shown]:
    """The atlases kept for a model.

    Raises:
        XrayInterpError: as `on_shelf`.
    """
    return [Shown(f"{model}/{atlas.probe}", atlas, model) for atlas in atlas_services.atlases_of(model)]


def layer_picker(look: Look, shown: Shown) -> LayerInventory:
    """The layer on screen, the last one at first; a choice where there are several."""
    layers = {layer.layer: layer for layer in shown.survey.layers}
    if look.layer not in layers:
        look.layer = list(layers)[-1]
    key = f"layer-{shown.key}-{look.moves}-{look.view}"

    def choose() -> None:
        look.layer = st.session_state[key] or look.layer

    if len(layers) > 1:
        st.segmented_control(
            "Layer", list(layers), default=look.layer, key=key, format_func=layer_title, required=True,
            on_change=choose, label_visibility="collapsed",
        )  # fmt: skip
    return layers[look.layer or ""]
