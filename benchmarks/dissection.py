"""Detector units per concept, beside random weights, permuted masks and (if given) a net trained on shuffled labels.

Writes dissection.md beside this file. Needs XRAYINTERP_DATA.

All columns share films, masks, definition and thresholds' tail. Three chance levels are shown: the same network with
random weights, the same regions against masks of other patients, and the label rule itself (permutation p <= .05).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xrayinterp.concepts.probes import ProbeSet, load_probe_set
from xrayinterp.dissection.atlas import Atlas
from xrayinterp.dissection.baselines import randomised
from xrayinterp.dissection.io import save_atlas
from xrayinterp.dissection.network import dissect
from xrayinterp.dissection.summary import ConceptSummary, detectors, summary
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model
from xrayinterp.training.checkpoints import training_folder


@dataclass(frozen=True)
class Column:
    """A network in the table: its atlas, and what it is compared with."""

    name: str
    kind: str
    atlas: Atlas


def main() -> None:
    options = _options()
    probes = load_probe_set(options.probes, root=options.data, limit=options.limit)
    columns = []
    for name in options.models:
        model = load_model(name)
        columns.append(_measure(model, name, "model", probes, options))
        columns += [
            _measure(randomised(model, seed), f"{name}, random weights {seed}", "random", probes, options)
            for seed in range(options.random)
        ]
    columns += [
        _measure(load_model(n), "net on shuffled labels", "shuffled", probes, options) for n in options.shuffled
    ]
    text = _document(columns, probes, options)
    options.out.write_text(text, encoding="utf-8")


def _shuffled() -> list[str]:
    """The control net of `make embedded`, where it was trained on this machine."""
    path = training_folder() / "shuffled.safetensors"
    return [str(path)] if path.is_file() else []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["compact", "weak", "brixia"])
    parser.add_argument("--layers", nargs="+", default=["norm5", "denseblock3", "denseblock2", "denseblock1"])
    parser.add_argument("--shuffled", nargs="*", default=_shuffled(), help="weights of nets trained on shuffled labels")
    parser.add_argument("--probes", default="chestx-det")
    parser.add_argument("--splits", nargs="+", default=["probe", "val", "test"])
    parser.add_argument("--definition", default="khakzar2021")
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--random", type=int, default=1, help="how many random networks a model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=None, help="films, for a trial")
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--device", default=None)
    parser.add_argument("--atlases", type=Path, default=None, help="folder to keep every atlas in")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    return parser.parse_args()


def _measure(model: ChestModel, name: str, kind: str, probes: ProbeSet, options: argparse.Namespace) -> Column:
    atlas = dissect(
        model,
        probes,
        options.layers,
        definition=options.definition,
        splits=options.splits,
        permutations=options.permutations,
        seed=options.seed,
        device=options.device,
        reference=(),
    )
    if options.atlases is not None:
        save_atlas(atlas, options.atlases / f"{name.replace(', ', '-').replace(' ', '-')}.parquet")
    return Column(name, kind, atlas)


def _document(columns: Sequence[Column], probes: ProbeSet, options: argparse.Namespace) -> str:
    told = columns[0].atlas.provenance
    parts = [
        f"# Detector units on {probes.name}",
        f"{told['films']} films of {told['patients']} patients (splits {', '.join(options.splits)}), definition "
        f"{options.definition}, {options.permutations} permutations between patients, seed {options.seed}. A detector "
        "has IoU > .04 and permutation p <= .05; a joint label counts for each of its concepts.",
    ]
    for layer in options.layers:
        parts += [f"## {layer}", _totals(columns, layer), _by_concept(columns, layer), _best(columns, layer)]
    return "\n\n".join(parts) + "\n"


def _totals(columns: Sequence[Column], layer: str) -> str:
    rows = []
    for column in columns:
        told = column.atlas.provenance["layers"][layer]
        chance = told["permuted"]
        rows.append(
            (
                column.name,
                told["units"],
                detectors(column.atlas, layer),
                told["detectors_by_iou_alone"],
                f"{chance['mean']:.1f} / {chance['highest']}",
                told["detectors_family_wise"],
                told["detectors_among_positives"],
                told["crossfit_agrees"],
                f"{max(r.iou for r in column.atlas.rows if r.layer == layer):.3f}",
            )
        )
    head = (
        "network",
        "units",
        "detectors",
        "IoU > .04 alone",
        "the same, permuted masks (mean / max)",
        "family-wise p <= .05",
        "positives-only p <= .05",
        "both halves agree",
        "best IoU",
    )
    return _table(head, rows)


def _by_concept(columns: Sequence[Column], layer: str) -> str:
    """Labelled units of each concept; in brackets those that IoU > .04 alone gives, and that on permuted masks."""
    known = [_of_layer(column.atlas, layer) for column in columns]
    rows = []
    for concept, first in known[0].items():
        cells = [
            f"{found[concept].detectors} ({found[concept].by_iou_alone}; {_permuted(column, layer, concept):.1f})"
            for column, found in zip(columns, known, strict=True)
        ]
        ceiling = f"{first.highest_ceiling:.2f}" if first.detectable else f"{first.highest_ceiling:.3f}, undetectable"
        rows.append((concept, first.films, first.patients, ceiling, *cells))
    return _table(("concept", "films", "patients", "highest ceiling", *(c.name for c in columns)), rows)


def _best(columns: Sequence[Column], layer: str) -> str:
    """Best detector of each concept of the trained networks."""
    rows = []
    for column in columns:
        if column.kind == "random":
            continue
        for found in _of_layer(column.atlas, layer).values():
            if found.detectors:
                interval = f"{found.best_iou:.3f} ({found.best_low:.3f} to {found.best_high:.3f})"
                crossed = "" if found.best_crossfit is None else f"{found.best_crossfit:.3f}"
                precision = "" if found.median_precision is None else f"{found.median_precision:.2f}"
                rows.append(
                    (
                        column.name,
                        found.concept,
                        found.best_unit,
                        interval,
                        f"{found.best_ceiling:.2f}",
                        crossed,
                        precision,
                    )
                )
    head = (
        "network",
        "concept",
        "best unit",
        "IoU (95 % over patients)",
        "ceiling",
        "cross-fitted",
        "median precision",
    )
    return _table(head, rows)


def _of_layer(atlas: Atlas, layer: str) -> dict[str, ConceptSummary]:
    return {found.concept: found for found in summary(atlas) if found.layer == layer}


def _permuted(column: Column, layer: str, concept: str) -> float:
    return float(column.atlas.provenance["layers"][layer]["permuted"]["by_concept"][concept])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
