"""What a session is looking at: one dataclass in the session's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import streamlit as st

from ..anomaly.shelf import USUAL_WAY
from ..batch import Film
from ..dissection.atlas import Atlas
from ..dissection.unit_index import Sought
from ..errors import XrayInterpError
from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph, View

Side = Literal["unverified", "usual", "mirrored"]
SIDES: dict[Side, str] = {
    "unverified": "As the file says, or unverified",
    "usual": "Image left is the patient's right",
    "mirrored": "Image left is the patient's left",
}
MAX_FILMS = 60
"""Films one session keeps in memory, about 5 MB each."""


@dataclass(frozen=True)
class Notes:
    """What the reader said of one film; `shown`: its scores are wanted though it looks like no chest film."""

    view: View | None = None
    side: Side = "unverified"
    reference: str = ""
    comment: str = ""
    shown: bool = False

    def spoken(self) -> dict[str, str]:
        """The entries that travel with an export; only what was entered."""
        side = SIDES[self.side] if self.side != "unverified" else ""
        entries = {"reference": self.reference.strip(), "comment": self.comment.strip(), "side": side}
        return {key: value for key, value in entries.items() if value}


@dataclass(frozen=True)
class OpenedAtlas:
    """An atlas from a file, kept for the session; `key` is the SHA-256 of the file."""

    key: str
    file: str
    atlas: Atlas


@dataclass
class Look:
    """What the page Concepts shows of which model.

    `atlas` and `other` are keys of atlases, None the first ones; `layer` None the last one. `unit` belongs to `layer`.
    `refused` is the last file that was no atlas, and why; `said` what became of the last request. `readings` names
    layers whose films may be read. `moves` numbers the widgets: a new number is a fresh one.
    """

    model: str | None = None
    view: str = "inventory"
    atlas: str | None = None
    other: str | None = None
    layer: str | None = None
    unit: int | None = None
    sought: Sought = field(default_factory=lambda: Sought(labelled=True))
    order: str = "iou"
    refused: tuple[str, XrayInterpError] | None = None
    said: str = ""
    readings: set[str] = field(default_factory=set)
    moves: int = 0

    def go(self, **changes: Any) -> None:
        """Show something else, chosen by other means than the widgets that show the choice."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.moves += 1


@dataclass
class Case:
    """The files a session opened, the film on screen and what is asked of it.

    `method` None is the model's default map, `layer` None the last layer, where a logit is split exactly. `comparing`,
    `compared`, `against` and `depth` are what the page Compare shows: its view, methods, second finding and depth;
    `compared` None is the first choice. `unusual`: the map of unusualness is drawn instead of the model's; `way` and
    `share` are how the page Anomaly makes it and sets it off, in per cent of its scale. `look` is what the page
    Concepts shows, `atlases` what files gave it. File names stay in this session: exports hold the hash only. `uploads`
    and `picks` number the uploader and the charts: a new number is a fresh widget that has forgotten its past.
    """

    opened: list[Film] = field(default_factory=list)
    sha256: str | None = None
    model: str | None = None
    finding: str | None = None
    method: str | None = None
    fit: Fit = "crop"
    from_zero: bool = False
    concept: str | None = None
    layer: str | None = None
    notes: dict[str, Notes] = field(default_factory=dict)
    comparing: str = "methods"
    compared: tuple[str, ...] | None = None
    against: str | None = None
    depth: int = 1
    unusual: bool = False
    way: str = USUAL_WAY
    share: int = 50
    look: Look = field(default_factory=Look)
    atlases: list[OpenedAtlas] = field(default_factory=list)
    uploads: int = 0
    picks: int = 0

    @property
    def films(self) -> list[Film]:
        """The files that could be read."""
        return [film for film in self.opened if film.radiograph is not None]

    @property
    def film(self) -> Film | None:
        """The film on screen."""
        return next((film for film in self.films if film.sha256 == self.sha256), None)

    @property
    def radiograph(self) -> Radiograph | None:
        """The film on screen, with the view as the reader confirmed or corrected it."""
        return self.seen(self.sha256)

    def seen(self, sha256: str | None) -> Radiograph | None:
        """A film of this session, with the view as the reader confirmed or corrected it."""
        film = next((film for film in self.films if film.sha256 == sha256), None)
        view = self.notes.get(sha256 or "", Notes()).view
        if film is None or film.radiograph is None or view is None:
            return None if film is None else film.radiograph
        return film.radiograph.with_view(view)

    @property
    def note(self) -> Notes:
        """What the reader said of the film on screen."""
        return self.notes.get(self.sha256 or "", Notes())

    def say(self, **changes: Any) -> None:
        """Note what the reader says of the film on screen."""
        if self.sha256 is not None:
            self.notes[self.sha256] = replace(self.note, **changes)

    def show(self, sha256: str) -> None:
        """Bring a film on screen; finding and concept are chosen anew for it."""
        if sha256 != self.sha256:
            self.sha256, self.finding, self.concept = sha256, None, None
            self.picks += 1

    def choose(self, finding: str) -> None:
        """Explain another finding; the concept is chosen anew for it."""
        if finding != self.finding:
            self.finding, self.concept = finding, None

    def draw(self, method: str) -> None:
        """Draw a method's map, in the place of whatever was drawn."""
        self.method, self.unusual = method, False

    def add(self, files: Sequence[Film]) -> None:
        """Add files, the same film once, and bring the first film among them on screen."""
        known = {film.sha256 for film in self.films}
        for file in files:
            if file.radiograph is None or file.sha256 not in known:
                self.opened.append(file)
                known.add(file.sha256)
        first = next((file for file in files if file.radiograph is not None), None)
        if first is not None and first.sha256 is not None:
            self.show(first.sha256)

    def close(self) -> None:
        """Forget all films and what was said of them."""
        self.opened.clear()
        self.notes.clear()
        self.sha256 = self.finding = self.concept = self.method = self.compared = self.against = None


def current() -> Case:
    """The case of this session."""
    if "case" not in st.session_state:
        st.session_state["case"] = Case()
    case: Case = st.session_state["case"]
    return case
