"""What the segmenter of lungs, heart and mediastinum is worth: segmenter.md beside this file.

Dice is that of its record, which `make embedded` measures. Its cardiothoracic ratio is compared with readers' outlines
and, on NIH films, none of which it learnt from, with the label and the outlines of cardiomegaly.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from xrayinterp.anatomy import anatomy_of, cardiothoracic, doubt
from xrayinterp.datasets.films import Film, load_films
from xrayinterp.evaluation.statistics import auroc_over_patients, mean_interval
from xrayinterp.explanation import explain, trace
from xrayinterp.imaging.geometry import frame
from xrayinterp.imaging.reader import read
from xrayinterp.models.card import Interval
from xrayinterp.models.segmentation import STRUCTURES
from xrayinterp.models.segmenter import FOLDER, NAME, Segmenter, load_segmenter, segment
from xrayinterp.models.zoo import BUILTIN_DIR, describe, load_model
from xrayinterp.training.segmenter_films import outlined_films
from xrayinterp.training.segmenter_measure import outlined_segmentation

RESULT = Path(__file__).with_suffix(".md")
MIN_WIDTH = 128
REPEATS = 15


def told(interval: Interval | Sequence[float] | None, digits: int = 3) -> str:
    """A figure with its 95 % interval."""
    if interval is None:
        return "–"
    values = (interval.value, interval.low, interval.high) if isinstance(interval, Interval) else interval
    figure, low, high = (f"{value:.{digits}f}" for value in values)
    return f"{figure} ({low} to {high})"


def dice_rows(record: dict) -> list[str]:
    """Dice by source and structure."""
    groups = {**record["measured"]["test"], "synthetic films, exact masks": record["measured"]["synthetic"]}
    lines = ["| films | structure | Dice | lowest | films | patients |", "|---|---|---|---|---|---|"]
    return lines + [
        f"| {group} | {name} | {told(row['dice'])} | {row['lowest']:.3f} | {row['films']} | {row['patients']} |"
        for group, structures in groups.items()
        for name, row in structures.items()
    ]


def against_readers(segmenter: Segmenter) -> list[str]:
    """The ratio from the segmenter's masks against that from readers' outlines, on val and test films."""
    lines = ["| split | films | mean difference | mean absolute difference | largest |", "|---|---|---|---|---|"]
    for split in ("val", "test"):
        pairs, patients = [], []
        for film in outlined_films(split):
            if len(film.masks) == len(STRUCTURES):
                own, _ = cardiothoracic(segmenter.segment(film.pixels))
                readers, _ = cardiothoracic(outlined_segmentation(film))
                pairs.append(np.nan if own is None or readers is None else own.ratio - readers.ratio)
                patients.append(film.patient)
        values = np.array(pairs)
        mean, size = mean_interval(values, patients), mean_interval(np.abs(values), patients)
        known = np.isfinite(values)
        lines.append(
            f"| {split} | {known.sum()} of {len(values)} | {told(mean)} | {told(size)} | "
            f"{np.abs(values[known]).max():.3f} |"
        )
    return lines


def ratios(films: Sequence[Film], segmenter: Segmenter) -> tuple[np.ndarray, list[str | None], np.ndarray]:
    """Of each film: the ratio (NaN where not measurable), the reason, and the heart's width in parts of the film's."""
    values, reasons, widths = np.full(len(films), np.nan), [], np.full(len(films), np.nan)
    for i, film in enumerate(track(films, "segmenting", transient=True)):
        pixels = film.pixels()
        found, reason = cardiothoracic(segmenter.segment(pixels))
        reasons.append(reason)
        if found is not None:
            values[i], widths[i] = found.ratio, found.heart / pixels.shape[1]
    return values, reasons, widths


def auroc_rows(films: Sequence[Film], values: np.ndarray) -> list[str]:
    """Whether the ratio tells cardiomegaly: AUROC over patients, all films and by view."""
    labels = np.array([film.labels["Cardiomegaly"] for film in films], dtype=float)
    outlined = np.array(
        [film.mask("Cardiomegaly").any() if _annotated(film) else np.nan for film in films], dtype=float
    )
    views = np.array([film.view[:2] for film in films])
    splits = np.array([film.split for film in films])
    patients = np.array([film.patient for film in films])
    large = np.array([film.native_width >= MIN_WIDTH for film in films])
    lines = ["| cardiomegaly by | films | view | positive | AUROC of the ratio | median ratio with / without |"]
    lines.append("|---|---|---|---|---|---|")
    for name, target, where in (
        ("NIH label, all splits", labels, large),
        ("NIH label, test split", labels, large & (splits == "test")),
        ("outline by radiologists (ChestX-Det), all splits", outlined, large),
        ("the same, with films of 64 px", outlined, np.ones(len(films), dtype=bool)),
    ):
        for view in ("all", "PA", "AP"):
            keep = where & np.isfinite(target) & np.isfinite(values) & ((views == view) | (view == "all"))
            area = auroc_over_patients(values[keep], target[keep], patients[keep].tolist())
            sick = target[keep] > 0
            medians = " / ".join(f"{np.median(values[keep][part]):.2f}" for part in (sick, ~sick))
            lines.append(f"| {name} | {keep.sum()} | {view} | {sick.sum()} | {told(area)} | {medians} |")
    return lines


def _annotated(film: Film) -> bool:
    return "ChestX-Det" in film.annotated


def beside_polygons(films: Sequence[Film], widths: np.ndarray) -> str:
    """The heart's width beside that of radiologists' outlines of enlarged hearts."""
    quotients, patients = [], []
    for film, width in zip(films, widths, strict=True):
        if _annotated(film) and np.isfinite(width) and (mask := film.mask("Cardiomegaly")).any():
            columns = np.flatnonzero(mask.any(0))
            quotients.append(width * mask.shape[1] / (columns[-1] - columns[0] + 1))
            patients.append(film.patient)
    values = np.array(quotients)
    within = mean_interval((np.abs(values - 1) <= 0.1).astype(float), patients)
    return (
        f"On {len(values)} films with an outline of an enlarged heart, the segmenter's width over the outline's is "
        f"{told(mean_interval(values, patients))}; within a tenth of it on {told(within, 2)} of them."
    )


def failures(films: Sequence[Film], reasons: Sequence[str | None]) -> list[str]:
    """How often there is no ratio, and why."""
    counts = {reason: reasons.count(reason) for reason in sorted({r for r in reasons if r is not None})}
    rows = [f"| {reason} | {count} | {100 * count / len(films):.1f} % |" for reason, count in counts.items()]
    return ["| no ratio, because | films | share |", "|---|---|---|", *rows]


def costs() -> list[str]:
    """Milliseconds of each step, interleaved with the model's forward, medians."""
    film = next(f for f in load_films("nih", splits=["val"], min_native_width=MIN_WIDTH))
    radiograph, model = read(film.path), load_model("compact")
    made = explain(radiograph, model, anatomy=False)
    found = segment(radiograph)
    assert found is not None
    assert doubt(found) is None
    maps, square = [(m.method, m.values, m.signed) for m in made.maps], frame(*radiograph.shape)
    steps = {
        "forward of `compact`": lambda: model.logits(model.prepare(radiograph)),
        "trace of `compact`, as an explanation needs it": lambda: trace(radiograph, model),
        "segmentation, cleaned": lambda: segment(radiograph),
        "words, shares and ratio of one map": lambda: anatomy_of(found, square, maps, made.regions),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(REPEATS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1000 * (time.perf_counter() - start))
    forward = np.median(times["forward of `compact`"])
    rows = [f"| {n} | {np.median(t):.1f} | {np.median(t) / forward:.2f} |" for n, t in times.items()]
    return ["| step | ms | forwards |", "|---|---|---|", *rows]


def main() -> None:
    """Write the tables."""
    segmenter = load_segmenter()
    assert segmenter is not None
    weights = BUILTIN_DIR / FOLDER / f"{NAME}.safetensors"
    record = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    parameters = sum(p.numel() for p in segmenter.network.parameters())
    films = load_films("nih")
    values, reasons, widths = ratios(films, segmenter)
    val = ", ".join(f"{name} {value:.3f}" for name, value in record["measured"]["val_dice"].items())
    learnt = told(describe("compact").metrics["Cardiomegaly"].auroc)
    lines = [
        "# The segmenter of lungs, heart and mediastinum", "",
        f"{parameters:,} weights, {weights.stat().st_size / 1e6:.1f} MB. 95 % intervals over patients.", "",
        "## Dice on films it has not seen", "", f"Tested on {record['tested_on']}.", "", *dice_rows(record), "",
        f"On val, which chose the epoch: {val}.", "",
        "## Cardiothoracic ratio beside readers' outlines", "",
        "From the segmenter's masks less that from GeneralBlockchain's outlines, same rule of measurement.", "",
        *against_readers(segmenter), "",
        "## Does the ratio tell cardiomegaly?", "",
        "NIH films of 128 px and more; none was learnt from. Labels were mined from reports. For comparison, "
        f"`compact`, which learnt this label, on the test split: {learnt}.",
        "", *auroc_rows(films, values), "", beside_polygons(films, widths), "",
        f"Measurable on {np.isfinite(values).sum()} of {len(films)} films.", "", *failures(films, reasons), "",
        "## Cost", "", "One thread on a busy machine, so only the last column counts; medians of interleaved repeats.",
        "", *costs(), "",
    ]  # fmt: skip
    RESULT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
