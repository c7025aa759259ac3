"""What scoring a film and locating its oddities cost, in forwards of the same expert in the same run.

CPU time on one thread, one film at a time, cloners as they are born: what they learned changes no cost. The training
time is that of the built-in detector, from its record. Writes anomaly_cost.md beside this file; needs no radiographs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from xrayinterp.anomaly.choice import expert_named
from xrayinterp.anomaly.discrepancy import weights_of
from xrayinterp.anomaly.distillation import DistillationDetector
from xrayinterp.anomaly.experts import Expert, cloner_of, densenet_expert
from xrayinterp.anomaly.files import read_record
from xrayinterp.anomaly.fitting import Learned, Settings
from xrayinterp.anomaly.shelf import UNUSUALNESS, find
from xrayinterp.models.architectures import DenseNet, DenseNetShape

RESULT = Path(__file__).with_suffix(".md")
RUNS = 9
HEAD = (
    "expert", "input", "expert, ms", "cloner", "score", "score, allowed", "gradient", "guided", "smoothgrad (25)",
    "difference",
)  # fmt: skip
ABOUT = """# What anomaly detection costs

Median CPU time of {runs} runs on one thread, one film at a time, in forwards of the same expert (whose milliseconds
are given). A score is allowed 1.3 forwards of the expert and one of the cloner; a map by gradient 4. Maps are those
of a score at three critical points, blur included.

TABLE

Training the built-in detector: {training}.
"""


def experts() -> list[Expert]:
    """Experts of four sizes; the last two learned nothing."""
    large = densenet_expert(DenseNet(DenseNetShape(), 1), "DenseNet-121", "random", 224)
    return [
        expert_named("self-supervised"),
        expert_named("compact", size=112),
        expert_named("compact"),
        expert_named("random-vgg16", size=128),
        large,
    ]


def line(expert: Expert) -> tuple[str, ...]:
    """One expert's row."""
    cloner = cloner_of(expert).eval().requires_grad_(False)
    learned = Learned(cloner, 1.0)
    points = len(Settings().points(expert)[1])
    detector = DistillationDetector(expert, learned=learned, weights=weights_of("both", 1.0, points))
    size = expert.recipe.size or 128
    image = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    x = expert.recipe(image)

    def forward(module: torch.nn.Module) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return module(x)

        return run

    works: list[Callable[[], object]] = [
        forward(expert.module),
        forward(cloner),
        lambda: detector.scores(image),
        *(lambda m=m: detector.maps(image, method=m) for m in ("gradient", "guided", "smoothgrad", "difference")),
    ]
    own, copy, score, *maps = seconds(works)
    shares = (copy / own, score / own, 1.3 + copy / own, *(value / own for value in maps))
    return (expert.name, str(size), f"{1000 * own:.1f}", *(f"{share:.2f}" for share in shares))


def seconds(works: list[Callable[[], object]]) -> list[float]:
    """Median CPU time of each, taken in turns so that a busy moment meets all alike."""
    times: list[list[float]] = [[] for _ in works]
    for run in range(RUNS + 1):
        for work, kept in zip(works, times, strict=True):
            start = time.process_time()
            work()
            if run:
                kept.append(time.process_time() - start)
    return [sorted(kept)[len(kept) // 2] for kept in times]


def training() -> str:
    """How long the built-in detector took, as its record says."""
    record = read_record(find(UNUSUALNESS))
    return f"{record.measured['fit']} of {record.normals.films} films"


def main() -> None:
    """Write the table."""
    torch.set_num_threads(1)
    rows = [HEAD, ("---",) * len(HEAD), *(line(expert) for expert in experts())]
    text = ABOUT.format(runs=RUNS, training=training())
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    RESULT.write_text(text.replace("TABLE", table), encoding="utf-8")


if __name__ == "__main__":
    main()
