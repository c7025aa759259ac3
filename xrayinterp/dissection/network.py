"""Network dissection (Bau et al. 2017; Khakzar et al., MICCAI 2021): which unit fires where which concept is.

A unit's region is where its rectified map, upsampled bilinearly by eight, exceeds the unit's threshold; its IoU with a
concept is taken over all pixels of all probe films together. Everything is exact, and the same for the same seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..concepts.probes import ProbeFilm, ProbeSet, normal_films
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit
from ..models.chest_model import ChestModel
from .atlas import Atlas, ProbeSeen, Reference
from .engines import Engine, InProcess
from .labels import MAX_P, MIN_IOU
from .layer import EXEMPLARS, LayerResult, Settings, layer_result
from .maps import ModelFor, Reader
from .null import Donors, reassignments, reassignments_among_positives
from .passes import Bars, Effort, Passes
from .plan import ConceptSet, Plan, films_once, on
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
    engine: Engine | None = None,
    shards: int | None = None,
    work: Path | None = None,
) -> Atlas:
    """The atlas of a model's units over a probe set: `dissect_sets` with one set.

    Args:
        splits: keep the probe films of these splits; None takes all.
        probe_seen: whether the model was trained on probe films; None takes what the probe set says.
        permutations, bootstraps, seed, batch, device, progress, fit, model_for, reference, engine, shards, work: as in
            `dissect_sets`.

    Raises:
        XrayInterpError: `unknown-layer`, `bad-option` (a definition, a split or a count that is not possible).
    """
    (atlas,) = dissect_sets(
        model, [probes], layers, definition=definition, splits=splits, permutations=permutations,
        bootstraps=bootstraps, seed=seed, batch=batch, device=device, progress=progress, fit=fit, model_for=model_for,
        reference=reference, probe_seen=probe_seen, engine=engine, shards=shards, work=work,
    )  # fmt: skip
    return atlas


def dissect_sets(
    model: ChestModel,
    sets: Sequence[ProbeSet],
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
    engine: Engine | None = None,
    shards: int | None = None,
    work: Path | None = None,
    told: Callable[[Effort], None] | None = None,
) -> list[Atlas]:
    """Atlases of a model's units over several probe sets, each film and all layers in one forward.

    The result is the same, to the last bit, for every engine, number of shards and interruption.

    Args:
        layers: names of the model's layers.
        definition: which quantile is the threshold: "khakzar2021" or "bau2017".
        permutations: reassignments of masks between patients, at least 19; the smallest p-value is 1 / (n + 1).
        bootstraps: resamplings of patients for the intervals.
        seed: of permutations, resampling and the halves of the cross-fit.
        batch: films a forward.
        device: where to run the model; None leaves it where it is.
        fit: how films are cut, for pixels and masks alike.
        model_for: the module to use for a film, for dissection out of fold; units must mean the same in all of them.
        reference: films that stand for "normal"; None takes the normal validation films where their data is there,
            an empty sequence none.
        engine: where to run; None runs here.
        shards: how many parts the films are dealt out to; None takes one a worker.
        work: folder that keeps what is read and counted, so that a broken run goes on; None takes a temporary one.
        told: is given what it took, at the end.

    Raises:
        XrayInterpError: as `dissect`; `bad-option` where `work` holds another dissection.
    """
    settings = _settings(definition, permutations, bootstraps, seed, fit)
    chosen = tuple((name, model.layer(name)) for name in layers)
    kept = None if splits is None else tuple(sorted(set(splits)))
    held = [replace(probes, films=tuple(_films(probes, kept))) for probes in sets]
    films, members = films_once(held)
    runner = engine or InProcess()
    with _folder(work) as folder:
        plan = Plan(
            folder=folder,
            reader=Reader(model, fit, batch, on(device), model_for),
            layers=chosen,
            films=films,
            sets=tuple(ConceptSet(p.name, p.concepts, m) for p, m in zip(held, members, strict=True)),
            definition=settings.definition,
            shards=runner.workers if shards is None else shards,
            normal=tuple(normal_reference() if reference is None else reference),
        )
        with runner.on(plan) as running, Bars(progress) as bars:
            counted = Passes(plan, running, bars)
            counted.read()
            means = counted.means()
            out = []
            for number, probes in enumerate(held):
                donors = reassignments([film.patient for film in probes.films], settings.permutations, seed)
                results = {name: _layer(counted, number, name, probes, settings, donors) for name, _ in chosen}
                seen = probe_seen or probes.seen_by(model.name, kept)
                described = f"{len(plan.normal)} films without findings"
                rows = [r for name, one in results.items() for r in one.rows(name, probes, probes.films, seen)]
                summaries = {name: one.summary(probes.concepts) for name, one in results.items()}
                out.append(
                    Atlas(
                        model=model.name,
                        model_sha256=model.card.sha256,
                        probe=probes.name,
                        definition=settings.definition.value,
                        rows=tuple(rows),
                        references={n: Reference(m, len(plan.normal), described) for n, m in means.items()},
                        provenance=_provenance(settings, probes, probes.films, kept, model_for is not None)
                        | {"layers": summaries},
                    )
                )
            if told is not None:
                told(counted.effort)
    return out


def _layer(
    counted: Passes, number: int, layer: str, probes: ProbeSet, settings: Settings, donors: Donors
) -> LayerResult:
    """One layer over one probe set, from counting to labels; `donors` as of `reassignments`."""
    where, thresholds = counted.thresholds(number, layer)
    counts = counted.counts(where, thresholds)
    patients = [film.patient for film in probes.films]
    shows = counted.shows(where)
    n, seed = settings.permutations, settings.seed
    return layer_result(
        thresholds=thresholds,
        grid=where.grid(counted.plan),
        counts=counts,
        permuted=counted.permuted(where, thresholds, donors),
        among_positives=counted.among_positives(
            where, thresholds, reassignments_among_positives(patients, shows, n, seed), n
        ),
        strongest=counted.strongest(where, EXEMPLARS),
        patients=np.array([len({patients[n] for n in np.flatnonzero(shown)}) for shown in shows.T], dtype=np.int64),
        anatomy=np.isin(probes.concepts, probes.anatomy),
        settings=settings,
    )


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    if work is not None:
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="xrayinterp-dissection-") as made:
        yield Path(made)


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
