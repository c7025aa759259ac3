"""`xrayinterp dissect`: which unit of a model fires where a concept is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Code, XrayInterpError
from ..paths import DATA_ENV
from .concept_table import concept_table
from .console import remark
from .options import Device, Model, Seed, open_model, split_list

if TYPE_CHECKING:
    from ..dissection.atlas import Atlas

Out = Annotated[Path, typer.Option("--out", "-o", help="Parquet file to write.", show_default=False)]
Probes = Annotated[str, typer.Option(help="Probe set: films with masks of concepts.")]
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
Use = Annotated[bool, typer.Option("--use", help="Also keep it where the page and `explain` look for atlases.")]


def dissect(
    out: Out,
    probes: Probes = "chestx-det",
    model: Model = "compact",
    layer: Layers = None,
    definition: Definition = "khakzar2021",
    limit: Limit = None,
    splits: Splits = None,
    permutations: Permutations = 100,
    data: Data = None,
    use: Use = False,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Dissect layers of a model: one row a unit and concept, with IoU, ceiling, precision and the permutation null.

    Every film of the probe set is used, whatever its split, unless --splits or --limit says otherwise.
    """
    if not out.parent.is_dir() or out.is_dir():
        raise XrayInterpError(Code.BAD_OPTION, f"{out} cannot be written.", "Name a file in a folder that exists.")
    from ..concepts.probes import load_probe_set
    from ..dissection.io import atlas_folder, save_atlas
    from ..dissection.network import dissect as run
    from ..dissection.network import normal_reference

    kept = split_list(splits) if splits else None
    probe_set = load_probe_set(probes, root=data, splits=kept, limit=limit, seed=seed)
    atlas = run(
        open_model(model, device),
        probe_set,
        split_list(layer or ["norm5"]),
        definition=definition,
        splits=kept,
        permutations=permutations,
        seed=seed,
        progress=sys.stderr.isatty(),
        reference=normal_reference(data),
    )
    save_atlas(atlas, out)
    _report(atlas, out)
    if use:
        own = atlas_folder() / f"{atlas.model}-{atlas.probe}.parquet"
        own.parent.mkdir(exist_ok=True)
        shutil.copyfile(out, own)
        remark(f"{own}: the page and `xrayinterp explain` use it from now on.")


def _report(atlas: Atlas, out: Path) -> None:
    units = {(row.layer, row.unit) for row in atlas.rows}
    found = {(row.layer, row.unit) for row in atlas.rows if row.label}
    concept_table(atlas)
    remark(f"{out}: {len(atlas.rows)} rows; {len(found)} of {len(units)} units are detectors of a concept.")
