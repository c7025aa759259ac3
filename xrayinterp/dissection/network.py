"""Network dissection (Bau et al. 2017; Khakzar et al., MICCAI 2021): which unit fires where which concept is.

A unit's region is where its rectified map, upsampled bilinearly by eight, exceeds the unit's threshold; its IoU with a
concept is taken over all pixels of all probe films together. Everything is exact, and the same for the same seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from ..concepts.probes import ProbeFilm, ProbeSet, normal_films
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel
from .atlas import Atlas, AtlasRow, ProbeSeen, Reference
from .labels import MAX_P, MIN_IOU
from .layer import Settings, dissect_layer
from .maps import ModelFor, Reader, collect, mean_units
from .thresholds import TAIL, Definition


def dissect(
    model: ChestModel,
    probes: ProbeSet,
    layers: Sequence[str] = ("norm5",),
    *,
    definition: str = "khakzar2021",
    splits: Iterable[str] | None = None,
    permutations: int = 100,
    bootstraps: int = 1000,
    seed: int = 0,
    batch: int = 16,
    device: str | torch.device | None = None,
    progress: bool = True,
    fit: Fit = "crop",
    model_for: ModelFor | None = None,
    reference: Sequence[ProbeFilm] | None = None,
    probe_seen: ProbeSeen | None = None,
) -> Atlas:
    """The atlas of a model's units over a probe set.

    Args:
        layers: names of the model's layers; all are read in one forward a film.
        definition: which quantile is the threshold: "khakzar2021" or "bau2017".
        splits: keep the probe films of these splits; None takes all.
        permutations: reassignments of masks between patients, at least 19; the smallest p-value is 1 / (n + 1).
        bootstraps: resamplings of patients for the intervals.
        seed: of permutations, resampling and the halves of the cross-fit.
        device: where to run the model; None leaves it where it is.
        fit: how films are cut, for pixels and masks alike.
        model_for: the module to use for a film, for dissection out of fold; units must mean the same in all of them.
        reference: films that stand for "normal"; None takes the normal validation films where their data is there,
            an empty sequence none.
        probe_seen: whether the model was trained on probe films; None takes what the probe set says.

    Raises:
        XrayInterpError: `unknown-layer`, `bad-option` (a definition, a split or a count that is not possible).
    """
    settings = _settings(definition, permutations, bootstraps, seed, fit)
    chosen = [model.layer(name) for name in layers]
    kept = None if splits is None else tuple(sorted(set(splits)))
    films = _films(probes, kept)
    reader = Reader(model, fit, batch, None if device is None else torch.device(device), model_for)
    normal = tuple(normal_reference() if reference is None else reference)
    rows: list[AtlasRow] = []
    found: dict[str, Any] = {}
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        forwards = bar.add_task(f"{model.name}: reading films", total=len(films) + len(normal))
        tick = partial(bar.advance, forwards)
        maps = collect(reader, films, chosen, tick)
        means = mean_units(replace(reader, model_for=None), normal, chosen, tick) if normal else []
        for name, read in zip(layers, maps, strict=True):
            task = bar.add_task(f"{name}: permuting masks", total=2 * permutations)
            part = dissect_layer(read, films, probes, settings, partial(bar.advance, task))
            rows += part.rows(name, probes, films, probe_seen or probes.seen_by(model.name, kept))
            found[name] = part.summary(probes.concepts)
    described = f"{len(normal)} films without findings"
    return Atlas(
        model=model.name,
        model_sha256=model.card.sha256,
        probe=probes.name,
        definition=settings.definition.value,
        rows=tuple(rows),
        references={n: Reference(m, len(normal), described) for n, m in zip(layers, means, strict=False)},
        provenance=_provenance(settings, probes, films, kept, model_for is not None) | {"layers": found},
    )


def _settings(definition: str, permutations: int, bootstraps: int, seed: int, fit: Fit) -> Settings:
    if definition not in list(Definition):
        raise XrayInterpError(
            Code.BAD_OPTION, f"There is no definition {definition!r}.", f"Known: {', '.join(Definition)}."
        )
    if permutations < 19:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"With {permutations} permutations no p-value can reach .05, so no unit could be labelled.",
            "Use 19 or more.",
        )
    if bootstraps < 1:
        raise XrayInterpError(Code.BAD_OPTION, f"{bootstraps} bootstraps give no interval.", "Use 1000.")
    return Settings(Definition(definition), permutations, bootstraps, seed, fit)


def _films(probes: ProbeSet, splits: tuple[str, ...] | None) -> list[ProbeFilm]:
    films = [film for film in probes.films if splits is None or film.split in splits]
    if not films:
        known = ", ".join(sorted({film.split for film in probes.films})) or "none"
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Probe set {probes.name!r} has no films in {', '.join(splits or ()) or 'any split'}.",
            f"Splits there are: {known}.",
        )
    for film in films:
        unknown = [concept for concept in probes.concepts if not film.has_mask(concept)]
        if unknown:
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"Nobody looked for {', '.join(unknown)} on film {film.id} of probe set {probes.name!r}.",
                "Dissect over films on which every concept of the set was looked for.",
            )
    return films


def normal_reference(root: Path | None = None) -> Sequence[ProbeFilm]:
    """The films that stand for "normal" unless others are given: none where their data set is not there."""
    try:
        return normal_films(root)
    except XrayInterpError as error:
        if error.code is not Code.DATA_MISSING:
            raise
        return ()


def _provenance(
    settings: Settings, probes: ProbeSet, films: Sequence[ProbeFilm], splits: tuple[str, ...] | None, folds: bool
) -> dict[str, Any]:
    return {
        **asdict(settings),
        "tail": str(TAIL),
        "min_iou": MIN_IOU,
        "max_p": MAX_P,
        "probe": {key: list(v) if isinstance(v, tuple) else v for key, v in probes.provenance.items()},
        "concepts": list(probes.concepts),
        "anatomy": list(probes.anatomy),
        "splits": None if splits is None else list(splits),
        "films": len(films),
        "patients": len({film.patient for film in films}),
        "out_of_fold": folds,
        "versions": {name: version(name) for name in ("xrayinterp", "torch", "numpy")},
    }
