"""Which methods find a cause that is known pixel by pixel?

Nets are trained on films where a paste goes with the label (`planting`). On films they have not seen, a map of the
logit should lie on the paste, if the net uses it; on a control net, trained on as many pastes that go with nothing, it
should not. A method that marks bright letters whatever the net has learned does both alike: what counts is the excess
of the planted net over the control on the same films.

`python -m xrayinterp.evaluation.planted --out FOLDER` trains, measures and writes the table; a broken run goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

from ..attribution.registry import METHODS, method_named
from ..concepts.shortcuts import SHORTCUTS
from ..errors import Code, XrayInterpError
from ..models.card import Interval
from ..training.loop import Recipe, Stage
from .planted_maps import MEASURES, Measured, Tick, measured
from .planting import (
    ANY,
    CONTROL,
    RECIPE,
    Cases,
    PlantedNet,
    Planting,
    Use,
    control,
    held_out,
    logits,
    plain_films,
    planted_net,
    use,
)
from .statistics import holm, mean_interval, sign_flip_p

LEAST_EFFECT = 1.0
"""A film counts where putting the paste on raises the planted net's logit by this much: only there it is the cause."""
ALL = "all"
HELD_OUT = 240


@dataclass(frozen=True)
class PlantedRow:
    """One measure of one method against one shortcut, or against all of them together, in [0, 1], higher is better.

    `planted` and `control`: mean on the planted net and on the control net, on the same films; `excess`: the mean of
    their paired differences. Intervals are 95 % over patients; `p` is of no excess, by sign flips, and `p_holm` is
    adjusted for all methods of this shortcut and measure. `area`: the paste's mean share of the film, what `energy`
    gives a map that marks nothing. `finds`: the excess is positive and `p_holm` under .05.
    """

    shortcut: str
    method: str
    measure: str
    planted: Interval
    control: Interval
    excess: Interval
    p: float
    p_holm: float
    area: float
    films: int
    patients: int

    @property
    def finds(self) -> bool:
        """Whether the map follows the planted cause, not the looks of the paste."""
        return self.excess.value > 0 and self.p_holm < 0.05


@dataclass(frozen=True)
class PlantedTable:
    """What nets learned (`uses`: each planted net, and the control, on every shortcut) and which maps show it."""

    uses: tuple[Use, ...]
    rows: tuple[PlantedRow, ...]

    def ranked(self, shortcut: str = ALL, measure: str = "pointing") -> tuple[PlantedRow, ...]:
        """The methods on one shortcut by one measure, largest excess first."""
        chosen = [row for row in self.rows if (row.shortcut, row.measure) == (shortcut, measure)]
        return tuple(sorted(chosen, key=lambda row: (-row.excess.value, row.method)))


def planted_table(
    methods: Sequence[str],
    folder: Path,
    *,
    shortcuts: Sequence[str] = tuple(SHORTCUTS),
    finding: str = ANY,
    strength: float = 0.9,
    films: int = 60,
    train_films: int | None = None,
    held_out_films: int = HELD_OUT,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    tick: Tick = lambda: None,
) -> PlantedTable:
    """Train a net a shortcut and one control, check what they use, and measure every method on them.

    Args:
        methods: names in `METHODS`, with their default options.
        folder: where measured maps are noted film by film; a later call with the same settings goes on.
        shortcuts: what is planted, one at a time.
        finding: NIH label that the pastes go with, or "any finding".
        strength: share of films with the label that bear the paste; of those without, 1 - strength do.
        films: most films measured a shortcut, of those where the paste raises the logit by `LEAST_EFFECT`.
        train_films: most films trained on, half of each label; None takes as many as there are.
        held_out_films: films of the test split, half of each label, that nets are checked on.
        recipe: of every net.
        seed: of weights, pastes and draws.
        tick: called after each film and method.

    Raises:
        XrayInterpError: `data-missing` without NIH films, `unknown-method`, `unknown-finding`, `bad-option`.
    """
    chosen = [method_named(method).name for method in methods]
    uses, rows = [], []
    for trial in trials(
        shortcuts,
        finding,
        strength,
        films,
        train_films=train_films,
        held_out_films=held_out_films,
        recipe=recipe,
        seed=seed,
    ):
        uses += [use(net, trial.cases) for net in (trial.net, trial.control)]
        rows += [
            row
            for net in (trial.net, trial.control)
            for row in measured(net, trial.cases, trial.kept, chosen, folder / trial.shortcut / net.planting.name, tick)
        ]
    return PlantedTable(tuple(uses), tabulate(rows))


@dataclass(frozen=True, eq=False)
class Trial:
    """A net with one planted cause and the control net, on the same films `cases`; `kept` (n,) are those measured."""

    net: PlantedNet
    control: PlantedNet
    cases: Cases
    kept: npt.NDArray[np.intp]

    @property
    def shortcut(self) -> str:
        """What was planted."""
        return self.cases.shortcut


def trials(
    shortcuts: Sequence[str],
    finding: str,
    strength: float,
    films: int,
    *,
    train_films: int | None = None,
    held_out_films: int = HELD_OUT,
    recipe: Recipe = RECIPE,
    seed: int = 0,
) -> Iterator[Trial]:
    """Nets trained, or read if they are, and their films, shortcut by shortcut; arguments as in `planted_table`.

    Raises:
        XrayInterpError: as `planted_table`.
    """
    if not 0.5 < strength < 1 or films < 1:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Strength {strength} on {films} films plants no cause.",
            "Give a share between .5 and 1, and a film at least.",
        )
    rules = [Planting((name,), strength, 1 - strength, finding, seed) for name in shortcuts]
    most = {"train": train_films, "val": held_out_films, "test": held_out_films}
    plain = {split: plain_films(split, finding, limit=limit, seed=seed) for split, limit in most.items()}
    free = planted_net(control(rules[0], shortcuts), plain["train"], plain["val"], recipe)
    for rule in rules:
        net = planted_net(rule, plain["train"], plain["val"], recipe)
        cases = held_out(plain["test"], rule.shortcuts[0], seed)
        yield Trial(net, free, cases, caused(net, cases, films))


def caused(net: PlantedNet, cases: Cases, most: int) -> npt.NDArray[np.intp]:
    """Films whose logit the paste raises by `LEAST_EFFECT` or more; of more than `most`, evenly spaced ones."""
    found = np.flatnonzero(logits(net, cases.pasted) - logits(net, cases.plain.films) >= LEAST_EFFECT)
    return found if len(found) <= most else found[np.linspace(0, len(found) - 1, most).round().astype(int)]


def tabulate(maps: Sequence[Measured]) -> tuple[PlantedRow, ...]:
    """Rows for each shortcut, and for ALL where there are several; methods in the order they come."""
    names = list(dict.fromkeys(one.shortcut for one in maps))
    groups = {name: [one for one in maps if one.shortcut == name] for name in names}
    if len(names) > 1:
        groups[ALL] = list(maps)
    return tuple(
        row for name, group in groups.items() for measure in MEASURES for row in _compared(name, group, measure)
    )


def _compared(shortcut: str, maps: Sequence[Measured], measure: str) -> list[PlantedRow]:
    """All methods by one measure, with p adjusted for their number."""
    rows = [
        _row(shortcut, method, measure, [one for one in maps if one.method == method])
        for method in dict.fromkeys(one.method for one in maps)
    ]
    adjusted = holm(np.array([row.p for row in rows]))
    return [replace(row, p_holm=float(p)) for row, p in zip(rows, adjusted, strict=True)]


def _row(shortcut: str, method: str, measure: str, maps: Sequence[Measured]) -> PlantedRow:
    """One method: its maps of the planted net paired with those of the control on the same films."""
    free = {(one.shortcut, one.film): one.values[measure] for one in maps if one.net == CONTROL}
    own = [one for one in maps if one.net != CONTROL]
    patients = [one.patient for one in own]
    there = np.array([one.values[measure] for one in own])
    without = np.array([free[one.shortcut, one.film] for one in own])

    p = sign_flip_p(there - without, patients)
    return PlantedRow(
        shortcut=shortcut,
        method=method,
        measure=measure,
        planted=_mean(there, patients),
        control=_mean(without, patients),
        excess=_mean(there - without, patients),
        p=p,
        p_holm=p,
        area=float(np.mean([one.area for one in own])),
        films=len(own),
        patients=len(set(patients)),
    )


def _mean(values: npt.NDArray[np.float64], patients: Sequence[str]) -> Interval:
    interval = mean_interval(values, patients)
    if interval is None:
        raise XrayInterpError(Code.DATA_MISSING, "A method was measured on no film.", "Measure it, or leave it out.")
    return interval


def markdown(table: PlantedTable) -> str:
    """The table as Markdown: what each net uses, then methods ranked by pointing over all shortcuts."""
    lines = [
        "# Which methods find a planted cause?",
        "",
        "Nets trained on films where a paste goes with the label, and a control net for which it goes with nothing, on "
        "the same unseen films. `pointing`: the map's peak lies within half a cell of a 7 by 7 map of the paste; "
        "`close`: within localisation's tolerance; `energy`, `IoU`, `AUROC`: of the map against the paste. A method "
        "finds the cause where the planted net's pointing exceeds the control's (sign flips over patients, Holm over "
        "methods).",
        "",
        "| net | film with | logit change (asked) | AUROC plain | planted | swapped | films |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in table.uses:
        areas = " | ".join(_shown(area) for area in (one.auroc_plain, one.auroc_planted, one.auroc_swapped))
        lines.append(f"| {one.net} | {one.shortcut} | {_shown(one.effect)} ({one.asked:.1f}) | {areas} | {one.films} |")
    groups = dict.fromkeys(row.shortcut for row in table.rows)
    for name in sorted(groups, key=lambda group: group != ALL):
        lines += ["", *_ranking(table, name)]
    return "\n".join(lines) + "\n"


def _ranking(table: PlantedTable, shortcut: str) -> list[str]:
    by = {(row.method, row.measure): row for row in table.rows if row.shortcut == shortcut}
    ranked = table.ranked(shortcut)
    first = ranked[0]
    lines = [
        f"{shortcut}: {first.films} films of {first.patients} patients, paste on {first.area:.1%} of the film",
        "",
        "| method | pointing | control | excess | p (Holm) | finds | close | energy | IoU | AUROC |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ranked:
        rest = " | ".join(f"{by[row.method, name].planted.value:.2f}" for name in MEASURES[1:])
        lines.append(
            f"| {row.method} | {_shown(row.planted)} | {row.control.value:.2f} | {_shown(row.excess)} | "
            f"{row.p_holm:.3f} | {'yes' if row.finds else 'no'} | {rest} |"
        )
    return lines


def _shown(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def command(
    out: Annotated[Path, typer.Option(help="Folder of results; a broken run in it goes on.")],
    methods: Annotated[
        str, typer.Option(help="Names by commas; else every method of one pass and the baselines.")
    ] = "",
    shortcuts: Annotated[str, typer.Option(help="What is planted, by commas.")] = ",".join(SHORTCUTS),
    finding: Annotated[str, typer.Option(help="NIH label that pastes go with.")] = ANY,
    films: Annotated[int, typer.Option(help="Most films measured a shortcut.")] = 60,
    train_films: Annotated[int | None, typer.Option(help="Most films trained on; else all.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = RECIPE.stages[-1].epochs,
    seed: Annotated[int, typer.Option(help="Seed of weights, pastes and draws.")] = 0,
) -> None:
    """Train nets with a planted cause and write planted.md and planted.json: which methods find it."""
    chosen = [name.strip() for name in methods.split(",") if name.strip()] or [
        name for name, method in METHODS.items() if method.single or method.family == "baseline"
    ]
    table = planted_table(
        chosen,
        out / "maps",
        shortcuts=[name.strip() for name in shortcuts.split(",")],
        finding=finding,
        films=films,
        train_films=train_films,
        recipe=replace(RECIPE, stages=(Stage(RECIPE.stages[-1].size, epochs),)),
        seed=seed,
    )
    (out / "planted.md").write_text(markdown(table), encoding="utf-8")
    (out / "planted.json").write_text(json.dumps(asdict(table), indent=1), encoding="utf-8")
    sys.stderr.write(markdown(table))


if __name__ == "__main__":
    typer.run(command)
