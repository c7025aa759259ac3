"""Methods compared over the films of a probe set: measured film by film, resumable, the same whoever measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..attribution import Forward
from ..attribution.registry import method_named
from ..concepts.probes import ProbeFilm, ProbeSet, Seen
from ..dissection.atlas import Atlas
from ..dissection.io import atlases_for
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel
from .cases import FilmCases, film_cases
from .journal import Journal, Row
from .measures import DEFINITIONS, Bench, Copies, Metric, measure, metrics_named
from .references import Films

Tick = Callable[[], None]


@dataclass(frozen=True)
class Run:
    """What is measured: a model on the films of a probe set, by methods and metrics; `part` k of n takes every n-th.

    `seed` is of everything drawn at random on each film, the same for all methods.
    """

    model: ChestModel
    probes: ProbeSet
    methods: tuple[str, ...]
    metrics: tuple[Metric, ...]
    fit: Fit = "crop"
    seed: int = 0
    part: tuple[int, int] = (1, 1)

    @classmethod
    def of(
        cls, model: ChestModel, probes: ProbeSet, methods: Sequence[str], metrics: Sequence[str], **options: Any
    ) -> Run:
        """The same by names.

        Raises:
            XrayInterpError: `unknown-method`; `bad-option` for a metric; `data-missing` for a probe set without films.
        """
        if not probes.films:
            raise XrayInterpError(
                Code.DATA_MISSING, f"Probe set {probes.name!r} has no films of these splits.", "Name other splits."
            )
        return cls(model, probes, tuple(method_named(name).name for name in methods), metrics_named(metrics), **options)

    @property
    def settings(self) -> dict[str, Any]:
        """What results must share to lie in one folder."""
        return {
            "model": self.model.name,
            "model_sha256": self.model.card.sha256,
            "probes": self.probes.name,
            "definitions": DEFINITIONS,
            "fit": self.fit,
            "seed": self.seed,
        }

    @property
    def seen(self) -> Seen:
        """Whether the model's weights were fitted to films of these splits."""
        return self.probes.seen_by(self.model.name)

    @property
    def films(self) -> tuple[ProbeFilm, ...]:
        """The films of this part."""
        k, n = self.part
        return self.probes.films[k - 1 :: n]


@dataclass(frozen=True, eq=False)
class _Known:
    """What all films of a run share."""

    films: Films
    atlases: tuple[Atlas, ...]
    copies: Copies


def part_named(text: str) -> tuple[int, int]:
    """A process's share of a run: "1/2" is (1, 2).

    Raises:
        XrayInterpError: `bad-option` for anything else, or a part beyond their number.
    """
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise XrayInterpError(Code.BAD_OPTION, f"{text!r} is no part of a run.", "Write it as 1/2 for the first half.")
    return int(number), int(of)


def measure_all(run: Run, folder: Path, tick: Tick = lambda: None) -> None:
    """Measure what is not in the folder yet; `tick` is called once a film and method of this part."""
    journal = Journal(folder, run.settings, f"{run.part[0]}-of-{run.part[1]}")
    done = journal.rows()
    known = _Known(Films(run.model, fit=run.fit), atlases_for(run.model), Copies(run.model, run.seed))
    for film in run.films:
        missing = {method: _missing(run, done.get((film.id, method), {})) for method in run.methods}
        if any(missing.values()):
            for method, metrics, rows in _film_rows(run, film, missing, known):
                journal.add(film.id, method, [metric.name for metric in metrics], rows)
                tick()
        for _ in range(sum(not metrics for metrics in missing.values())):
            tick()


def results(run: Run, folder: Path) -> tuple[Row, ...] | None:
    """All rows of a run in order of films, findings, methods and metrics; None while another part is not done."""
    done = Journal(folder, run.settings, f"{run.part[0]}-of-{run.part[1]}").rows()
    out: list[Row] = []
    for film in run.probes.films:
        entries = [done.get((film.id, method), {}) for method in run.methods]
        if any(_missing(run, entry) for entry in entries):
            return None
        rows = [row for entry in entries for metric in run.metrics for row in entry[metric.name]]
        findings = {finding: i for i, finding in enumerate(run.model.findings)}
        out += sorted(rows, key=lambda row: findings[row.finding])  # stable: methods and metrics keep their order
    return tuple(out)


def _missing(run: Run, entry: dict[str, list[Row]]) -> tuple[Metric, ...]:
    return tuple(metric for metric in run.metrics if metric.name not in entry)


def _film_rows(
    run: Run, film: ProbeFilm, missing: dict[str, tuple[Metric, ...]], known: _Known
) -> Iterator[tuple[str, tuple[Metric, ...], list[Row]]]:
    seen = film_cases(run.model, film, run.fit)
    methods = tuple(method for method, metrics in missing.items() if metrics)
    bench = Bench(run.model, Forward(run.model, seen.x), known.films, known.atlases, known.copies, methods, run.seed)
    for method, metrics in missing.items():
        if metrics:
            yield method, metrics, _rows(bench, seen, method, metrics)


def _rows(bench: Bench, seen: FilmCases, method: str, metrics: Sequence[Metric]) -> list[Row]:
    """Every measure on the primary case, localisation on the others."""
    rows = []
    for case in seen.cases:
        asked = [metric for metric in metrics if case.primary or metric.outlined]
        values = measure(bench, case.finding, method, asked, seen.outlines.get(case.finding))
        rows += [Row(**asdict(case), method=method, **asdict(value)) for value in values]
    return rows
