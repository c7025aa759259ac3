"""What the command line says: results on stdout, progress and errors on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import typer

Item = TypeVar("Item")


def complain(code: str, text: str) -> None:
    """One error on stderr: `error [code]: text`."""
    typer.echo(f"error [{code}]: {text}", err=True)


def remark(text: str) -> None:
    """One line on stderr that is not an error."""
    typer.echo(text, err=True)


def tracked(items: Iterable[Item], total: int | None, doing: str) -> Iterator[Item]:
    """The same items, with a progress bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    bar = console.is_terminal
    yield from track(items, description=doing, total=total, console=console, transient=True, disable=not bar)


@contextmanager
def ticking(total: int, doing: str) -> Iterator[Callable[[], None]]:
    """A function to be called once a step, shown as a bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def download_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A function to be told (file, bytes so far, bytes in all), shown as a bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def told(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file, total=total)
            progress.update(tasks[file], completed=done, total=total)

        yield told


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table on stdout, columns aligned, nothing cut off: it reads the same on a screen and in a pipe."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
