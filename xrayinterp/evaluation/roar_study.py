"""ROAR and ROAD on radiographs: effusion against no finding, on small films, by a small network.

    python -m xrayinterp.evaluation.roar_study run FOLDER --part 1/2 &
    python -m xrayinterp.evaluation.roar_study run FOLDER --part 2/2
    python -m xrayinterp.evaluation.roar_study table FOLDER

Both finish what is not done yet, and may be stopped and begun anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer

from ..datasets.films import Film, load_films
from ..models.card import Interval
from ..training.films import TrainingSet, finding_targets, squares
from ..training.measure import auroc, patient_weights
from .perturbation import mean_height
from .roar import RETRAINED, Job, Plan, Protocol, Task, logits_of, run, untouched_logits
from .runs import part_named
from .statistics import RESAMPLES, holm
from .tables import figure, markdown

METHODS = (
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "guided_backprop",
    "rectgrad",
    "lrp_zplus",
    "gradcam",
    "gradcampp",
    "pathway_gradient",
    "prunegrad",
    "edges",
    "centre",
    "random",
)
RIVAL = "random"
SIDE = 64
NORMAL_PER_POSITIVE = 2
SPLITS = (("train",), ("val",), ("probe", "test"))
"""To train on, to select the epoch on, to report on."""

Floats = npt.NDArray[np.float64]
app = typer.Typer(help=__doc__, add_completion=False)
Methods = Annotated[str, typer.Option(help="Methods, by commas.")]
ALL = ",".join(METHODS)
Seeds = Annotated[int, typer.Option(min=1, help="Trainings from scratch behind each figure of ROAR.")]
Folder = Annotated[Path, typer.Argument(help="Where all results of this study lie.", show_default=False)]


@dataclass(frozen=True)
class Line:
    """One method under one protocol: AUROC by fraction, the area under it, and the area minus the rival's.

    Lower is better: less of the finding is left. `p` is two-sided, from the resamples, Holm-adjusted over methods.
    """

    protocol: Protocol
    method: str
    by_fraction: Mapping[float, float]
    area: Interval
    difference: Interval | None
    p: float | None


def effusion(root: Path | None = None, *, side: int = SIDE, seed: int = 0) -> Task:
    """Effusion against no finding at all on NIH films, twice as many normal films as there are with effusion.

    Tested on probe and test films together: no choice is made on either. Frontal films, at least 128 px before storage.

    Raises:
        XrayInterpError: `data-missing` where the films are not there.
    """
    train, val, test = (_set(root, splits, side, seed) for splits in SPLITS)
    return Task(f"Effusion against no finding, {side} px", train, val, test)


def lines(task: Task, plan: Plan, folder: Path, *, seed: int = 0) -> list[Line]:
    """All figures of a finished study, best area first within each protocol.

    Raises:
        XrayInterpError: `not-found` where a job is not done.
    """
    weights = patient_weights(task.test.patients, RESAMPLES, seed)
    labels = task.test.targets[:, 0].numpy()
    out: list[Line] = []
    for protocol in plan.protocols:
        curves = {method: _curve(plan, folder, protocol, method, labels, weights) for method in plan.methods}
        out += _ranked(plan, protocol, curves)
    return out


def report(task: Task, plan: Plan, folder: Path) -> str:
    """The study as Markdown."""
    labels = task.test.targets[:, 0].numpy()
    whole = [float(auroc(labels, untouched_logits(folder, seed))[0]) for seed in plan.seeds]
    found = lines(task, plan, folder)
    out = [
        f"# ROAR and ROAD: {task.name}",
        "",
        f"{len(task.train)} films to train on, {len(task.test)} of {len(set(task.test.patients))} patients to test on. "
        f"AUROC on whole films, by seed of the training: {', '.join(f'{value:.3f}' for value in whole)}. Area: mean "
        f"AUROC from nothing taken out to {max(plan.fractions):.0%}; lower is better. 95 % intervals over patients; "
        f"difference from `{RIVAL}` on the same films, Holm over methods.",
    ]
    for protocol in plan.protocols:
        out += ["", f"## {protocol}", "", *_table([line for line in found if line.protocol == protocol], plan)]
    return "\n".join(out) + "\n"


@app.command("run")
def run_command(
    folder: Folder,
    part: Annotated[str, typer.Option(help="This process's share of the methods, as 1/2.")] = "1/1",
    methods: Methods = ALL,
    seeds: Seeds = 2,
    threads: Annotated[int, typer.Option(help="Threads of this process.")] = 1,
) -> None:
    """Train and measure what is missing."""
    torch.set_num_threads(threads)
    number, of = part_named(part)
    for job in run(effusion(), _plan(methods, seeds), folder, part=number - 1, of=of):
        typer.echo(f"{job.protocol} {job.method} {job.fraction:.0%} seed {job.seed}", err=True)


@app.command("table")
def table_command(folder: Folder, methods: Methods = ALL, seeds: Seeds = 2) -> None:
    """Write roar.md and roar.json beside the results."""
    task, plan, file = effusion(), _plan(methods, seeds), folder / "roar.md"
    file.write_text(report(task, plan, folder), encoding="utf-8")
    found = [asdict(line) for line in lines(task, plan, folder)]
    file.with_suffix(".json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    typer.echo(str(file))


def _plan(methods: str, seeds: int) -> Plan:
    return Plan(tuple(methods.split(",")), seeds=tuple(range(seeds)))


def effusion_films(root: Path | None, splits: Sequence[str], *, min_native_width: int, seed: int = 0) -> list[Film]:
    """All films with effusion of some splits, then `NORMAL_PER_POSITIVE` times as many without any finding, drawn."""
    films = load_films("nih", root=root, splits=splits, min_native_width=min_native_width)
    positive = [film for film in films if film.labels["Effusion"]]
    normal = [film for film in films if film.normal]
    wanted = min(len(normal), NORMAL_PER_POSITIVE * len(positive))
    drawn = np.random.default_rng(seed).permutation(len(normal))[:wanted]
    return positive + [normal[i] for i in sorted(drawn)]


def _set(root: Path | None, splits: Sequence[str], side: int, seed: int) -> TrainingSet:
    films = effusion_films(root, splits, min_native_width=2 * side, seed=seed)
    targets = torch.from_numpy(finding_targets(films, ("Effusion",)))
    return TrainingSet(squares(films, side), targets, ("Effusion",), tuple(film.patient for film in films))


def _curve(plan: Plan, folder: Path, protocol: Protocol, method: str, labels: Floats, weights: Floats) -> Floats:
    """AUROC (1 + B, 1 + fractions) of the test set and of its resamples, averaged over seeds."""
    rows = np.concatenate([np.ones((1, len(labels))), weights])
    seeds = plan.seeds if protocol in RETRAINED else plan.seeds[:1]
    by_seed = []
    for seed in seeds:
        logits = [untouched_logits(folder, seed)]
        logits += [logits_of(folder, Job(protocol, method, fraction, seed)) for fraction in plan.fractions]
        by_seed.append(np.stack([auroc(labels, scores, rows) for scores in logits], axis=1))
    return np.asarray(np.mean(by_seed, axis=0))


def _ranked(plan: Plan, protocol: Protocol, curves: Mapping[str, Floats]) -> list[Line]:
    steps = (0.0, *plan.fractions)
    areas = {m: np.array([mean_height(steps, row) for row in curve]) for m, curve in curves.items()}
    rival = areas.get(RIVAL)
    gaps = {m: area - rival for m, area in areas.items() if rival is not None and m != RIVAL}
    p = dict(zip(gaps, holm(np.array([_two_sided(gap[1:]) for gap in gaps.values()])), strict=True))
    return sorted(
        (
            Line(
                protocol,
                method,
                dict(zip(plan.fractions, curves[method][0, 1:].tolist(), strict=True)),
                _interval(area),
                _interval(gaps[method]) if method in gaps else None,
                float(p[method]) if method in p else None,
            )
            for method, area in areas.items()
        ),
        key=lambda line: line.area.value,
    )


def _interval(draws: Floats) -> Interval:
    """First the value itself, then its resamples."""
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return Interval(float(draws[0]), float(low), float(high))


def _two_sided(draws: Floats) -> float:
    below, above = (draws <= 0).sum(), (draws >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(draws))))


def _table(found: Sequence[Line], plan: Plan) -> list[str]:
    head = ["method", *(f"{fraction:.0%}" for fraction in plan.fractions), "area", f"minus {RIVAL}", "p"]
    body = [
        [
            line.method,
            *(f"{line.by_fraction[fraction]:.3f}" for fraction in plan.fractions),
            figure(line.area),
            "" if line.difference is None else figure(line.difference),
            "" if line.p is None else f"{line.p:.3f}",
        ]
        for line in found
    ]
    return markdown(head, body)


if __name__ == "__main__":
    app()
