"""Public example radiographs, fetched when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..download import Progress, download, override, sha256_of
from ..errors import Code, XrayInterpError
from ..paths import cache_dir, manifest_dir

EXAMPLES_URL_ENV = "XRAYINTERP_EXAMPLES_URL"


@dataclass(frozen=True)
class ExampleFile:
    """A file of the examples and the SHA-256 it must have."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Examples:
    """The manifest of public example films: whose they are, where they lie, which they are."""

    title: str
    source: str
    commit: str
    url: str
    licence: str
    files: tuple[ExampleFile, ...]


def load_examples() -> Examples:
    """The manifest `data_manifests/examples.yaml`.

    Raises:
        XrayInterpError: `bad-manifest`.
    """
    path = manifest_dir() / "examples.yaml"
    try:
        raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Examples(**{**raw, "files": tuple(ExampleFile(**file) for file in raw["files"])})
    except (TypeError, KeyError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not a manifest of examples: {error}.") from error


def fetch_examples(progress: Progress | None = None, *, base_url: str | None = None) -> list[Path]:
    """Paths of the public example films, in manifest order; fetched once, checked by SHA-256 each time.

    Args:
        progress: called for each file; see `download.Progress`.
        base_url: a folder on another server that holds the files; else XRAYINTERP_EXAMPLES_URL, else the manifest's.

    Raises:
        XrayInterpError: `offline` or `wrong-hash`; what was fetched before is kept.
    """
    examples = load_examples()
    folder = cache_dir() / "examples"
    folder.mkdir(exist_ok=True)
    return [_fetch(file, examples.url, folder, progress, base_url) for file in examples.files]


def _fetch(file: ExampleFile, url: str, folder: Path, progress: Progress | None, base_url: str | None) -> Path:
    path = folder / file.name
    if path.is_file() and sha256_of(path) == file.sha256:
        return path
    try:
        download(
            override(f"{url}/{file.name}", base_url, EXAMPLES_URL_ENV), path, sha256=file.sha256, progress=progress
        )
    except XrayInterpError as error:
        if error.code is not Code.OFFLINE:
            raise
        raise XrayInterpError(
            Code.OFFLINE,
            f"The example films are on the internet, which could not be reached. {error.message}",
            "Everything else works without it: open one of the built-in synthetic films, or a film of your own.",
        ) from error
    return path
