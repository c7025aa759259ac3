"""How far two measures of what concepts give a logit part at earlier layers, and what measuring them costs.

Films of the NIH test split, each film's most pressing finding, every layer at which units bear names; the last one is
there as known truth. Costs are CPU time on one thread in forwards of the same model: on films, and for size on a
DenseNet-121 that learned nothing. Writes semantics_earlier.md beside this file. Needs XRAYINTERP_DATA.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from xrayinterp.attribution import Forward
from xrayinterp.datasets.films import load_films
from xrayinterp.dissection.atlas import Reference
from xrayinterp.dissection.naming import UnitNames, name_units
from xrayinterp.evaluation.untrained import untrained
from xrayinterp.explanation import Trace, at_layer, trace
from xrayinterp.imaging.reader import read
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.prediction import default_finding, predictions
from xrayinterp.models.zoo import load_model
from xrayinterp.report.layer_words import VISIBLE
from xrayinterp.semantics_earlier import LayerAttribution, LayerConcept, LayerMeasures, attribute_layer, named_layers

SEED = 0
TIMED = 5
RESULT = Path(__file__).with_suffix(".md")
HEAD = (
    "model", "layer", "baseline", "concepts with an effect", "signs agree", "difference, of the larger",
    "rank correlation of single units", "whole layer: gradient x activation / ablation", "not explained",
)  # fmt: skip
ABOUT = """# What concepts give a logit at earlier layers, measured twice

{films} NIH test films (seed {seed}), each film's most pressing finding. Gradient x activation is the first order of
ablation; at norm5 the two are the same number. From zero, units are silenced; from normal-mean, they are held at their
mean over films without findings. A concept has an effect where a measure reaches {visible} logits. Medians with
quartiles over concepts and films.

AGREEMENT

A layer with biases above it has no completeness: gradient x activation of all its units need not sum to the logit minus
the logit without the layer. "Not explained" is their difference, as a share of the larger.

## Cost

Least CPU time of {runs} runs on one thread, the model's own forward included, in forwards of the same model. Both
baselines; each map is one set of units taken out and run on from the layer. untrained-0 is a DenseNet-121 of random
weights without concepts.

COST
"""


def traces(model: ChestModel, count: int) -> list[Trace]:
    """Films drawn from the NIH test split, through the model."""
    films = load_films("nih", splits=["test"], min_native_width=128)
    chosen = np.random.default_rng(SEED).choice(len(films), count, replace=False)
    pictures = [read(films[i].path, view="PA" if films[i].view == "PA" else "AP") for i in chosen]
    return [trace(picture, model) for picture in track(pictures, f"{model.name}: films", transient=True)]


def rows(model: ChestModel, runs: list[Trace]) -> list[tuple[str, ...]]:
    """A line of the table for each layer and baseline."""
    out = []
    for layer in named_layers(model, runs[0].atlases):
        steps = track(runs, f"{model.name}: {layer}", transient=True)
        found = [at_layer(run, default_finding(model, predictions(model, run.logits)), layer) for run in steps]
        pairs = zip(*(each.measures for each in found), strict=True)
        out += [(model.name, layer, *summary(list(measures))) for measures in pairs]
    return out


def summary(measures: list[LayerMeasures]) -> tuple[str, ...]:
    """Both measures over films: counts and medians with quartiles."""
    concepts = [concept for one in measures for concept in one.concepts if _moves(concept)]
    apart = [abs(c.difference) / max(abs(c.gradient), abs(c.ablation)) for c in concepts]
    agree = np.mean([c.same_sign for c in concepts]) if concepts else np.nan
    gradient, ablation = (
        np.median([getattr(one.total, name) for one in measures]) for name in ("gradient", "ablation")
    )
    return (
        str(measures[0].baseline), f"{len(concepts)} of {sum(len(one.concepts) for one in measures)}", f"{agree:.1%}",
        _spread(apart, 2), _spread([one.rank_correlation for one in measures if one.rank_correlation is not None], 3),
        f"{gradient:+.2f} / {ablation:+.2f}", _spread([one.unexplained for one in measures if one.unexplained], 2),
    )  # fmt: skip


def _moves(concept: LayerConcept) -> bool:
    return max(abs(concept.gradient), abs(concept.ablation)) >= VISIBLE


def _spread(values: list[float], digits: int) -> str:
    low, middle, high = np.percentile(values or [np.nan], (25, 50, 75))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def costs(model: ChestModel, x: torch.Tensor, named: dict[str, UnitNames]) -> list[tuple[str, ...]]:
    """A line for each layer: maps run on, and the time of all of it (its own forward too) in forwards."""
    model.logits(x)
    forward = _seconds(lambda: model.logits(x))
    out = []
    for layer, names in named.items():

        def measure(layer: str = layer, names: UnitNames = names) -> LayerAttribution:
            return attribute_layer(Forward(model, x), model, model.findings[0], layer, names)

        found = measure()
        taken = _seconds(measure)
        out.append((model.name, layer, str(found.ablations), f"{taken / forward:.1f}", f"{1000 * taken:.0f}"))
    return out


def _seconds(work: Callable[[], object]) -> float:
    """Least CPU time of a few runs."""
    times = []
    for _ in range(TIMED):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _nameless(model: ChestModel, layer: str) -> UnitNames:
    units = model.layer(layer).units
    return UnitNames({}, {}, np.full(units, np.nan), Reference(np.full(units, 0.1), 1, "nothing"), ())


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ("---",) * len(head), *lines])


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    agreement, spent = [], []
    for name in ("compact", "weak", "brixia"):
        model = load_model(name)
        runs = traces(model, options.films)
        agreement += rows(model, runs)
        named = {layer: name_units(model, runs[0].atlases, layer) for layer in named_layers(model, runs[0].atlases)}
        spent += costs(model, runs[0].forward.x, named)
    large = untrained(load_model("compact"))
    spent += costs(large, runs[0].forward.x, {layer: _nameless(large, layer) for layer in reversed(large.layers)})
    told = ABOUT.format(films=options.films, seed=SEED, visible=VISIBLE, runs=TIMED)
    head = ("model", "layer", "maps run on", "forwards", "ms")
    text = told.replace("AGREEMENT", _table(HEAD, agreement)).replace("COST", _table(head, spent))
    RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
