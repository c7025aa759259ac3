"""`xrayinterp explain`, `predict` and `schema`: films in, files out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from ..errors import Code, XrayInterpError
from .console import complain, remark, tracked
from .options import (
    DEFAULT_MODEL,
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    Device,
    Files,
    FitOption,
    Model,
    Seed,
    StatedFit,
    StatedView,
    cannot_write,
    fit_of,
    folder_for,
    open_model,
    split_list,
    view_of,
)

if TYPE_CHECKING:
    from ..batch import Film
    from ..explanation import Explanation
    from ..imaging.radiograph import Radiograph


def predict(
    files: Files,
    csv: Annotated[Path, typer.Option("--csv", help="Table to write: a row a film.", show_default=False)],
    model: Model = DEFAULT_MODEL,
    view: StatedView = None,
    fit: StatedFit = FitOption.CROP,
    device: Device = "cpu",
) -> None:
    """Score many films: one CSV row each, in the order given, refused ones with the reason.

    Columns: file (as given), sha256, verdict (ok, warned or the error's code), message, then one logit a finding. A
    film that does not look like a frontal chest film is scored all the same, and warned of as looks-unlike-chest.
    """
    from ..anomaly.gate import load_gate
    from ..batch import predict_films, write_csv

    names = gathered(files, exclude=(csv, unfinished(csv)))
    chest_model = open_model(model, device)
    rows = predict_films(names, chest_model, view=view_of(view), fit=fit_of(fit), gate=load_gate())
    known = tracked(rows, len(names), "Predicting")
    refused = written(csv, lambda handle: write_csv(known, chest_model.findings, handle))
    conclude(len(names), refused, csv)


def explain(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results (made).", show_default=False)],
    model: Model = DEFAULT_MODEL,
    finding: Annotated[
        str | None,
        typer.Option("--finding", "-f", help="What to explain; else the logit furthest over its operating point."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--methods", help="Saliency methods, by commas or repeated.  \\[default: the model's]"),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also a PDF report a film.")] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Also the trust strip of every map, into NAME.json: 40 to 70 runs of the model for most methods.",
        ),
    ] = False,
    anatomy: Annotated[
        bool,
        typer.Option(help="Where maps lie on the chest, and the cardiothoracic ratio (research-only weights)."),
    ] = True,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            help="Also what concepts of this layer (denseblock3, ...) give, by gradient x activation and by taking "
            "units out; by commas or repeated.",
        ),
    ] = None,
    view: StatedView = None,
    fit: StatedFit = FitOption.CROP,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Explain films: NAME.json, NAME.METHOD.npy, NAME.METHOD.png and, with --pdf, NAME.pdf for each one read.

    NAME is the file's name without its image suffix; where another film in the folder has it, NAME-HASH with the first
    eight digits of the film's SHA-256.
    """
    from ..batch import open_film
    from ..dissection.io import atlases_for
    from ..evaluation.standing import standing
    from ..explanation import explain as explain_film

    names = gathered(files, exclude=(out,))
    asked = _known_methods(split_list(methods or []))
    chest_model = open_model(model, device)
    chosen = asked or [standing(chest_model.name, chest_model.card.sha256).default]
    if finding is not None:
        chest_model.index(finding)
    layers = split_list(layer or [])
    for name in layers:
        chest_model.layer(name)
    folder_for(out)
    make = partial(
        explain_film,
        model=chest_model,
        finding=finding,
        methods=chosen,
        fit=fit_of(fit),
        seed=seed,
        atlases=atlases_for(chest_model),
        trust=trust,
        anatomy=anatomy,
        layers=layers,
    )
    films = (open_film(name, view=view_of(view)) for name in names)
    done = [_explained(film, make, out, pdf=pdf) for film in tracked(films, len(names), "Explaining")]
    conclude(len(names), done.count(False), out)


def schema() -> None:
    """The JSON schema of what `explain` writes."""
    from ..report.document import schema as document_schema

    typer.echo(json.dumps(document_schema(), indent=2))


def _explained(film: Film, make: Callable[[Radiograph], Explanation], out: Path, *, pdf: bool) -> bool:
    """True if the film was read, explained and written; otherwise its error is on stderr."""
    from ..anomaly.gate_record import WARNING
    from ..batch import describe_failure
    from .results import write_results

    if film.radiograph is None:
        complain(film.verdict, f"{film.file}: {film.message}")
        return False
    try:
        made = make(film.radiograph)
        write_results(made, out, film.file, pdf=pdf)
        if WARNING in made.warnings:
            remark(f"warning [{WARNING.code}]: {film.file}")
    except OSError as error:
        raise cannot_write(out, error) from error
    except Exception as error:
        code, message = describe_failure(error)
        complain(code, f"{film.file}: {message}")
        return False
    return True


def gathered(files: Sequence[str], *, exclude: Sequence[Path]) -> tuple[str, ...]:
    """The films that a command is given; none at all is a wrong use."""
    from ..batch import gather

    names = gather(files, exclude=exclude)
    if not names:
        raise XrayInterpError(
            Code.BAD_OPTION, f"There are no files in {', '.join(files)}.", "Name films or folders of films."
        )
    return names


def _known_methods(names: Sequence[str]) -> tuple[str, ...]:
    from ..attribution.registry import method_named

    return tuple(method_named(name).name for name in names)


def unfinished(csv: Path) -> Path:
    """Where a table lies until it is whole."""
    return csv.with_name(f"{csv.name}.part")


def written(csv: Path, write: Callable[[TextIO], int]) -> int:
    """Write a table row by row and put it in its place once it is whole; how many films were refused.

    Raises:
        XrayInterpError: `bad-option` where nothing can be written there.
    """
    part = unfinished(csv)
    try:
        csv.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            refused = write(handle)
        part.replace(csv)
    except OSError as error:
        raise cannot_write(csv, error) from error
    except KeyboardInterrupt:
        remark(f"Interrupted: the rows so far are in {part}.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    return refused


def conclude(films: int, refused: int, where: Path) -> None:
    """Say how many films were read; end with the status for refused ones if there were some."""
    remark(f"{films - refused} of {films} films read; results in {where}.")
    if refused:
        raise typer.Exit(EXIT_REFUSED)
