"""Many films at once: each is read or refused with a reason, never stops the others, and becomes one row."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from .download import sha256_of
from .errors import Code, XrayInterpError
from .imaging.geometry import Fit
from .imaging.radiograph import Radiograph, View

if TYPE_CHECKING:
    from .models.chest_model import ChestModel

OK = "ok"
WARNED = "warned"
FIXED_COLUMNS = ("file", "sha256", "verdict", "message")


class Gate(Protocol):
    """What warns of a film that looks like no frontal chest film: `anomaly.gate.Gate`."""

    def warned(self, radiograph: Radiograph, /) -> Radiograph:
        """The film, with a warning where it is one."""
        ...


@dataclass(frozen=True)
class Film:
    """One file after reading: `radiograph` is None where it was refused.

    `file` is the name as given; `sha256` is None only where there are no bytes to hash; `verdict` is `ok`, `warned` or
    the error's code; `message` is what was warned of (`code: message`, joined by spaces) or the error and its hint.
    """

    file: str
    sha256: str | None
    verdict: str
    message: str
    radiograph: Radiograph | None = None


@dataclass(frozen=True)
class Row:
    """One line of a batch table: `logits` by finding, empty where the film was refused."""

    file: str
    sha256: str | None
    verdict: str
    message: str
    logits: Mapping[str, float] = field(default_factory=dict)

    @property
    def read(self) -> bool:
        """True where the film was read and scored."""
        return self.verdict in (OK, WARNED)


def gather(given: Sequence[str], *, exclude: Collection[Path] = ()) -> tuple[str, ...]:
    """Files named by `given`, in its order: a file as it is, a folder as all its files, recursive and sorted.

    Inside a folder, names with a leading dot and what is listed in `exclude` (files or folders, such as results of an
    earlier run) are passed over and links to folders are not followed. Nothing is judged by its suffix; a name that
    does not exist stays in the list and gets its verdict when it is opened.
    """
    passed_over = frozenset(path.resolve() for path in exclude)
    return tuple(name for item in given for name in (_inside(item, passed_over) if Path(item).is_dir() else [item]))


def _inside(folder: str, passed_over: frozenset[Path]) -> list[str]:
    found: list[Path] = []

    def keep_unreadable(error: OSError) -> None:
        found.append(Path(str(error.filename)))

    for path, folders, files in os.walk(folder, onerror=keep_unreadable):
        here = Path(path)
        folders[:] = [name for name in folders if _wanted(here / name, passed_over)]
        found += [here / name for name in files if _wanted(here / name, passed_over)]
    return [str(path) for path in sorted(found)]


def _wanted(path: Path, passed_over: frozenset[Path]) -> bool:
    return not path.name.startswith(".") and path.resolve() not in passed_over


def open_film(file: str, source: bytes | None = None, *, view: View | None = None, gate: Gate | None = None) -> Film:
    """Read one film; never raises, a refusal is its verdict.

    Args:
        file: its path, or the name it goes by where `source` is given.
        source: its bytes where it is not on disk (an upload).
        view: the view as the reader states it; None takes the header's.
        gate: warns of a film that looks like no frontal chest film; None asks none.
    """
    from .imaging.reader import read

    try:
        radiograph = read(Path(file) if source is None else source, view=view, name=Path(file).name)
        if gate is not None:
            radiograph = gate.warned(radiograph)
    except Exception as error:
        code, message = describe_failure(error)
        return Film(file, _sha256(Path(file) if source is None else source), code, message)
    return read_as(file, radiograph)


def read_as(file: str, radiograph: Radiograph) -> Film:
    """A file as what was read of it; its verdict follows from the warnings."""
    warnings = " ".join(f"{warned.code}: {warned.message}" for warned in radiograph.warnings)
    return Film(file, radiograph.sha256, WARNED if warnings else OK, warnings, radiograph)


def describe_failure(error: Exception) -> tuple[Code, str]:
    """Code and text for anything that can go wrong with a film; what is unforeseen is `internal`."""
    if isinstance(error, XrayInterpError):
        return error.code, str(error)
    return Code.INTERNAL, f"The film could not be handled. {type(error).__name__}: {error}"


def _sha256(source: Path | bytes) -> str | None:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        return sha256_of(source) if source.is_file() else None  # a pipe or a device may never end
    except OSError:
        return None


def predict_films(
    files: Iterable[str],
    model: ChestModel,
    *,
    view: View | None = None,
    fit: Fit = "crop",
    batch: int = 16,
    gate: Gate | None = None,
) -> Iterator[Row]:
    """One row a file, in order, as soon as its batch is done.

    Args:
        files: paths, as `gather` gives them.
        model: what scores them.
        view: as the reader states it for all films; None takes each header's.
        fit: centre crop, or pad to the long side.
        batch: films a forward; 16 costs least a film on a CPU.
        gate: see `open_film`; films that it warns of are scored all the same.
    """
    waiting = iter(files)
    while chunk := tuple(islice(waiting, batch)):
        yield from predict_opened([open_film(file, view=view, gate=gate) for file in chunk], model, fit=fit)


def predict_opened(films: Sequence[Film], model: ChestModel, *, fit: Fit = "crop") -> list[Row]:
    """One row a film, in order; a film on which the model itself fails gets its code, the others their logits."""
    try:
        return _scored(films, model, fit)
    except Exception as error:
        if len(films) == 1:
            code, message = describe_failure(error)
            return [Row(films[0].file, films[0].sha256, code, message)]
    return [row for film in films for row in predict_opened([film], model, fit=fit)]  # finds out which film it is


def _scored(films: Sequence[Film], model: ChestModel, fit: Fit) -> list[Row]:
    from .operators.batching import batched

    inputs = (model.prepare(film.radiograph, fit)[0] for film in films if film.radiograph is not None)
    values = batched(model.logits, inputs)
    return [
        Row(
            film.file,
            film.sha256,
            film.verdict,
            film.message,
            {} if film.radiograph is None else dict(zip(model.findings, next(values).tolist(), strict=True)),
        )
        for film in films
    ]


def columns(findings: Sequence[str]) -> tuple[str, ...]:
    """Head of the batch table: file, sha256, verdict, message, then one logit column a finding."""
    return (*FIXED_COLUMNS, *findings)


def cells(row: Row, findings: Sequence[str]) -> tuple[str, ...]:
    """One line of the batch table; logits to five decimals (float32 holds no more), empty where there are none."""
    logits = (f"{row.logits[finding]:.5f}" if finding in row.logits else "" for finding in findings)
    return (row.file, row.sha256 or "", row.verdict, row.message, *logits)


def write_csv(rows: Iterable[Row], findings: Sequence[str], handle: TextIO) -> int:
    """The batch table as CSV (quoted as RFC 4180 says), each row written as it comes; the number of films refused."""
    writer = csv.writer(handle, lineterminator="\n")
    writer.writerow(columns(findings))
    refused = 0
    for row in rows:
        writer.writerow(cells(row, findings))
        handle.flush()
        refused += not row.read
    return refused
