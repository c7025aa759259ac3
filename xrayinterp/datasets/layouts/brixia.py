"""BrixIA as published: DICOM films, six zone scores a film as a text of six digits, and a consensus on some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..faults import Fault, Kind
from ..film import Film
from ..manifest import DataSet
from ..tables import Row, Uncertain, inside, outside, rows
from .common import Reading, film, first

TABLE = "metadata_global_v2.csv"
CONSENSUS = "metadata_consensus_v1.csv"
RATER, AGREED = "reporting", "consensus"
_ZONES = ("ModeA", "ModeB", "ModeC", "ModeD", "ModeE", "ModeF")


def present(folder: Path, manifest: DataSet) -> bool:
    """Whether the table of scores lies here."""
    return (folder / TABLE).is_file()


def read(folder: Path, manifest: DataSet, uncertain: Uncertain) -> Reading:
    """Films of the table: scores of the reporting radiologist, and the mode of five where there was a consensus."""
    agreed: dict[str, tuple[float, ...]] = {}
    yield from _consensus(folder, agreed)
    films = first(folder, "dicom_clean") or folder / "dicom_clean"
    for row in rows(folder / TABLE, ["Filename", "BrixiaScore"], delimiter=_delimiter(folder / TABLE)):
        yield row if isinstance(row, Fault) else _film(row, manifest, films, agreed)
    for id in agreed:
        yield Fault(Kind.UNKNOWN_FILM, CONSENSUS, f"it scores film {id}, which is not in {TABLE}")


def _consensus(folder: Path, out: dict[str, tuple[float, ...]]) -> Iterator[Fault]:
    path = folder / CONSENSUS
    if not path.is_file():
        return
    for row in rows(path, ["Filename", *_ZONES], delimiter=_delimiter(path)):
        if isinstance(row, Fault):
            yield row
            continue
        scores = [row.number(zone) for zone in _ZONES]
        if not all(score is not None and 0 <= score <= 3 for score in scores):
            yield Fault(Kind.OUT_OF_RANGE, row.where, f"film {row.get('Filename')}: a zone is not 0 to 3")
        else:
            out[row.get("Filename")] = tuple(float(score) for score in scores if score is not None)


def _film(row: Row, manifest: DataSet, films: Path, agreed: dict[str, tuple[float, ...]]) -> Film | Fault:
    id, text = row.get("Filename"), row.get("BrixiaScore").strip("'\"")
    path = inside(films, id)
    if path is None:
        return outside(row, id)
    if len(text) != 6 or not set(text) <= set("0123"):
        hint = "; leading zeros were lost" if len(text) < 6 and set(text) <= set("0123") else ""
        return Fault(Kind.OUT_OF_RANGE, row.where, f"film {id}: score {text!r} is not six digits 0 to 3{hint}")
    scores = {RATER: tuple(float(digit) for digit in text)}
    total = row.number("BrixiaScoreGlobal")
    if total is not None and total != sum(scores[RATER]):
        return Fault(Kind.OUT_OF_RANGE, row.where, f"film {id}: zones {text} do not add up to {total:g}")
    if id in agreed:
        scores[AGREED] = agreed.pop(id)
    test = row.get("ConsensusTestset") in ("1", "True", "true") or AGREED in scores
    return film(
        manifest, id, path,
        patient=row.get("Subject") or id,
        split="test" if test else "train",
        sex=row.get("Sex"),
        native_width=int(row.number("Columns") or 0),
        normal=sum(scores[RATER]) == 0,
        scores=scores,
    )  # fmt: skip


def _delimiter(path: Path) -> str:
    """What parts the cells: the releases differ."""
    if not path.is_file():
        return ";"
    with path.open(encoding="latin-1") as handle:
        head = handle.readline(4096)
    return ";" if head.count(";") > head.count(",") else ","
