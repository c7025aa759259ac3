"""`xrayinterp anomaly evaluate`: detectors of the unusual, compared on tasks of known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import Code, XrayInterpError
from ..paths import DATA_ENV
from .console import remark, table, ticking
from .options import EXIT_INTERNAL, Device, folder_for, split_list

Tasks = Annotated[
    list[str] | None,
    typer.Argument(help="Tasks by name; see --list.", show_default=False, metavar="TASK..."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for results; what lies there is not made again.")]
Seeds = Annotated[int, typer.Option(min=1, help="Seeds 0, 1 ... of every detector; below 3 nothing is concluded.")]
Detectors = Annotated[
    list[str] | None,
    typer.Option("--detectors", "-d", help="METHOD or METHOD@EXPERT, several by commas, or all; see --list."),
]
Data = Annotated[
    Path | None, typer.Option(help=f"Data root; else the environment variable {DATA_ENV}.", show_default=False)
]
Size = Annotated[int | None, typer.Option(min=16, help="Side of all images in pixels; else each task's own.")]
Limit = Annotated[int | None, typer.Option(min=2, help="At most so many images of each set, for a trial.")]
Effort = Annotated[float, typer.Option(min=0.001, max=1000, help="Factor on the steps of every training.")]
Budget = Annotated[float | None, typer.Option(min=0, help="Minutes after which nothing more is begun.")]
List = Annotated[bool, typer.Option("--list", help="List tasks, detectors and experts.")]


def evaluate(
    tasks: Tasks = None,
    out: Out = None,
    seeds: Seeds = 3,
    detectors: Detectors = None,
    data: Data = None,
    size: Size = None,
    limit: Limit = None,
    effort: Effort = 1.0,
    budget: Budget = None,
    device: Device = "cpu",
    listed: List = False,
) -> None:
    """Fit detectors on normal images and measure them on others: by image, and by pixel where there are outlines.

    Writes OUT/report.md and OUT/figures.parquet. Several processes may share OUT; stopped, the same command goes on.
    Exit status 1 where a detector failed.
    """
    if listed:
        _list()
        return
    asked = split_list(tasks or [])
    if not asked or out is None:
        missing = "No task is named." if not asked else "There is no folder for the results."
        raise XrayInterpError(Code.BAD_OPTION, missing, "See --list." if not asked else "Name one with --out.")
    if size is not None and size % 8:
        raise XrayInterpError(Code.BAD_OPTION, f"The side {size} is no multiple of 8.", f"Say {8 * (size // 8)}.")
    from ..anomaly.protocol_conduct import conduct, plan
    from ..anomaly.protocol_detectors import detectors_named
    from ..anomaly.protocol_family import Loading

    chosen = detectors_named(split_list(detectors or ["all"]))
    planned = plan(asked, chosen, seeds, Loading(data, size, limit), effort)
    folder_for(out)
    with ticking(len(planned.cells()), "detectors") as tick:
        left = conduct(
            planned, out, device=device, budget=None if budget is None else 60 * budget, told=remark, tick=tick
        )
    typer.echo(str(out / "report.md"))
    if left.all:
        missing = f"{left.failed} of {len(planned.cells())} failed, {left.waiting} are in work elsewhere or not begun"
        remark(f"{missing}: the same command goes on.")
    if left.failed:
        raise typer.Exit(EXIT_INTERNAL)


def _list() -> None:
    from ..anomaly.protocol_detectors import METHODS, experts
    from ..anomaly.protocol_tasks import families

    table(("TASK", "WHAT"), ((family.name, family.title) for family in families().values()))
    typer.echo()
    table(("DETECTOR", "WHAT"), ((method.name, method.title) for method in METHODS.values()))
    typer.echo()
    table(("EXPERT",), ((name,) for name in experts()))
