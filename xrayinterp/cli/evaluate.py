"""`xrayinterp evaluate`: attribution methods compared over films."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..paths import DATA_ENV
from .console import remark, ticking
from .options import (
    DEFAULT_MODEL,
    Device,
    FitOption,
    Model,
    Seed,
    StatedFit,
    fit_of,
    folder_for,
    open_model,
    split_list,
)

if TYPE_CHECKING:
    from ..evaluation.journal import Row
    from ..evaluation.runs import Run

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for results; a run is taken up where it stopped.")]
Probes = Annotated[str, typer.Option(help="Probe set: films, with outlines for localisation.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--methods", "-M", help="Methods, by commas or repeated.  \\[default: those of a single pass]"),
]
Metrics = Annotated[list[str] | None, typer.Option(help="Measures, by commas or repeated.  \\[default: all]")]
Splits = Annotated[list[str] | None, typer.Option(help="Films of these splits, by commas or repeated: val to choose.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many films, drawn by the seed.")]
Part = Annotated[str, typer.Option(help="This process's share of the films, as 1/2; all share one folder.")]
Untrained = Annotated[
    bool, typer.Option("--untrained", help="Take a DenseNet-121 of random weights with this model's findings.")
]
Data = Annotated[
    Path | None, typer.Option(help=f"Data root; else the environment variable {DATA_ENV}.", show_default=False)
]


def evaluate(
    out: Out,
    model: Model = DEFAULT_MODEL,
    probes: Probes = "chestx-det",
    methods: Methods = None,
    metrics: Metrics = None,
    splits: Splits = None,
    limit: Limit = None,
    part: Part = "1/1",
    untrained: Untrained = False,
    fit: StatedFit = FitOption.CROP,
    data: Data = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Compare attribution methods over films: sanity, stability, faithfulness and localisation.

    Writes values.parquet (one row a film, finding, method and measure), table.md and figure.svg.
    Films are of the test split unless --splits says otherwise.
    """
    if data is not None:
        os.environ[DATA_ENV] = str(data)  # whatever else reads films takes them from the same place
    from ..attribution import METHODS
    from ..concepts.probes import load_probe_set
    from ..evaluation.measures import METRICS
    from ..evaluation.runs import Run, measure_all, part_named, results
    from ..evaluation.untrained import untrained as without_training

    chosen = open_model(model, device)
    run = Run.of(
        without_training(chosen, seed=seed) if untrained else chosen,
        load_probe_set(probes, splits=split_list(splits or ["test"]), limit=limit, seed=seed),
        split_list(methods or []) or [method.name for method in METHODS.values() if method.single],
        split_list(metrics or []) or list(METRICS),
        fit=fit_of(fit),
        seed=seed,
        part=part_named(part),
    )
    folder_for(out)
    with ticking(len(run.films) * len(run.methods), "measuring") as tick:
        measure_all(run, out, tick)
    rows = results(run, out)
    if rows is None:
        remark(f"{out}: part {part} is done; the tables are written by the part that ends last.")
        return
    _write(run, rows, out)


def _write(run: Run, rows: tuple[Row, ...], out: Path) -> None:
    from ..evaluation.figure import forest
    from ..evaluation.journal import save_rows
    from ..evaluation.summary import lamp_worth, summarise
    from ..evaluation.tables import document

    settings = run.settings | {"seen": run.seen}
    summaries = summarise(rows, seed=run.seed)
    worth = [line for method in (None, *run.methods) for line in lamp_worth(rows, method, seed=run.seed)]
    save_rows(rows, out / "values.parquet", settings)
    (out / "table.md").write_text(document(rows, summaries, worth, settings), encoding="utf-8")
    (out / "figure.svg").write_text(forest(summaries, f"Attribution methods on {run.model.name}"), encoding="utf-8")
    remark(f"{out}: {len(rows)} values of {len(run.methods)} methods on {len(run.probes.films)} films.")
    if run.seen != "no":
        whether = "was" if run.seen == "yes" else "may have been"
        remark(f"{run.model.name} {whether} fitted to films of these splits: maps of films it knows may look better.")
