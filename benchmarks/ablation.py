"""Are a concept's units causes before the last layer as well? Units of an earlier block taken out by real forwards.

For findings whose concept labels units of that block: labels from one half of the patients, films of the other, both
ways; random units are matched on gradient x activation. Writes ablation.md beside this file. Needs XRAYINTERP_DATA;
about two minutes on one thread.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from xrayinterp.datasets.films import Film
from xrayinterp.dissection.ablation import Baseline, ForwardAblation, held_values
from xrayinterp.dissection.causal import ConceptUnits, causal_effects
from xrayinterp.dissection.io import load_atlas
from xrayinterp.dissection.network import dissect
from xrayinterp.dissection.shelf import builtin_folder
from xrayinterp.dissection.unit_facts import CausalEffect, Effect
from xrayinterp.dissection.unit_facts_building import FINDINGS_PROBE, Materials, cohort_of
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model


def main() -> None:
    options = _options()
    model, materials = load_model(options.model), Materials.read(options.seed)
    labels = [_labels(model, materials, half, options) for half in (0, 1)]
    films = _films(materials.films, options)
    x = torch.cat([model.prepare_pixels(film.pixels()) for film in films])
    atlas = load_atlas(builtin_folder() / f"{model.name}.{FINDINGS_PROBE}.parquet", model)
    held = held_values(Baseline.NORMAL_MEAN, atlas.references[options.layer].means)
    ablation = ForwardAblation(model.module, model.layer(options.layer), x, held)
    cohort = cohort_of(model, films, materials.half)
    found: list[CausalEffect] = []
    with Progress(transient=True) as bar:
        task = bar.add_task("taking units out", total=len(options.findings))
        for name in options.findings:
            units = tuple(half.get(name, ()) for half in labels)
            concept = ConceptUnits(FINDINGS_PROBE, name, (units[0], units[1]))
            found += causal_effects(
                ablation, cohort, [concept], model.findings, only=[name], draws=options.draws, seed=options.seed,
                tick=partial(bar.advance, task),
            )  # fmt: skip
    options.out.write_text(_document(found, films, options), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--layer", default="denseblock3")
    parser.add_argument("--findings", nargs="+", default=["Effusion", "Cardiomegaly"])
    parser.add_argument("--positive", type=int, default=40, help="films with each finding, at most")
    parser.add_argument("--normal", type=int, default=60, help="films without any")
    parser.add_argument("--draws", type=int, default=19)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    return parser.parse_args()


def _labels(
    model: ChestModel, materials: Materials, half: int, options: argparse.Namespace
) -> dict[str, tuple[int, ...]]:
    """Units of the layer by the concept that one half of the patients gives them."""
    layers, outlined = (options.layer,), materials.outlined(half)
    atlas = dissect(
        model, outlined, layers, permutations=options.permutations, bootstraps=300, seed=options.seed, reference=()
    )
    found: dict[str, tuple[int, ...]] = {}
    for row in atlas.rows:
        if row.label:
            found[row.concept] = (*found.get(row.concept, ()), row.unit)
    return found


def _films(films: tuple[Film, ...], options: argparse.Namespace) -> list[Film]:
    """Films with each finding and normal ones, drawn by the seed, each once."""
    rng = np.random.default_rng(options.seed)
    groups = [[film for film in films if film.labels[name]] for name in options.findings]
    sizes = [options.positive] * len(groups)
    chosen: dict[str, Film] = {}
    for group, size in zip([*groups, [film for film in films if film.normal]], [*sizes, options.normal], strict=True):
        for i in rng.permutation(len(group))[:size]:
            chosen[group[i].id] = group[i]
    return list(chosen.values())


def _document(found: list[CausalEffect], films: list[Film], options: argparse.Namespace) -> str:
    head = (
        "finding", "units (by half)", "logit of positive films without them", "random units", "p",
        "AUROC without them", "random units", "p", "random / own contribution",
    )  # fmt: skip
    rows = [
        (row.finding, f"{row.units[0]} + {row.units[1]}", *_told(row.logit), *_told(row.auroc), f"{row.matched:.2f}")
        for row in found
    ]
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    return (
        f"# Units of {options.layer} taken out by real forwards ({options.model})\n\n{len(films)} NIH test films of "
        f"{len({film.patient for film in films})} patients, drawn so that positives are many: AUROCs are not those of "
        f"the test split. Units are held at their mean over normal films at every position. {options.draws} sets of "
        "random units, matched on the mean of |gradient x (activation - mean)|: no p below "
        f"{1 / (options.draws + 1):.2f} is possible. Intervals: 95 % over patients; random units: mean and 95 % of "
        f"draws. Seed {options.seed}.\n\n{table}\n"
    )


def _told(effect: Effect | None) -> tuple[str, str, str]:
    if effect is None:
        return "–", "–", "–"
    change = effect.change
    random = f"{effect.random:+.3f} ({effect.random_low:+.3f} to {effect.random_high:+.3f})"
    return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})", random, f"{effect.p:.2f}"


if __name__ == "__main__":
    main()
