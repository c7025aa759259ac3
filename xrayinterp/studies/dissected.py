"""Detectors of a run's networks, as few numbers: what counts, what chance gives, which unit bears which label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..concepts.probes import ProbeSet, load_probe_set
from ..dissection import dissect
from ..dissection.atlas import Atlas, ProbeSeen
from ..dissection.summary import detectors, summary
from .networks import LAYERS, Net, as_chest_model
from .plan import Run, Settings
from .samples import Samples

NIH = "chestx-det"
COVID = "covid-segmentation"
COVID_SCORED_UNSEEN = "covid-segmentation, scored films, unseen"
COVID_SCORED_SEEN = "covid-segmentation, scored films, seen in training"
SPLITS = ("probe", "val", "test")


@dataclass(frozen=True)
class ConceptLine:
    """One concept in one layer; `permuted` is the mean number of units that IoU alone gives it on permuted masks."""

    concept: str
    detectors: int
    by_iou_alone: int
    permuted: float
    best_iou: float
    best_low: float
    best_high: float
    ceiling: float
    films: int
    patients: int
    detectable: bool


@dataclass(frozen=True)
class LayerLine:
    """One layer on one set of films.

    `detectors` have IoU > .04 and permutation p <= .05; `by_iou_alone` only the first, `permuted` is the mean number of
    those on permuted masks and `permuted_highest` the most; `both_halves` are detectors that either half of the
    patients labels alike. `labels` maps a unit to its concepts.
    """

    probe: str
    layer: str
    units: int
    detectors: int
    by_iou_alone: int
    permuted: float
    permuted_highest: int
    family_wise: int
    both_halves: int
    films: int
    patients: int
    seen: ProbeSeen
    concepts: tuple[ConceptLine, ...]
    labels: Mapping[str, tuple[str, ...]]

    @property
    def unique_concepts(self) -> int:
        """How many concepts have a detector."""
        return sum(line.detectors > 0 for line in self.concepts)


@dataclass(frozen=True)
class Changes:
    """What training changed in a layer's labels, unit by unit.

    `gained` and `lost` map a concept to units that bear a label after and not before, or before and not after; `kept`
    units bear the same label, `renamed` another one. A unit counts for each of its labels.
    """

    gained: Mapping[str, tuple[int, ...]]
    lost: Mapping[str, tuple[int, ...]]
    kept: int
    renamed: int

    @property
    def units_gained(self) -> int:
        """Units that had no label and have one."""
        return len({unit for units in self.gained.values() for unit in units})

    @property
    def units_lost(self) -> int:
        """Units that had a label and have none."""
        return len({unit for units in self.lost.values() for unit in units})


def changes(before: LayerLine, after: LayerLine) -> Changes:
    """Labels of a layer after training against those of the same units before it."""
    gained: dict[str, list[int]] = {}
    lost: dict[str, list[int]] = {}
    kept = renamed = 0
    for unit in sorted({*before.labels, *after.labels}, key=int):
        old, new = before.labels.get(unit, ()), after.labels.get(unit, ())
        if old and new:
            kept, renamed = (kept + 1, renamed) if set(old) & set(new) else (kept, renamed + 1)
            continue
        for concept in new:
            gained.setdefault(concept, []).append(int(unit))
        for concept in old:
            lost.setdefault(concept, []).append(int(unit))
    return Changes(_frozen(gained), _frozen(lost), kept, renamed)


def dissections(
    run: Run, networks: Mapping[str, Net], samples: Samples, settings: Settings, device: str | None = None
) -> tuple[LayerLine, ...]:
    """All layers of a run's networks on the films they have not seen, and where asked on films they have.

    NIH films of patients kept out of training for everybody. COVID-19 films for the tasks about severity and their
    starts: there a network of severity is one that was trained without the patients of these films.
    """
    if not networks:
        return ()
    out = []
    for probes, role, seen in _views(run, networks, samples):
        net = networks[role]
        atlas = dissect(
            as_chest_model(net, run.task, settings),
            probes,
            LAYERS,
            permutations=settings.permutations,
            bootstraps=settings.bootstraps,
            device=device,
            reference=(),
            progress=False,
            probe_seen=seen,
        )
        out += [_line(atlas, probes, layer, seen) for layer in LAYERS]
    return tuple(out)


def _views(run: Run, networks: Mapping[str, Net], samples: Samples) -> list[tuple[ProbeSet, str, ProbeSeen]]:
    views: list[tuple[ProbeSet, str, ProbeSeen]] = [(_nih(samples), "main", "no")]
    if run.task == "healthy-combined":
        return views
    covid = load_probe_set(COVID, root=samples.root)
    if run.task != "severity":
        return [*views, (covid, "main", "no")]
    if "held-out" not in networks:
        return views
    scored = {film.id for film in samples.scored}
    both = tuple(film for film in covid.films if film.id in scored)
    views.append((covid, "held-out", "no"))
    if both:
        views.append((replace(covid, name=COVID_SCORED_UNSEEN, films=both), "held-out", "no"))
        views.append((replace(covid, name=COVID_SCORED_SEEN, films=both), "main", "yes"))
    return views


def _nih(samples: Samples) -> ProbeSet:
    return load_probe_set(NIH, root=samples.root, splits=SPLITS, limit=samples.settings.limit)


def _line(atlas: Atlas, probes: ProbeSet, layer: str, seen: ProbeSeen) -> LayerLine:
    told = atlas.provenance["layers"][layer]
    chance = told["permuted"]
    labels: dict[str, tuple[str, ...]] = {}
    for row in atlas.rows:
        if row.layer == layer and row.label:
            labels[str(row.unit)] = (*labels.get(str(row.unit), ()), row.concept)
    concepts = tuple(
        ConceptLine(
            found.concept,
            found.detectors,
            found.by_iou_alone,
            float(chance["by_concept"][found.concept]),
            found.best_iou,
            found.best_low,
            found.best_high,
            found.highest_ceiling,
            found.films,
            found.patients,
            found.detectable,
        )
        for found in summary(atlas)
        if found.layer == layer
    )
    return LayerLine(
        probe=probes.name,
        layer=layer,
        units=told["units"],
        detectors=detectors(atlas, layer),
        by_iou_alone=told["detectors_by_iou_alone"],
        permuted=float(chance["mean"]),
        permuted_highest=int(chance["highest"]),
        family_wise=told["detectors_family_wise"],
        both_halves=told["crossfit_agrees"],
        films=int(atlas.provenance["films"]),
        patients=int(atlas.provenance["patients"]),
        seen=seen,
        concepts=concepts,
        labels=labels,
    )


def as_json(lines: Sequence[LayerLine]) -> list[dict[str, Any]]:
    """Lines as JSON types."""
    return [asdict(line) for line in lines]


def from_json(raw: Sequence[Mapping[str, Any]]) -> tuple[LayerLine, ...]:
    """What `as_json` gave."""
    return tuple(
        LayerLine(
            **{
                **line,
                "concepts": tuple(ConceptLine(**concept) for concept in line["concepts"]),
                "labels": {unit: tuple(names) for unit, names in line["labels"].items()},
            }
        )
        for line in raw
    )


def _frozen(units: Mapping[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {concept: tuple(found) for concept, found in sorted(units.items())}
