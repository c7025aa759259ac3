"""The tables of a study: one row a run and measure, a run, layer and concept, a run and unit that changed its label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..paths import whole_file
from .contrasts import RESAMPLES
from .dissected import LayerLine, changes
from .questions import Study
from .store import Result

Runs = Mapping[str, Mapping[int, Result]]
Row = dict[str, Any]


def write_tables(study: Study, runs: Runs, folder: Path) -> None:
    """Write runs.parquet, detectors.parquet and changes.parquet; the same runs give the same bytes."""
    for name, rows in (
        ("runs", run_rows(study, runs)),
        ("detectors", detector_rows(study, runs)),
        ("changes", change_rows(study, runs)),
    ):
        with whole_file(folder / f"{name}.parquet") as partial:
            pq.write_table(pa.Table.from_pylist(rows), partial, compression="zstd")


def run_rows(study: Study, runs: Runs) -> list[Row]:
    """Every measure of every run, with its 95 % interval over patients."""
    rows = []
    for arm, result in _results(study, runs):
        run = result.run
        for name, measure in result.measures.items():
            draws = measure.resampled(RESAMPLES)
            known = draws[np.isfinite(draws)]
            low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
            rows.append(
                {
                    "study": study.name,
                    "arm": arm,
                    "kind": study.arm(arm).kind,
                    "seed": run.seed,
                    "key": result.key,
                    "task": run.task,
                    "start": "random" if run.start is None else run.start.task,
                    "architecture": run.architecture,
                    "loss": run.loss,
                    "sampling": run.sampling,
                    "shuffled": run.shuffled,
                    "training_films": result.films,
                    "weights": result.weights,
                    "measure": name,
                    "unit": measure.kind,
                    "value": measure.value,
                    "low": float(low),
                    "high": float(high),
                    "films": len(measure.patients),
                    "patients": len(set(measure.patients.tolist())),
                }
            )
    return rows


def detector_rows(study: Study, runs: Runs) -> list[Row]:
    """Every concept of every dissected layer of every run, with the layer's totals."""
    totals = ("units", "detectors", "by_iou_alone", "permuted", "permuted_highest", "family_wise", "both_halves")
    return [
        {
            "study": study.name,
            "arm": arm,
            "seed": result.run.seed,
            "key": result.key,
            "probe": line.probe,
            "seen": line.seen,
            "layer": line.layer,
            "probe_films": line.films,
            "probe_patients": line.patients,
            **{f"layer_{name}": getattr(line, name) for name in totals},
            **asdict(concept),
        }
        for arm, result in _results(study, runs)
        for line in result.lines
        for concept in line.concepts
    ]


def change_rows(study: Study, runs: Runs) -> list[Row]:
    """Units that gained or lost a label against the run's own start, layer by layer."""
    rows = []
    for arm, result in _results(study, runs):
        for line, earlier in with_start(result, runs, study):
            found = changes(earlier, line)
            for change, units in (("gained", found.gained), ("lost", found.lost)):
                rows += [
                    {
                        "study": study.name,
                        "arm": arm,
                        "seed": result.run.seed,
                        "key": result.key,
                        "probe": line.probe,
                        "layer": line.layer,
                        "change": change,
                        "concept": concept,
                        "unit": unit,
                    }
                    for concept, members in units.items()
                    for unit in members
                ]
    return rows


def with_start(result: Result, runs: Runs, study: Study) -> Iterator[tuple[LayerLine, LayerLine]]:
    """Every layer of a run beside the same layer of the network it began with, where the study holds that."""
    before = result.run.before
    earlier = next(
        (
            found
            for arm in study.arms
            for found in runs.get(arm.name, {}).values()
            if before is not None and found.run == before
        ),
        None,
    )
    for line in result.lines:
        old = None if earlier is None else earlier.line(line.probe, line.layer)
        if old is not None:
            yield line, old


def _results(study: Study, runs: Runs) -> Iterator[tuple[str, Result]]:
    for arm in study.arms:
        for _, result in sorted(runs.get(arm.name, {}).items()):
            yield arm.name, result


def of_arm(runs: Runs, arm: str) -> Sequence[Result]:
    """An arm's finished runs by seed."""
    return [result for _, result in sorted(runs.get(arm, {}).items())]
