"""Results as they come: one line a film and method, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import Code, XrayInterpError
from ..paths import whole_file
from .cases import Case

_KEY = b"xrayinterp.evaluation"


@dataclass(frozen=True)
class Row(Case):
    """One measure of one method's map of one finding on one film.

    `value` is None where it was not measurable; `reference` and `state` belong to measures that are lamps. The rest is
    as in `cases.Case`.
    """

    method: str
    metric: str
    value: float | None
    reference: float | None
    state: str | None


_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("film", "patient", "split", "finding")]
    + [pa.field("logit", pa.float64())]
    + [pa.field(name, pa.bool_()) for name in ("flagged", "present", "primary")]
    + [pa.field(name, pa.string()) for name in ("method", "metric")]
    + [pa.field(name, pa.float64()) for name in ("value", "reference")]
    + [pa.field("state", pa.string())]
)


class Journal:
    """A folder of lines, one a finished (film, method), written by one process or by several, each to its own file.

    Args:
        folder: made if it is not there.
        settings: what all results in the folder share (JSON types).
        writer: name of this process's file.

    Raises:
        XrayInterpError: `bad-option` where the folder holds results of other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], writer: str = "0") -> None:
        self.folder = folder
        self._own = folder / f"journal-{writer}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder / "settings.json", settings)
        _drop_torn_line(self._own)

    def rows(self) -> dict[tuple[str, str], dict[str, list[Row]]]:
        """Rows there are, by (film, method) and then by metric; a metric without rows was asked for and had none."""
        out: dict[tuple[str, str], dict[str, list[Row]]] = {}
        for file in sorted(self.folder.glob("journal-*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n"):  # another process may be at the last one
                    _add(out, json.loads(line))
        return out

    def add(self, film: str, method: str, metrics: Iterable[str], rows: Iterable[Row]) -> None:
        """Keep the rows of a finished film and method."""
        entry = {"film": film, "method": method, "metrics": list(metrics), "rows": [asdict(row) for row in rows]}
        with self._own.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry, allow_nan=False) + "\n")


def save_rows(rows: Iterable[Row], path: Path, settings: Mapping[str, Any]) -> None:
    """Write rows as Parquet, with the settings in its metadata; the same rows give the same file."""
    metadata = {_KEY: json.dumps(settings, sort_keys=True).encode()}
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=_SCHEMA.with_metadata(metadata))
    with whole_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def load_rows(path: Path) -> tuple[tuple[Row, ...], Mapping[str, Any]]:
    """Rows and settings of a Parquet file that `save_rows` wrote.

    Raises:
        XrayInterpError: `not-found`; `bad-manifest` where the file is something else.
    """
    if not path.is_file():
        raise XrayInterpError(
            Code.NOT_FOUND, f"There is no file {path}.", "Name the values.parquet of `xrayinterp evaluate`."
        )
    try:
        table = pq.read_table(path)
        settings = json.loads(table.schema.metadata[_KEY])
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise XrayInterpError(
            Code.BAD_MANIFEST, f"{path} holds no results of `xrayinterp evaluate`.", "Name its values.parquet."
        ) from error
    return tuple(Row(**row) for row in table.to_pylist()), settings


def _add(out: dict[tuple[str, str], dict[str, list[Row]]], entry: Mapping[str, Any]) -> None:
    by_metric = out.setdefault((entry["film"], entry["method"]), {})
    by_metric.update({metric: [] for metric in entry["metrics"]})
    for row in entry["rows"]:
        by_metric[row["metric"]].append(Row(**row))


def _claim(file: Path, settings: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(settings))
    if not file.is_file():
        with whole_file(file) as partial:
            partial.write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return
    there = json.loads(file.read_text(encoding="utf-8"))
    differing = [key for key in wanted if there.get(key) != wanted[key]]
    if differing:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{file.parent} holds results of another run: it differs in {', '.join(differing)}.",
            "Name another folder, or the settings of that run.",
        )


def _drop_torn_line(file: Path) -> None:
    """A process that was killed while writing leaves half a line; it is measured again."""
    if file.is_file() and not (text := file.read_text(encoding="utf-8")).endswith("\n"):
        file.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
