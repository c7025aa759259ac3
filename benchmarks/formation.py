"""When do units come to detect concepts? The checkpoints of a short training run, dissected on unseen films.

A small network learns the fourteen NIH labels on some films for a few epochs; its averaged weights are kept at birth
and after every epoch. Writes formation.md beside this file. Needs XRAYINTERP_DATA; about three minutes on one thread.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from xrayinterp.concepts.probes import load_probe_set
from xrayinterp.datasets.films import load_films
from xrayinterp.dissection.formation import Formation, checkpoints_in, formation
from xrayinterp.dissection.shipped import UNSEEN
from xrayinterp.dissection.summary import UNDETECTABLE
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.models.storage import save_builtin
from xrayinterp.training.checkpoints import training_folder
from xrayinterp.training.embedded import FINDINGS
from xrayinterp.training.films import TrainingSet, finding_targets, squares
from xrayinterp.training.loop import Recipe, Stage, train
from xrayinterp.training.recipes import DETAIL, GENTLE

SHAPE = DenseNetShape(growth=12, blocks=(2, 4, 6, 4), stem=24)
SIZE = 160
SEED = 0


def main() -> None:
    options = _options()
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    _train(options)
    probes = load_probe_set("chestx-det", splits=UNSEEN)
    found = formation(checkpoints_in(options.checkpoints), probes, "norm5", permutations=options.permutations)
    log = (options.run / "formation.log.jsonl").read_text(encoding="utf-8").splitlines()
    text = _document(found, [json.loads(line) for line in log], options)
    options.out.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=3000, help="training films, drawn by the seed")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--run", type=Path, default=training_folder() / "formation", help="folder of the training run")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    options.checkpoints = options.run / "checkpoints"
    return options


def _train(options: argparse.Namespace) -> None:
    """Train, keeping the averaged weights after every epoch and those at birth."""
    stages = (Stage(SIZE, options.epochs),)
    recipe = Recipe(
        "formation", SHAPE, stages, len(FINDINGS), seed=SEED, batch=32, average=0.98, augmentation=GENTLE
    )  # fmt: skip
    torch.manual_seed(SEED)
    newborn = DenseNet(SHAPE, len(FINDINGS))
    facts = {"findings": list(FINDINGS), "size": SIZE, "scale": 1.0, "detail": DETAIL, "task": "findings"}

    def keep(epoch: int, network: DenseNet) -> None:
        save_builtin(options.checkpoints, f"epoch-{epoch:02}", network, facts)

    keep(0, copy.deepcopy(newborn).eval())
    train(recipe, _set("train", options.films), _set("val", None), options.run, start=newborn, after_epoch=keep)


def _set(split: str, limit: int | None) -> TrainingSet:
    films = load_films("nih", splits=[split], min_native_width=DETAIL)
    if limit is not None:
        drawn = np.random.default_rng(SEED).choice(len(films), min(limit, len(films)), replace=False)
        films = [films[i] for i in sorted(drawn)]
    targets = torch.from_numpy(finding_targets(films, FINDINGS))
    return TrainingSet(squares(films, DETAIL), targets, FINDINGS, tuple(film.patient for film in films))


def _document(found: Formation, log: Sequence[dict[str, float]], options: argparse.Namespace) -> str:
    scores = ["–", *(f"{line['val_auroc']:.3f}" for line in log)]
    detectors = [
        (curve.concept, *curve.detectors) if curve.detectable else (curve.concept, UNDETECTABLE)
        for curve in found.curves
    ]
    best = [(curve.concept, *(f"{iou:.3f}" for iou in curve.best_iou)) for curve in found.curves if curve.detectable]
    kept = [
        f"{now} of {n}" if now is not None else "–" for now, n in zip(found.kept, (0, *found.labelled), strict=False)
    ]
    head = ("", *found.checkpoints)
    parts = [
        "# Concept formation",
        f"A DenseNet of {found.units} last units learns the fourteen NIH labels on {options.films} films at {SIZE} "
        f"pixels, seed {SEED}; its averaged weights are dissected at {found.layer} over {found.probe}: {found.films} "
        f"films of {found.patients} patients it has not seen. Thresholds, labels and null ({options.permutations} "
        f"permutations, p <= .05) are those of each checkpoint. One run, no interval: a few units more or fewer from "
        "one epoch to the next say nothing.",
        "## Detectors",
        _table(
            head,
            [
                ("mean AUROC, val", *scores),
                ("labelled units", *found.labelled),
                ("labels kept from the checkpoint before", *kept),
                *detectors,
            ],
        ),
        "## Best IoU of any unit, labelled or not",
        _table(head, best),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    filled = [(*row, *[""] * (len(head) - len(row))) for row in rows]
    lines = [head, ["---"] * len(head), *filled]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
