"""`xrayinterp models`: which models there are, what each is worth, and how its weights get here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import download_bar, remark, table

if TYPE_CHECKING:
    from ..models.registry import ModelEntry

app = typer.Typer(help="The models: list them, read their cards, fetch or import their weights.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A model's name.", show_default=False)]
_ABSENT = "-"


@app.command("list")
def list_models() -> None:
    """List every model: name, where its weights are, number of outputs, what was measured of it here, title."""
    from ..models.registry import describe, model_names

    entries = [describe(name) for name in model_names()]
    table(("NAME", "WEIGHTS", "OUTPUTS", "MEASURED HERE", "TITLE"), (_line(entry) for entry in entries))


@app.command()
def show(name: Name) -> None:
    """Show a model's card: data, licence, limits, hash, and what was measured of each finding."""
    from ..models.registry import describe

    entry = describe(name)
    for title, text in _card_lines(entry):
        typer.echo(f"{title:<10}{text}")
    typer.echo()
    if entry.task == "findings":
        table(
            ("FINDING", "AUROC (95 % INTERVAL)", "PATIENTS", "SENSITIVITY", "SPECIFICITY", "ASSESSED"),
            (_finding_line(entry, finding) for finding in entry.findings),
        )
    else:
        typer.echo(f"Outputs: {', '.join(entry.findings)}")
    _show_units(entry)


@app.command()
def fetch(name: Name) -> None:
    """Fetch a model's weights, check their SHA-256, and convert them to safetensors."""
    from ..models import weights

    with download_bar() as progress:
        path = weights.fetch(name, progress=progress)
    remark(f"{name}: {path}")


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(help="Weights: safetensors, or a torchxrayvision pickle.", show_default=False)
    ],
    name: Annotated[str | None, typer.Option("--name", help="What to call the model; else the file's name.")] = None,
) -> None:
    """Import weights from a file; a pickle that names anything but a network is refused and nothing of it runs."""
    from ..models import weights

    path = weights.import_weights(file, name)
    remark(f"{path.stem}: {path}")


def _show_units(entry: ModelEntry) -> None:
    from ..dissection.unit_facts import unit_facts_for
    from ..report.unit_words import CONCEPT_COLUMNS, concept_caption, concept_rows, unit_lines

    facts = unit_facts_for(entry)
    if facts is None:
        return
    typer.echo(f"\n{concept_caption(facts)}:")
    table(tuple(name.upper() for name in CONCEPT_COLUMNS), concept_rows(facts))
    typer.echo()
    for title, text in unit_lines(facts):
        typer.echo(f"{title:<13}{text}")


def _line(entry: ModelEntry) -> tuple[str, ...]:
    where = "here" if entry.available else "not in this installation" if entry.url is None else "to fetch"
    return (
        f"{entry.name} (default)" if entry.default else entry.name,
        where,
        str(len(entry.findings)) if entry.findings else _ABSENT,
        "{}: {}".format(*entry.card.figures[0]) if entry.card.figures else "nothing",
        entry.card.title + (" (research only)" if entry.card.research_only else ""),
    )


def _card_lines(entry: ModelEntry) -> Iterator[tuple[str, str]]:
    from ..report.words import RESEARCH_ONLY

    card = entry.card
    yield "Model", f"{entry.name}: {card.title}"
    yield "About", card.summary
    yield "Data", card.data
    yield "Licence", card.licence
    if card.research_only:
        yield "Use", f"{RESEARCH_ONLY}."
    yield "Tested on", card.tested_on or "not measured here"
    for words, figure in card.figures:
        yield "Measured", f"{words}: {figure}"
    for limit in card.limits:
        yield "Limit", limit
    yield "Weights", f"{entry.weights}{'' if entry.available else ' (not there)'}"
    if entry.url is not None:
        yield "Published", entry.url
    yield "SHA-256", f"{card.sha256 or _ABSENT} ({entry.hash_note})"


def _finding_line(entry: ModelEntry, finding: str) -> tuple[str, ...]:
    metrics, point = entry.metrics.get(finding), entry.operating_points.get(finding)
    auroc = metrics.auroc if metrics else None
    return (
        finding,
        f"{auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f})" if auroc else "not measured here",
        _ABSENT if metrics is None or metrics.patients is None else str(metrics.patients),
        _ABSENT if point is None or point.sensitivity is None else f"{point.sensitivity:.2f}",
        _ABSENT if point is None or point.specificity is None else f"{point.specificity:.2f}",
        _ABSENT if auroc is None else "yes" if metrics and metrics.assessed else "not reliably",
    )
