"""What can be wrong with a copy of a data set, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..errors import Code, XrayInterpError


class Kind(StrEnum):
    """Kinds of damage, as `data check` names them."""

    MISSING_TABLE = "missing-table"
    BAD_ENCODING = "bad-encoding"
    BAD_FILE = "bad-file"
    WRONG_COLUMNS = "wrong-columns"
    EMPTY_TABLE = "empty-table"
    BAD_ROW = "bad-row"
    OUT_OF_RANGE = "out-of-range"
    OUTSIDE_ROOT = "outside-root"
    DUPLICATE_ROW = "duplicate-row"
    TWO_SPLITS = "patient-in-two-splits"
    UNKNOWN_FILM = "unknown-film"
    MISSING_FILM = "missing-film"
    UNREADABLE_FILM = "unreadable-film"
    MISSING_MASK = "missing-mask"
    UNREADABLE_MASK = "unreadable-mask"
    MASK_SIZE = "mask-size"
    BOX_OUTSIDE = "box-outside"
    COUNT = "count"


REMEDIES = {
    Kind.MISSING_TABLE: "Fetch it (`xrayinterp data describe` says where), or say --subset where you do without.",
    Kind.BAD_ENCODING: "Save the table as UTF-8.",
    Kind.BAD_FILE: "Fetch the file again: it is cut off or was changed.",
    Kind.WRONG_COLUMNS: "Fetch the table again, or name its columns in a manifest of your own.",
    Kind.EMPTY_TABLE: "Fetch the table again: it has a head and no row.",
    Kind.BAD_ROW: "Correct these rows, or fetch the table again.",
    Kind.OUT_OF_RANGE: "Correct these values, or fetch the table again.",
    Kind.OUTSIDE_ROOT: "Keep every file of a data set inside its folder; nothing outside is read.",
    Kind.DUPLICATE_ROW: "Keep one row a film: doubled films are counted twice.",
    Kind.TWO_SPLITS: "Keep all films of a patient in one split, or what is measured on the other is too good.",
    Kind.UNKNOWN_FILM: "Fetch the tables again, from one release: these annotations belong to no film of it.",
    Kind.MISSING_FILM: "Fetch the archives that hold these films, or say --subset where you keep only a part.",
    Kind.UNREADABLE_FILM: "Fetch these films again.",
    Kind.MISSING_MASK: "Fetch the masks again.",
    Kind.UNREADABLE_MASK: "Fetch the masks again.",
    Kind.MASK_SIZE: "Use films and masks of the same release: a mask of another size lies in the wrong place.",
    Kind.BOX_OUTSIDE: "Check that boxes are in pixels of these films, as left, top, width and height.",
    Kind.COUNT: "Fetch the table again, or say --subset where you keep only a part.",
}
"""What to do about each kind."""

_HARMLESS_TO_READERS = frozenset(
    {Kind.MISSING_TABLE, Kind.EMPTY_TABLE, Kind.DUPLICATE_ROW, Kind.TWO_SPLITS, Kind.UNKNOWN_FILM}
)
PARTS = frozenset({Kind.MISSING_TABLE, Kind.MISSING_FILM, Kind.UNKNOWN_FILM, Kind.COUNT})
"""What is no damage where somebody keeps only a part of a data set."""

LOST = PARTS | {Kind.BAD_FILE, Kind.EMPTY_TABLE, Kind.UNREADABLE_FILM, Kind.MISSING_MASK, Kind.UNREADABLE_MASK}
"""What fetching the data set again would mend."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: its kind, the row or film, and what is said of it."""

    kind: Kind
    where: str
    said: str

    @property
    def stops_reading(self) -> bool:
        """Whether a reader must refuse the data set for it; `data check` goes on and counts."""
        return self.kind not in _HARMLESS_TO_READERS

    def error(self, name: str) -> XrayInterpError:
        """The error by which a reader of data set `name` refuses."""
        said = f"{self.where} does not fit the data manifest {name!r}: {self.said}."
        return XrayInterpError(Code.BAD_MANIFEST, said, REMEDIES[self.kind])
