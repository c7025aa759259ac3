"""`xrayinterp app`: start the page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import Code, XrayInterpError


def app_file() -> Path:
    """The page's entry file.

    Raises:
        XrayInterpError: `not-found` where xrayinterp was installed without it.
    """
    file = Path(__file__).parents[2] / "app.py"
    if not (file.is_file() and (file.parent / "xrayinterp" / "ui").is_dir()):
        raise XrayInterpError(
            Code.NOT_FOUND, "The page's file app.py is not part of this installation.", "Run `make app` in a checkout."
        )
    return file


def start(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine alone.")
    ] = "localhost",
) -> None:
    """Start the page, by default on http://localhost:8501; Ctrl-C stops it."""
    file = app_file()
    os.chdir(file.parent)  # where Streamlit finds its settings and local assets
    command = [sys.executable, "-m", "streamlit", "run", file.name]
    command += ["--server.address", address, "--server.port", str(port), "--server.headless", "true"]
    os.execv(sys.executable, command)  # noqa: S606 (no shell, fixed words; signals reach the page itself)
