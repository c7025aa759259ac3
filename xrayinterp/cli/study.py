"""`xrayinterp study`: the papers' questions, run on your films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Code, XrayInterpError
from ..paths import DATA_ENV
from .console import remark, table, ticking
from .options import Device, folder_for, split_list

if TYPE_CHECKING:
    from ..studies.plan import Settings

Names = Annotated[
    list[str] | None, typer.Argument(help="Studies by name, or all; see --list.", show_default=False, metavar="NAME...")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for results; a run is taken up where it stopped.")
]
Data = Annotated[
    Path | None, typer.Option(help=f"Data root; else the environment variable {DATA_ENV}.", show_default=False)
]
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each arm, seeds 0, 1 ...; below 3 nothing is concluded.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs on labels; those of the other tasks change in proportion.")]
Size = Annotated[int, typer.Option(help="Side of the network's input in pixels; films are reduced to 8/7 of it.")]
Width = Annotated[float, typer.Option(help="Factor on the channels of every network.")]
Batch = Annotated[int, typer.Option(help="Films a step, on labels.")]
Limit = Annotated[int | None, typer.Option(help="At most so many films a split, for a trial.")]
Folds = Annotated[int, typer.Option(help="Folds of the cross-validation of severity.")]
Permutations = Annotated[int, typer.Option(help="Reassignments of masks behind the null of detectors, at least 19.")]
Budget = Annotated[
    float | None, typer.Option(min=0, help="Minutes after which no run is begun; the report tells what is done.")
]
List = Annotated[bool, typer.Option("--list", help="List the studies and what they ask.")]


def study(
    names: Names = None,
    out: Out = None,
    data: Data = None,
    seeds: Seeds = 5,
    epochs: Epochs = None,
    size: Size = 112,
    width: Width = 1.0,
    batch: Batch = 32,
    limit: Limit = None,
    folds: Folds = 5,
    permutations: Permutations = 99,
    budget: Budget = None,
    device: Device = "cpu",
    listed: List = False,
) -> None:
    """Run studies: train every arm, dissect it, and write an answer, a figure and tables to OUT/NAME.

    Trained networks lie in OUT/runs; studies share them, and so may several processes. Stopped, the same command goes
    on from the last epoch.
    """
    from ..studies.catalogue import STUDIES, study_named

    if listed:
        table(("NAME", "ARMS", "ASKS"), ((s.name, str(len(s.arms)), s.title) for s in STUDIES.values()))
        return
    asked = split_list(names or [])
    if not asked or out is None:
        missing = "No study is named." if not asked else "There is no folder for the results."
        hint = f"Name one of {', '.join(STUDIES)}, or all." if not asked else "Name one with --out."
        raise XrayInterpError(Code.BAD_OPTION, missing, hint)
    chosen = list(STUDIES.values()) if "all" in asked else [study_named(name) for name in asked]
    from ..paths import data_root
    from ..studies.conduct import conduct, epochs_left

    settings = _settings(epochs, size, width, batch, limit, folds, permutations)
    root = data_root(data)
    folder_for(out)
    with ticking(epochs_left(chosen, root, out, settings, range(seeds)), "epochs") as tick:
        whole = conduct(
            chosen,
            root,
            out,
            settings,
            seeds=range(seeds),
            budget=None if budget is None else 60 * budget,
            device=device,
            told=remark,
            tick=tick,
        )
    for one in chosen:
        typer.echo(str(out / one.name / "report.md"))
    if not whole:
        remark("The budget ended before the runs did: the same command goes on.")


def _settings(
    epochs: int | None, size: int, width: float, batch: int, limit: int | None, folds: int, permutations: int
) -> Settings:
    from ..studies.plan import Settings

    usual = Settings()
    share = 1.0 if epochs is None else epochs / usual.epochs
    return Settings(
        size=size,
        detail=max(32, round(size * usual.detail / usual.size)),
        width=width,
        epochs=usual.epochs if epochs is None else epochs,
        self_supervised_epochs=max(1, round(share * usual.self_supervised_epochs)),
        severity_epochs=max(1, round(share * usual.severity_epochs)),
        batch=batch,
        folds=folds,
        limit=limit,
        permutations=permutations,
    )
