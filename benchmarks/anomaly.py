"""Anomaly detection: distillation, its ablations and experts beside baselines, on digits, adults' and children's films.

`python benchmarks/anomaly.py run OUT` measures what is not measured yet (hours on a processor; several processes may
share OUT, `--device cuda` takes minutes each), then writes anomaly.md beside this file. Without a word it writes
anomaly.md from what lies in OUT alone. `pack FOLDER` copies the films that are used, and nothing else, to a data root
of about 40 MB for another machine.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from xrayinterp.anomaly.protocol_conduct import Plan, conduct
from xrayinterp.anomaly.protocol_detectors import NamedDetector, detectors_named
from xrayinterp.anomaly.protocol_family import Loading
from xrayinterp.anomaly.protocol_identity import recorded
from xrayinterp.anomaly.protocol_lines import lines
from xrayinterp.anomaly.protocol_report import report
from xrayinterp.anomaly.protocol_store import Cells
from xrayinterp.anomaly.protocol_tasks import MIN_WIDTH, tasks_named
from xrayinterp.datasets.films import Film, load_films, load_manifest
from xrayinterp.paths import cache_dir, data_root

RESULT = Path(__file__).with_suffix(".md")
TASKS = ("kermany", "nih", "digits")
EXPERTS = ("self-supervised", "compact", "random")
"""VGG-16 is added by `--experts` where its weights are at hand: "self-supervised,compact,random,vgg16"."""
FORMS = (
    "distillation", "last-layer", "value", "direction", "standardised", "position", "position-standardised", "equal",
)  # fmt: skip
"""Every form of the distillation, on the first expert; of the others only the first form."""
BASELINES = ("nearest", "gaussian")
ALONE = ("reconstruction", "centre", "weak")


def main() -> None:
    options = _options()
    if options.what == "pack":
        pack(options.folder)
        return
    out = options.folder or cache_dir() / "anomaly"
    planned = planned_run(options)
    console = Console(stderr=True)
    if options.what == "run":
        left = conduct(planned, out, device=options.device, told=lambda text: console.print(text, highlight=False))
        console.print(f"{left.all} of {len(planned.cells())} are missing" if left.all else "everything is measured")
    planned, cells = recorded(planned, out), Cells(out / "cells")
    found = lines(planned, cells)
    if not found:
        console.print(
            f"{out} holds no detector measured on all of a family: see `python benchmarks/anomaly.py --help`."
        )
        return
    RESULT.write_text("\n".join(report(planned, found, cells)) + "\n", encoding="utf-8")


def planned_run(options: argparse.Namespace) -> Plan:
    """What this benchmark measures."""
    loading = Loading(None, options.size, options.limit)
    tasks = tuple(tasks_named(options.tasks.split(","), loading))
    return Plan(tasks, tuple(detectors(options.experts.split(","))), options.seeds, loading, options.effort)


def detectors(experts: list[str]) -> list[NamedDetector]:
    """Every form on the first expert, the published one and the baselines on all, and those that read none."""
    names = [f"{form}@{experts[0]}" for form in FORMS]
    names += [f"{FORMS[0]}@{expert}" for expert in experts[1:]]
    names += [f"{baseline}@{expert}" for baseline in BASELINES for expert in experts]
    return detectors_named([*names, *ALONE])


def pack(folder: Path) -> None:
    """Copy the films, masks and rows of tables that the tasks read to a data root of their own."""
    root = data_root()
    for name, films in (("nih", list(_nih())), ("kermany", list(_kermany()))):
        manifest = load_manifest(name)
        files = [path for film in films for path in (film.path, film.mask_path) if path is not None]
        for path in track(files, f"copying {name}", transient=True, console=Console(stderr=True)):
            to = folder / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
        _rows(root / manifest.table, folder / manifest.table, manifest.columns["id"], {film.id for film in films})


def _nih() -> Iterator[Film]:
    for film in load_films("nih", min_native_width=MIN_WIDTH):
        outlined = film.split != "train" and film.mask_path is not None
        if film.split == "test" or outlined or (film.split == "train" and film.normal):
            yield film


def _kermany() -> Iterator[Film]:
    for film in load_films("kermany"):
        if film.split == "test" or (film.split == "train" and film.labels["Pneumonia"] == 0):
            yield film


def _rows(source: Path, target: Path, column: str, ids: set[str]) -> None:
    with source.open(newline="", encoding="utf-8") as given, target.open("w", newline="", encoding="utf-8") as kept:
        reader = csv.DictReader(given)
        writer = csv.DictWriter(kept, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(row for row in reader if row[column] in ids)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("run", "table", "pack"), default="table")
    parser.add_argument("folder", nargs="?", type=Path, help="results, or where to pack; else in the cache")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--experts", default=",".join(EXPERTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, help="side of all images; else each task's own")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--effort", type=float, default=1.0, help="factor on the steps of training")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.what == "pack" and options.folder is None:
        parser.error("pack needs a folder")
    return options


if __name__ == "__main__":
    main()
