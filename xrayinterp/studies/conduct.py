"""A study from data to report: its runs carried out or taken up, then its tables, figure and words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .facts import facts
from .figure import drawing
from .learn import epochs_of
from .plan import Run, Settings
from .questions import Study
from .report import report
from .samples import Samples
from .store import Result, Store, in_order
from .tables import write_tables

Told = Callable[[str], None]


def conduct(
    studies: Sequence[Study],
    root: Path | None,
    out: Path,
    settings: Settings,
    *,
    seeds: Sequence[int] = (0,),
    budget: float | None = None,
    device: str = "cpu",
    told: Told = lambda _: None,
    tick: Callable[[], None] = lambda: None,
) -> bool:
    """Carry out studies and write OUT/NAME/report.md, NAME.svg and tables; OUT/runs keeps what was trained.

    Seeds come one after another over all studies, so that a broken series has whole seeds; reports are written after
    each. A run that several studies ask for is carried out once.

    Args:
        root: data root; None takes XRAYINTERP_DATA.
        seeds: of random weights, order of films, shuffling.
        budget: seconds after which no further run is begun.
        told: gets one line a finished run.
        tick: called after every epoch.

    Returns:
        Whether every run is there.

    Raises:
        XrayInterpError: `data-missing` where a data set is not there.
    """
    store = Store(out / "runs", Samples(root, settings), settings, device)
    begun = time.monotonic()
    whole = True
    for seed in seeds:
        wanted = in_order([arm.run.of_seed(seed) for study in studies for arm in study.arms])
        left = [run for run in wanted if store.result(run) is None]
        for wait in (False, True):  # what another process is at comes last
            for run in [run for run in left if store.result(run) is None]:
                if budget is not None and time.monotonic() - begun > budget:
                    whole = False
                    break
                result = store.carry_out(run, tick, wait=wait)
                if result is not None:
                    told(f"{result.key} {described(run)}: {result.seconds:.0f} s")
        for study in studies:
            write(study, store, seeds, out)
    return whole


def epochs_left(
    studies: Sequence[Study], root: Path | None, out: Path, settings: Settings, seeds: Sequence[int]
) -> int:
    """Epochs of all runs that are not finished: what `conduct` will tick, less those of runs that were broken off."""
    store = Store(out / "runs", Samples(root, settings), settings)
    wanted = in_order([arm.run.of_seed(seed) for seed in seeds for study in studies for arm in study.arms])
    return sum(epochs_of(run, settings) for run in wanted if store.result(run) is None)


def write(study: Study, store: Store, seeds: Sequence[int], out: Path) -> None:
    """Write what is finished of a study."""
    runs = {arm.name: finished(store, arm.run, seeds) for arm in study.arms}
    folder = out / study.name
    folder.mkdir(parents=True, exist_ok=True)
    told = facts(store.samples, store.settings, len({seed for results in runs.values() for seed in results}))
    write_tables(study, runs, folder)
    (folder / f"{study.name}.svg").write_text(drawing(study, runs), encoding="utf-8")
    (folder / "report.md").write_text(report(study, runs, told, store.settings), encoding="utf-8")


def finished(store: Store, run: Run, seeds: Sequence[int]) -> dict[int, Result]:
    """The finished runs of an arm by seed."""
    found = {seed: store.result(run.of_seed(seed)) for seed in seeds}
    return {seed: result for seed, result in found.items() if result is not None}


def described(run: Run) -> str:
    """A run in a few words."""
    parts = [run.task, run.architecture, f"seed {run.seed}"]
    if run.start is not None:
        parts.append(f"from {run.start.task}")
    parts += [word for word in (run.loss, run.sampling) if word not in ("plain", "natural")]
    return ", ".join([*parts, *(["shuffled"] if run.shuffled else [])])
