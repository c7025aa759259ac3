"""Does a lamp tell the maps that find a planted cause from those that miss it?

`python -m xrayinterp.evaluation.planted_lamps --out FOLDER` measures lamps on the nets of `planted` and writes
lamps.parquet; a broken run goes on. Nets of one output have no other finding, and no atlas: the lamps that need one are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..attribution.registry import METHODS
from ..concepts.shortcuts import SHORTCUTS
from ..training.loop import Recipe
from .journal import Row, save_rows
from .lamps import LampWorth
from .planted import HELD_OUT, trials
from .planted_maps import planted_probes
from .planting import ANY, RECIPE
from .runs import Run, measure_all, results
from .summary import lamp_worth

MEASURED = ("weight-sensitivity", "stability", "faithful", "pointing")
"""Lamps that a net of one output has, and whether the peak lies on the paste."""


def planted_rows(
    methods: Sequence[str],
    folder: Path,
    *,
    shortcuts: Sequence[str] = tuple(SHORTCUTS),
    films: int = 20,
    train_films: int | None = None,
    held_out_films: int = HELD_OUT,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Row, ...]:
    """`MEASURED` of every method's map on films whose logit the paste raises; ids begin with the shortcut.

    The findings count as flagged: the net says what was planted. Arguments as in `planted.planted_table`.
    """
    rows: list[Row] = []
    options: dict[str, Any] = {"train_films": train_films, "held_out_films": held_out_films, "recipe": recipe}
    for trial in trials(shortcuts, ANY, 0.9, films, seed=seed, **options):
        if not len(trial.kept):  # a net that did not learn its cause: nothing to be found
            continue
        probes = planted_probes(trial.net, trial.cases, trial.kept)
        run = Run.of(trial.net.model, probes, methods, MEASURED, seed=seed)
        measure_all(run, folder / trial.shortcut, tick)
        rows += [
            replace(row, film=f"{trial.shortcut}/{row.film}", flagged=True)
            for row in results(run, folder / trial.shortcut) or ()
        ]
    return tuple(rows)


def planted_worth(rows: Sequence[Row], method: str | None = None, *, seed: int = 0) -> tuple[LampWorth, ...]:
    """Each lamp of `MEASURED` as a judge of whether a map's peak lies on the paste."""
    found = lamp_worth(rows, method, seed=seed)
    return tuple(replace(one, outcome="planted") for one in found if one.outcome == "pointing" and one.maps)


def command(
    out: Annotated[Path, typer.Option(help="Folder of results; a broken run in it goes on.")],
    methods: Annotated[str, typer.Option(help="Names by commas; else every method of one pass.")] = "",
    films: Annotated[int, typer.Option(help="Most films measured a shortcut.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of weights, pastes and draws.")] = 0,
) -> None:
    """Measure lamps where the cause is known and write lamps.parquet."""
    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    chosen = chosen or [name for name, method in METHODS.items() if method.single]
    rows = planted_rows(chosen, out / "lamps", films=films, seed=seed)
    save_rows(rows, out / "lamps.parquet", {"films": films, "seed": seed, "methods": chosen})
    for one in planted_worth(rows):
        typer.echo(f"{one.lamp}: {one.auroc} [{one.hits} of {one.maps}]")


if __name__ == "__main__":
    typer.run(command)
