"""`xrayinterp doctor`: what this machine has of what xrayinterp needs."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from ..errors import XrayInterpError

PACKAGES = (
    "xrayinterp", "torch", "torchvision", "torchxrayvision", "highdicom", "pydicom", "numpy", "pyarrow", "streamlit",
    "plotly", "typst",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def doctor() -> None:
    """Show versions, image decoders with what would add a missing one, device, threads and folders."""
    for title, lines in (
        ("Versions", _versions()),
        ("Decoders", _decoders()),
        ("Computing", _computing()),
        ("Folders", _folders()),
        ("Tests", [("browser", str(chromium() or "none: `make test` looks for one to install"))]),
    ):
        section = list(lines)
        width = max(len(name) for name, _ in section)
        typer.echo(title)
        for name, value in section:
            typer.echo(f"  {name:<{width}}  {value}")


def chromium() -> Path | None:
    """A Chromium that browser tests can drive: on the path, or fetched by Playwright; None if there is neither."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    root = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    usual = (".cache/ms-playwright", "Library/Caches/ms-playwright", "AppData/Local/ms-playwright")
    homes = [Path(root)] if root else [Path.home() / place for place in usual]
    programs = ("chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*", "chrome-win*/chrome.exe")
    found_here = (path for home in homes for program in programs for path in home.glob(f"chromium-*/{program}"))
    return next(found_here, None)


def _versions() -> Iterator[tuple[str, str]]:
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "missing"


def _decoders() -> Iterator[tuple[str, str]]:
    from ..imaging.decoders import decoders

    for decoder in decoders():
        yield decoder.name, ", ".join(decoder.plugins) if decoder.available else f"missing: {decoder.install}"


def _computing() -> Iterator[tuple[str, str]]:
    import torch

    yield "threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    if not torch.cuda.is_available():
        yield "device", "cpu"
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        yield f"cuda:{index}", torch.cuda.get_device_name(index)


def _folders() -> Iterator[tuple[str, str]]:
    from ..paths import cache_dir, data_root, manifest_dir

    yield "manifests", str(manifest_dir())
    yield "cache", str(cache_dir())
    try:
        yield "data", str(data_root())
    except XrayInterpError as error:
        yield "data", f"none: {error}"
