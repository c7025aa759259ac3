"""`xrayinterp formation`: when in a training run units came to detect concepts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Code, XrayInterpError
from .console import remark, table
from .dissect import Data, Limit, Permutations, Splits
from .options import Seed, open_model, split_list

if TYPE_CHECKING:
    from ..dissection.formation import Formation

Folder = Annotated[
    Path,
    typer.Argument(
        help="Checkpoints of one run: NAME.safetensors with NAME.json, or state dicts NAME.pt; ordered by name.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
ProbeName = Annotated[str, typer.Option("--probes", help="Probe set: films with masks of concepts.")]
Like = Annotated[str | None, typer.Option(help="The model whose network state dicts are of.", show_default=False)]
LayerName = Annotated[str, typer.Option("--layer", "-l", help="The layer to follow.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="JSON file to write as well.", show_default=False)]


def formation(
    folder: Folder,
    probes: ProbeName = "chestx-det",
    layer: LayerName = "norm5",
    like: Like = None,
    out: Out = None,
    limit: Limit = None,
    splits: Splits = None,
    permutations: Permutations = 100,
    data: Data = None,
    seed: Seed = 0,
) -> None:
    """Dissect the checkpoints of a training run: detectors and best IoU of every concept, one column a checkpoint."""
    if out is not None and (not out.parent.is_dir() or out.is_dir()):
        raise XrayInterpError(Code.BAD_OPTION, f"{out} cannot be written.", "Name a file in a folder that exists.")
    from ..concepts.probes import load_probe_set
    from ..dissection.formation import checkpoints_in
    from ..dissection.formation import formation as run

    kept = split_list(splits) if splits else None
    probe_set = load_probe_set(probes, root=data, splits=kept, limit=limit, seed=seed)
    model = None if like is None else open_model(like, "cpu")
    found = run(
        checkpoints_in(folder, model),
        probe_set,
        layer,
        permutations=permutations,
        seed=seed,
        progress=sys.stderr.isatty(),
    )
    table(("CONCEPT", *found.checkpoints), _lines(found))
    if out is not None:
        out.write_text(found.to_json() + "\n", encoding="utf-8")
    remark(f"{found.layer}: {len(found.checkpoints)} checkpoints, {found.units} units, {found.films} films.")


def _lines(found: Formation) -> list[tuple[str, ...]]:
    from ..dissection.summary import UNDETECTABLE

    lines = [
        (curve.concept, *(f"{n} ({iou:.3f})" for n, iou in zip(curve.detectors, curve.best_iou, strict=True)))
        if curve.detectable
        else (curve.concept, UNDETECTABLE, *("" for _ in curve.detectors[1:]))
        for curve in found.curves
    ]
    lines.append(("labelled units", *(str(n) for n in found.labelled)))
    lines.append(("of these kept", *("-" if n is None else str(n) for n in found.kept)))
    return lines
