"""Measure what is shipped of the built-in models' units: on films they have not seen, by labels of other patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, Self

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from ..concepts.probes import ProbeSet, load_probe_set
from ..datasets.films import Film, load_films, load_manifest
from ..models.chest_model import ChestModel
from ..models.zoo import load_model
from .ablation import Baseline, PooledAblation, held_values
from .atlas import Atlas, Reference
from .causal import ConceptUnits, causal_effects, unit_effects
from .cohort import Cohort, halves
from .head_use import Concept, HeadUse, head_use
from .io import load_atlas
from .network import dissect
from .pooled import LAST, Floats, pool_units
from .shelf import builtin_folder
from .shipped import UNSEEN
from .shortcut_units import kept_in_memory, shortcut_units, shown_on
from .summary import summary
from .unit_facts import SUFFIX, ProbeCoverage, Row, ShortcutUnit, UnitFacts, UnitFigures, save_unit_facts

NAMES = ("compact", "weak", "brixia")
SPLIT, NATIVE_WIDTH = "test", 128
FINDINGS_PROBE, ANATOMY_PROBE = "chestx-det", "covid-segmentation"
SHORTCUT_FILMS = {"shortcuts": 140, "shortcuts-nih": 420}
PUSHED = 210
"""Real films with pastes on which it is measured what shortcut units push."""
PERMUTATIONS, BOOTSTRAPS = 100, 300
DRAWS, RESAMPLES = 500, 1000
DIGITS = 4


@dataclass(frozen=True)
class Materials:
    """Films that every model is measured on, read once; `half` gives each patient's half."""

    films: tuple[Film, ...]
    findings: ProbeSet
    shortcuts: tuple[ProbeSet, ...]
    half: Mapping[str, int]
    seed: int

    @classmethod
    def read(cls, seed: int = 0) -> Self:
        """Unseen NIH films, the unseen films with outlined findings, and films with pasted shortcuts."""
        films = tuple(load_films("nih", splits=[SPLIT], min_native_width=NATIVE_WIDTH))
        findings = load_probe_set(FINDINGS_PROBE, splits=UNSEEN)
        shortcuts = tuple(kept_in_memory(load_probe_set(name, limit=n)) for name, n in SHORTCUT_FILMS.items())
        half = halves([*(film.patient for film in films), *(film.patient for film in findings.films)], seed)
        return cls(films, findings, shortcuts, half, seed)

    def outlined(self, half: int) -> ProbeSet:
        """The films with outlined findings of one half of the patients."""
        films = tuple(film for film in self.findings.films if self.half[film.patient] == half)
        return replace(self.findings, films=films)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Built-in models; all of them where none is named.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of halves, draws and resampling.")] = 0,
) -> None:
    """Measure head use, causal effects and shortcut units of the built-in models, and ship them."""
    materials = Materials.read(seed)
    for name in names or NAMES:
        save_unit_facts(measure(load_model(name), materials), builtin_folder() / f"{name}{SUFFIX}")


def measure(model: ChestModel, materials: Materials, *, draws: int = DRAWS, resamples: int = RESAMPLES) -> UnitFacts:
    """All facts of one built-in model, whose atlases are there."""
    seed = materials.seed
    probes = (FINDINGS_PROBE, ANATOMY_PROBE)
    atlases = [load_atlas(builtin_folder() / f"{model.name}.{probe}.parquet", model) for probe in probes]
    pasted = [_dissected(model, probes, seed) for probes in materials.shortcuts]
    read, cohort = pool_units(model, materials.films), cohort_of(model, materials.films, materials.half)
    use = head_use(read, cohort, _labelled([*atlases, pasted[0]]), resamples=resamples, seed=seed)
    ablation = PooledAblation(read, held_values(Baseline.NORMAL_MEAN, _normal(atlases).means))
    concepts = [*_crossed(model, materials), *_of_other_patients([atlases[1], pasted[0]])]
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{model.name}: taking units out", total=len(concepts) * len(model.findings))
        tick = partial(bar.advance, task)
        causal = causal_effects(
            ablation, cohort, concepts, model.findings, draws=draws, resamples=resamples, seed=seed, tick=tick
        )
    return UnitFacts(
        model=model.name,
        model_sha256=model.card.sha256,
        layer=LAST,
        findings=model.findings,
        shown="the label of the same name" if _has_own_labels(model) else "any label but No Finding",
        films=len(read.films),
        patients=len(set(read.patients)),
        normal_films=int(cohort.normal.sum()),
        units=_figures(use, *unit_effects(ablation, cohort)),
        concepts=use.concepts,
        causal=causal,
        shortcuts=tuple(_shortcuts(model, pasted, materials.shortcuts[-1])),
        probes=tuple(_coverage(atlas) for atlas in (*atlases, *pasted)),
        provenance=_provenance(materials, _normal(atlases)) | {"draws": draws, "resamples": resamples, "seed": seed},
    )


def cohort_of(model: ChestModel, films: Sequence[Film], half: Mapping[str, int]) -> Cohort:
    """What NIH films show of each output: its own label, or any finding at all where outputs have no labels."""
    normal = np.array([bool(film.normal) for film in films])
    if _has_own_labels(model):
        shows = np.array([[film.labels[name] > 0 for name in model.findings] for film in films])
    else:
        shows = np.repeat(~normal[:, None], len(model.findings), axis=1)
    patients = tuple(film.patient for film in films)
    return Cohort(shows, normal, patients, np.array([half[patient] for patient in patients]))


def _has_own_labels(model: ChestModel) -> bool:
    return set(model.findings) <= set(load_manifest("nih").findings)


def _dissected(model: ChestModel, probes: ProbeSet, seed: int) -> Atlas:
    return dissect(model, probes, (LAST,), permutations=PERMUTATIONS, bootstraps=BOOTSTRAPS, seed=seed, reference=())


def _crossed(model: ChestModel, materials: Materials) -> list[ConceptUnits]:
    """Findings' units as each half of the patients labels them."""
    chosen = [_labelled([_dissected(model, materials.outlined(half), materials.seed)]) for half in (0, 1)]
    names = [
        (FINDINGS_PROBE, c) for c in materials.findings.concepts if any((FINDINGS_PROBE, c) in half for half in chosen)
    ]
    return [ConceptUnits(*name, (chosen[0].get(name, ()), chosen[1].get(name, ()))) for name in names]


def _of_other_patients(atlases: Iterable[Atlas]) -> list[ConceptUnits]:
    """Units of atlases none of whose patients is measured: both halves take the same."""
    return [ConceptUnits(*name, (units, units)) for name, units in _labelled(atlases).items()]


def _labelled(atlases: Iterable[Atlas]) -> dict[Concept, tuple[int, ...]]:
    """Units of the last map by the concepts that label them."""
    found: defaultdict[Concept, list[int]] = defaultdict(list)
    for atlas in atlases:
        for row in atlas.rows:
            if row.label and row.layer == LAST:
                found[atlas.probe, row.concept].append(row.unit)
    return {name: tuple(units) for name, units in found.items()}


def _normal(atlases: Sequence[Atlas]) -> Reference:
    """What normal films of the validation split give."""
    return atlases[0].references[LAST]


def _shortcuts(model: ChestModel, atlases: Sequence[Atlas], real: ProbeSet) -> list[ShortcutUnit]:
    """Shortcut units of every probe set; what they push is measured on real films."""
    films = real.films[:PUSHED]
    read, shown = pool_units(model, films), shown_on(films, real.concepts)
    return [unit for atlas in atlases for unit in shortcut_units(atlas, LAST, read, shown)]


def _coverage(atlas: Atlas) -> ProbeCoverage:
    found = [one for one in summary(atlas) if one.layer == LAST]
    return ProbeCoverage(
        atlas.probe,
        atlas.provenance["films"],
        atlas.provenance["patients"],
        {one.concept: one.detectors for one in found},
        tuple(one.concept for one in found if not one.detectable),
    )


def _figures(use: HeadUse, logit: Floats, auroc: Floats) -> UnitFigures:
    columns = (use.units.mean, use.units.contrast, use.units.low, use.units.high, logit, auroc)
    return UnitFigures(*(_rows(column) for column in columns))


def _rows(table: Floats) -> tuple[Row, ...]:
    return tuple(tuple(_told(v) if np.isfinite(v) else None for v in line) for line in table)


def _told(value: float) -> float:
    """Rounded to what the file tells."""
    return float(f"{value:.{DIGITS}g}")


def _provenance(materials: Materials, normal: Reference) -> dict[str, Any]:
    manifest = load_manifest("nih")
    return {
        "data": manifest.title,
        "citation": manifest.citation,
        "split": SPLIT,
        "min_native_width": NATIVE_WIDTH,
        "labels": {"probe": FINDINGS_PROBE, "splits": list(UNSEEN), "crossed": "by patient halves"},
        "half_patients": [sum(h == half for h in materials.half.values()) for half in (0, 1)],
        "baseline": Baseline.NORMAL_MEAN.value,
        "normal": normal.described,
        "normal_split": "val",
        "permutations": PERMUTATIONS,
        "versions": {name: version(name) for name in ("xrayinterp", "torch", "numpy")},
    }
