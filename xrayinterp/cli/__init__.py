"""The command line: each command is a few lines over the library; nothing heavy is imported before it runs.

Exit status: 0 every film read, 1 a model or its data missing or an internal fault, 2 wrong usage, 3 some films refused
or a copy of a data set damaged, 130 interrupted. Errors go to stderr as `error [code]: message hint`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from ..errors import Code, XrayInterpError
from . import anomaly, data, dissect, doctor, evaluate, films, formation, models, page, study
from .console import complain
from .options import EXIT_INTERNAL, exit_status

app = typer.Typer(
    name="xrayinterp",
    help="What a chest X-ray model predicts, why, and how far each explanation can be trusted. Research use only, "
    "not for diagnosis.",
    epilog="Exit status: 0 every film read, 1 model or data missing or internal fault, 2 wrong usage, 3 some films "
    "refused or a copy of a data set damaged.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"xrayinterp {version('xrayinterp')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """The whole command line; options of its own it has none but --version."""


app.command("explain")(films.explain)
app.command("predict")(films.predict)
app.command("dissect")(dissect.dissect)
app.command("formation")(formation.formation)
app.command("evaluate")(evaluate.evaluate)
app.command("study")(study.study)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(anomaly.app, name="anomaly")
app.command("schema")(films.schema)
app.command("doctor")(doctor.doctor)
app.command("app")(page.start)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; `arguments` default to those of the process.

    With XRAYINTERP_TRACEBACK set, errors show where they come from.
    """
    try:
        app(args=None if arguments is None else list(arguments))
    except Exception as error:
        if os.environ.get("XRAYINTERP_TRACEBACK"):
            raise
        if isinstance(error, XrayInterpError):
            complain(error.code, str(error))
            sys.exit(exit_status(error.code))
        complain(
            Code.INTERNAL, f"{type(error).__name__}: {error}. Run it again with XRAYINTERP_TRACEBACK=1 and report it."
        )
        sys.exit(EXIT_INTERNAL)
