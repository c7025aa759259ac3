"""`xrayinterp dissect`: which unit of a model fires where a concept is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import Code, XrayInterpError
from ..paths import DATA_ENV
from .concept_table import concept_table
from .console import remark
from .options import DEFAULT_MODEL, Device, Model, Seed, open_model, split_list

if TYPE_CHECKING:
    from ..dissection.atlas import Atlas
    from ..dissection.engines import Engine
    from ..dissection.passes import Effort

Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="Parquet file to write; a folder for several probe sets.", show_default=False),
]
Probes = Annotated[str, typer.Option(help="Probe set: films with masks of concepts.")]
ProbeSets = Annotated[
    list[str] | None,
    typer.Option(
        "--probes",
        help="Probe sets, films with masks of concepts, by commas or repeated; each film is read once for all of "
        "them.  \\[default: chestx-det]",
    ),
]
Layers = Annotated[
    list[str] | None, typer.Option("--layer", "-l", help="Layers, by commas or repeated.  \\[default: norm5]")
]
Definition = Annotated[str, typer.Option(help="Which quantile is a unit's threshold: khakzar2021 or bau2017.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many films of the probe set.")]
Splits = Annotated[
    list[str] | None, typer.Option(help="Only films of these splits, by commas or repeated; else every film.")
]
Permutations = Annotated[int, typer.Option(help="Reassignments of masks behind the null, at least 19.")]
Data = Annotated[
    Path | None,
    typer.Option(
        help=f"Data root; else the environment variable {DATA_ENV}.", exists=True, file_okay=False, show_default=False
    ),
]
EngineName = Annotated[
    Literal["here", "processes", "ray"],
    typer.Option("--engine", help="Where to run: in this process, in several, or on a Ray cluster."),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes or Ray workers at a time.")]
Shards = Annotated[
    int | None,
    typer.Option(min=1, help="Parts the films are dealt out to.  \\[default: one a worker]"),
]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster; without one Ray is started here.", show_default=False)
]
Gpus = Annotated[float, typer.Option(min=0, help="GPUs of each Ray worker; may be a share.")]
Work = Annotated[
    Path | None,
    typer.Option(
        help="Folder that keeps what is read and counted: a broken run goes on there. Machines of a cluster must share "
        "it.",
        file_okay=False,
        show_default=False,
    ),
]
Use = Annotated[bool, typer.Option("--use", help="Also keep it where the page and `explain` look for atlases.")]


def dissect(
    out: Out,
    probes: ProbeSets = None,
    model: Model = DEFAULT_MODEL,
    layer: Layers = None,
    definition: Definition = "khakzar2021",
    limit: Limit = None,
    splits: Splits = None,
    permutations: Permutations = 100,
    data: Data = None,
    use: Use = False,
    engine: EngineName = "here",
    workers: Workers = 2,
    shards: Shards = None,
    address: Address = None,
    gpus: Gpus = 0.0,
    work: Work = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Dissect layers of a model: one row a unit and concept, with IoU, ceiling, precision and the permutation null.

    Every film of the probe sets is used, whatever its split, unless --splits or --limit says otherwise. Engines,
    shards and interruptions change no figure.
    """
    names = split_list(probes or ["chestx-det"])
    _check_out(out, names)
    from ..concepts.probes import load_probe_set
    from ..dissection.io import atlas_folder, save_atlas
    from ..dissection.network import dissect_sets, normal_reference

    kept = split_list(splits) if splits else None
    atlases = dissect_sets(
        open_model(model, device),
        [load_probe_set(name, root=data, splits=kept, limit=limit, seed=seed) for name in names],
        split_list(layer or ["norm5"]),
        definition=definition,
        splits=kept,
        permutations=permutations,
        seed=seed,
        progress=sys.stderr.isatty(),
        reference=normal_reference(data),
        device=device,
        engine=_engine(engine, workers, address, gpus),
        shards=shards,
        work=work,
        told=_remark_effort,
    )
    for atlas in atlases:
        path = out / f"{atlas.model}.{atlas.probe}.parquet" if out.is_dir() else out
        save_atlas(atlas, path)
        _report(atlas, path)
        if use:
            own = atlas_folder() / f"{atlas.model}-{atlas.probe}.parquet"
            own.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, own)
            remark(f"{own}: the page and `xrayinterp explain` use it from now on.")


def _check_out(out: Path, names: Sequence[str]) -> None:
    if len(names) > 1 and not out.is_dir():
        raise XrayInterpError(
            Code.BAD_OPTION, f"{len(names)} probe sets give as many atlases, and {out} is no folder.", "Name a folder."
        )
    if not out.parent.is_dir() or (len(names) == 1 and out.is_dir()):
        raise XrayInterpError(Code.BAD_OPTION, f"{out} cannot be written.", "Name a file in a folder that exists.")


def _engine(name: str, workers: int, address: str | None, gpus: float) -> Engine:
    from ..dissection.engines import InProcess, Processes, Ray

    if name == "ray":
        return Ray(workers, address, gpus)
    return Processes(workers) if name == "processes" else InProcess()


def _remark_effort(effort: Effort) -> None:
    again = f"; {', '.join(effort.again)} took a second forward of all" if effort.again else ""
    remark(f"{effort.films} films read once{again}; {effort.bytes / 1e6:.0f} MB were kept on disk meanwhile.")


def _report(atlas: Atlas, out: Path) -> None:
    units = {(row.layer, row.unit) for row in atlas.rows}
    found = {(row.layer, row.unit) for row in atlas.rows if row.label}
    concept_table(atlas)
    remark(f"{out}: {len(atlas.rows)} rows; {len(found)} of {len(units)} units are detectors of a concept.")
