"""Many films at once: one row each with gate, score and percentile; a film that is refused never stops the others."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, TextIO

from ..batch import OK, WARNED, Film, describe_failure, open_film, read_as
from ..imaging.radiograph import Radiograph, View
from .gate_record import WARNING

if TYPE_CHECKING:
    from .gate import Gate
    from .model import AnomalyModel, Score

COLUMNS = ("file", "verdict", "gate", "score", "percentile")
GateVerdict = Literal["pass", "stop", ""]


@dataclass(frozen=True)
class Row:
    """One line of the table: `verdict` as in `batch.Film`, "warned" where the header or the gate gave a reason to.

    `gate` is "stop" where the input gate or the detector's own threshold stops the film, and empty where there is
    neither or the film was refused; `score` and `percentile` are None where it was
    refused, for the reason in `message`.
    """

    file: str
    verdict: str
    gate: GateVerdict = ""
    score: float | None = None
    percentile: float | None = None
    message: str = ""

    @property
    def read(self) -> bool:
        """True where the film was read and scored."""
        return self.verdict in (OK, WARNED)


def score_films(
    files: Iterable[str],
    model: AnomalyModel,
    gate: Gate | None = None,
    *,
    view: View | None = None,
    batch: int = 16,
) -> Iterator[Row]:
    """One row a file, in order, as soon as its batch is done; `gate` stops films that look like no chest film.

    The detector sees centre crops, as of the normals it was fitted to and calibrated on.
    """
    waiting = iter(files)
    while chunk := tuple(islice(waiting, batch)):
        yield from score_opened([open_film(file, view=view, gate=gate) for file in chunk], model, gate)


def score_opened(films: Sequence[Film], model: AnomalyModel, gate: Gate | None = None) -> list[Row]:
    """One row a film, in order; a film on which the detector itself fails gets its code, the others their scores."""
    try:
        return _scored(films, model, gate)
    except Exception as error:
        if len(films) == 1:
            code, message = describe_failure(error)
            return [Row(films[0].file, code, message=message)]
    return [row for film in films for row in score_opened([film], model, gate)]  # finds out which film it is


def write_csv(rows: Iterable[Row], handle: TextIO) -> int:
    """The table as CSV (quoted as RFC 4180 says), each row written as it comes; the number of films refused."""
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(COLUMNS)
    refused = 0
    for row in rows:
        writer.writerow(cells(row))
        handle.flush()
        refused += not row.read
    return refused


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table; scores to six digits, percentiles to one decimal."""
    score = "" if row.score is None else f"{row.score:.6g}"
    percentile = "" if row.percentile is None else f"{row.percentile:.1f}"
    return (row.file, row.verdict, row.gate, score, percentile)


def _scored(films: Sequence[Film], model: AnomalyModel, gate: Gate | None) -> list[Row]:
    scores = iter(_scores(films, model))
    rows = []
    for film in films:
        if film.radiograph is None:
            rows.append(Row(film.file, film.verdict, message=film.message))
            continue
        found = next(scores)
        judged = read_as(film.file, _judged(film.radiograph, found, model.record.threshold))
        told: GateVerdict = "pass" if gate is not None or found.stopped is not None else ""
        if judged.radiograph is not None and WARNING in judged.radiograph.warnings:
            told = "stop"
        rows.append(Row(film.file, judged.verdict, told, found.score, found.percentile.value, judged.message))
    return rows


def _judged(radiograph: Radiograph, found: Score, threshold: float | None) -> Radiograph:
    """The film, warned of as the input gate would where the detector has a threshold of its own."""
    from .gate import Judgement, with_warning

    return radiograph if threshold is None else with_warning(radiograph, Judgement(found.score, threshold))


def _scores(films: Sequence[Film], model: AnomalyModel) -> list[Score]:
    import torch

    squares = [model.prepare(film.radiograph) for film in films if film.radiograph is not None]
    return model.scores(torch.cat(squares)) if squares else []
