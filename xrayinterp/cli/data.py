"""`xrayinterp data`: films to try things on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from .console import download_bar, remark

app = typer.Typer(help="Films to try things on.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder to copy them to (made).", show_default=False)]


@app.callback()
def _group() -> None:
    """Keeps `examples` a subcommand while it is the only one."""


@app.command()
def examples(out: Out = None) -> None:
    """Fetch three public chest radiographs, check their SHA-256, and show where they lie."""
    from ..datasets.examples import fetch_examples, load_examples

    with download_bar() as progress:
        paths = fetch_examples(progress)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        paths = [Path(shutil.copy2(path, out / path.name)) for path in paths]
    for path in paths:
        typer.echo(str(path))
    remark(f"{len(paths)} films, SHA-256 verified. {load_examples().licence}")
