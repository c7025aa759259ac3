"""`xrayinterp data`: which data sets can be read, whether a copy of one is whole, and films to try things on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Code, XrayInterpError
from ..paths import DATA_ENV, data_root
from .console import complain, download_bar, remark, table, tracked
from .options import EXIT_REFUSED, split_list

if TYPE_CHECKING:
    from ..datasets.check import Report
    from ..datasets.layouts import Found
    from ..datasets.manifest import DataSet

app = typer.Typer(help="Data sets: list, describe and check them; films to try things on.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder to copy them to (made).", show_default=False)]
Root = Annotated[Path | None, typer.Argument(help="Folder with data sets.", show_default=f"that of {DATA_ENV}")]
Named = Annotated[str | None, typer.Option("--name", "-n", help="A data set's name, or a manifest of your own (YAML).")]
Name = Annotated[str, typer.Argument(help="A data set's name, or a manifest of your own (YAML).", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
_ABSENT = "-"


@app.command("list")
def list_data_sets(root: Root = None, as_json: AsJson = False) -> None:
    """List every data set that can be read: what it is, its licence, and whether it is under a folder."""
    from ..datasets.manifest import load_manifest, manifest_names

    folder = data_root(root) if root is not None or os.environ.get(DATA_ENV) else None
    manifests = [load_manifest(name) for name in manifest_names()]
    places = {} if folder is None else {one.manifest.name: one for one in reversed(_copies(folder, manifests))}
    if as_json:
        lines = [
            {"name": m.name, "title": m.title, "licence": m.licence, "folder": _folder_of(places.get(m.name))}
            for m in manifests
        ]
        typer.echo(json.dumps(lines, indent=2))
        return
    table(
        ("NAME", "FOUND", "TITLE", "LICENCE"),
        ((m.name, _state(places.get(m.name)), m.title, m.licence) for m in manifests),
    )
    if folder is None:
        remark(f"Name a folder, or set {DATA_ENV}, to see which of them are there.")


@app.command()
def describe(name: Name, as_json: AsJson = False) -> None:
    """Describe a data set: source, licence, citation, files and where to get them, labels and concepts."""
    from ..datasets.manifest import load_manifest

    manifest = load_manifest(name)
    if as_json:
        typer.echo(json.dumps(asdict(manifest), indent=2))
        return
    for title, text in _lines(manifest):
        typer.echo(f"{title:<13}{text}")


@app.command()
def check(
    root: Root = None,
    name: Named = None,
    full: Annotated[bool, typer.Option("--full", help="Decode every film and mask, not a sample.")] = False,
    subset: Annotated[
        bool,
        typer.Option("--subset", help="Only a part is kept on purpose: what is missing is told, not complained of."),
    ] = False,
    csv: Annotated[
        str | None, typer.Option("--table", help="A table of your own in ROOT, a film a row; name its columns.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="KEY=COLUMN of that table, such as id=image or file=path."),
    ] = None,
    findings: Annotated[
        list[str] | None,
        typer.Option("--findings", help="Columns of that table that are labels, by commas or repeated."),
    ] = None,
    delimiter: Annotated[str, typer.Option(help="What parts the cells of that table.")] = ",",
    as_json: AsJson = False,
) -> None:
    """Check copies of data sets: tables, files, labels, splits, boxes and masks, against each other and the release.

    Exit status: 0 all well, 3 something is wrong, 1 no data set is there.
    """
    from ..datasets.check import check as check_copy
    from ..datasets.manifest import load_manifest, manifest_names, own_table

    folder = data_root(root)
    if csv is not None:
        columns, labels = _pairs(column or []), split_list(findings or [])
        manifests = [own_table(csv, columns, labels, name=name or Path(csv).stem, delimiter=delimiter)]
    else:
        manifests = [load_manifest(one) for one in ([name] if name else manifest_names())]
    copies = _copies(folder, manifests)
    if not copies:
        raise _nothing(folder, manifests, named=name is not None or csv is not None)
    reports = []
    for copy in copies:
        reports.append(check_copy(copy, full=full, subset=subset, track=tracked))
        _tell(reports[-1], quiet=as_json)
    if as_json:
        typer.echo(json.dumps([asdict(report) | {"well": report.well} for report in reports], indent=2, default=str))
    if not all(report.well for report in reports):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def cache(name: Named = None, clear: Annotated[bool, typer.Option("--clear", help="Remove them.")] = False) -> None:
    """Resized films kept on disk: how many, how large, where; --clear removes them."""
    from ..datasets.squares import clear_cache, kept

    folder, files, size = kept(name)
    typer.echo(f"{folder}: {files} films, {size / 1e6:.1f} MB")
    if clear:
        clear_cache(name)
        remark("Removed.")


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


def _copies(folder: Path, manifests: Sequence[DataSet]) -> list[Found]:
    from ..datasets.layouts import folders_below, where

    folders = list(folders_below(folder))
    return [found for manifest in manifests for found in where(manifest, folder, folders)]


def _state(found: Found | None) -> str:
    return _ABSENT if found is None else f"{found.folder} ({found.layout})"


def _folder_of(found: Found | None) -> str | None:
    return None if found is None else str(found.folder)


def _nothing(folder: Path, manifests: Sequence[DataSet], *, named: bool) -> XrayInterpError:
    if not named:
        return XrayInterpError(
            Code.DATA_MISSING,
            f"There is no data set that can be read in {folder} or two folders below.",
            "`xrayinterp data list` shows which can, `data describe NAME` the files of each.",
        )
    official = manifests[0].official
    files = ", ".join(official.files) if official else manifests[0].table
    return XrayInterpError(
        Code.DATA_MISSING,
        f"{manifests[0].title} is not in {folder}: looked for {files}.",
        f"Get it: {official.get}." if official else "Check the path.",
    )


def _pairs(columns: Sequence[str]) -> dict[str, str]:
    wrong = [text for text in columns if "=" not in text]
    if wrong:
        raise XrayInterpError(Code.BAD_OPTION, f"--column {wrong[0]!r} has no '='.", "Write it as id=image.")
    return {key.strip(): value.strip() for key, value in (text.split("=", 1) for text in columns)}


def _tell(report: Report, *, quiet: bool) -> None:
    from ..datasets.faults import LOST

    if not quiet:
        typer.echo(f"{report.name}: {report.title}")
        typer.echo(f"{report.folder}, layout {report.layout}; {report.read} of {report.films} films were decoded")
        lines = [(t.of, str(t.found), _ABSENT if t.expected is None else str(t.expected)) for t in report.totals]
        table(("TOTAL", "FOUND", "PUBLISHED"), lines)
    for trouble in report.partly:
        remark(f"{report.name}: not there [{trouble.kind}]: {trouble.count}, such as {trouble.examples[0]}")
    for trouble in report.troubles:
        more = trouble.count - len(trouble.examples)
        said = "; ".join((*trouble.examples, *([f"and {more} more"] if more else [])))
        complain(trouble.kind, f"{report.name}: {said}. {trouble.remedy}")
    if report.get and {one.kind for one in report.troubles} & LOST:
        remark(f"{report.name} is had from {report.get}.")
    if not quiet:
        typer.echo("All is well.\n" if report.well else f"{sum(t.count for t in report.troubles)} faults.\n")


def _lines(manifest: DataSet) -> Iterator[tuple[str, str]]:
    yield "Data set", f"{manifest.name}: {manifest.title}"
    yield "Source", manifest.source
    yield "Licence", manifest.licence
    yield "Citation", manifest.citation
    official = manifest.official
    if official is not None:
        yield "Get it", official.get
        yield from (("File", f"{file}: {what}") for file, what in official.files.items())
        yield "Labels", _names(official.findings, official.label_map)
        yield "Concepts", _names(official.masks, official.concept_map)
        yield from ((("Note", official.notes),) if official.notes else ())
        if official.expected.films is not None:
            yield "Published", f"{official.expected.films} films"
    if manifest.table:
        yield "Prepared", f"one table {manifest.table} in the data folder, read where it is there"
        yield "Labels", _names(manifest.findings, {})
        yield "Concepts", _names((*manifest.masks, *manifest.mask_files), {})


def _names(names: Sequence[str], renamed: Mapping[str, str]) -> str:
    before = {ours: theirs for theirs, ours in renamed.items()}
    return ", ".join(f"{name} (published as {before[name]})" if name in before else name for name in names) or "none"
