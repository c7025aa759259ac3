"""Which map is shown first: chosen on val by measurements and a rule.

    python -m xrayinterp.evaluation.choice map VAL/values.parquet
    python -m xrayinterp.evaluation.choice judges TEST/values.parquet --planted lamps.parquet

1. Sanity first. A method fails where the mean of its maps on the lamp `follows-finding` or `follows-weights` is red.
   Candidates are green on both, are no baseline, and need one forward and a few backwards, for the page shows them at
   once. Where none is green, those that do not fail are taken.
2. Then use. Candidates are ranked on each measure of `GROUPS`: where a map points, whether the score depends on it, and
   whether it stays when the film hardly changes. A method's score is the mean of its mean ranks on the three; means
   less than `EQUAL` apart share their rank. The lowest score is the default; equal ones go by cost, then by name.
3. Beside it stand the best candidates of two other families.
Should no method pass the first step, all single-pass methods are ranked, and the record says so.

The rule's steps were fixed before the first choice. Three things changed after that choice had been seen, and val was
measured anew: equal maps share their rank, a map that vanishes has likeness 0, `guided_gradcam` is read by magnitude.

`judges` adds to that record what the lamps are worth as judges of maps: measured on other films and on planted causes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..attribution.registry import METHODS
from ..errors import Code, XrayInterpError
from .journal import Row, load_rows
from .measures import METRICS
from .planted_lamps import planted_worth
from .standing import MEASURED, Fault
from .summary import Summary, lamp_worth, summarise

FAULTS: Mapping[str, Fault] = {"class-sensitivity": "class", "weight-sensitivity": "weights"}
LOCALISATION = ("pointing", "energy", "iou")
FAITHFULNESS = ("faithful", "morf", "lerf", "sensitivity-n")
STABILITY = ("stability",)
EQUAL = 5e-4
"""Some methods give one map by identity, on networks that end in an average and a linear map; rounding is no merit."""
GROUPS = (LOCALISATION, FAITHFULNESS, STABILITY)


@dataclass(frozen=True)
class Choice:
    """The default map, those beside it, which methods fail what, and the candidates' scores, best first."""

    default: str
    further: tuple[str, ...]
    fails: Mapping[str, tuple[Fault, ...]]
    scores: Mapping[str, float]
    passed: bool


def choose_default(summaries: Sequence[Summary], *, further: int = 2) -> Choice:
    """Choose by the rule of this module from summaries measured on val.

    Raises:
        XrayInterpError: `bad-option` where a measure that the rule needs is missing, or no method could be chosen.
    """
    table = {(s.method, s.metric): s for s in summaries}
    needed = (*FAULTS, *chain(*GROUPS))
    missing = [metric for metric in needed if not any(s.metric == metric for s in summaries)]
    if missing:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The choice needs measures that are not there: {', '.join(missing)}.",
            f"Run xrayinterp evaluate --metrics {','.join(needed)}.",
        )
    measured = list(dict.fromkeys(s.method for s in summaries))
    fails = {method: faults for method in measured if (faults := _faults(table, method))}
    eligible = [m for m in measured if METHODS[m].single and METHODS[m].family != "baseline" and _whole(table, m)]
    candidates = [m for m in eligible if _green(table, m)] or [m for m in eligible if m not in fails] or eligible
    if not candidates:
        raise XrayInterpError(
            Code.BAD_OPTION, "None of the methods measured can be the default map.", "Measure single-pass methods."
        )
    scores = _scores(table, candidates)
    ordered = sorted(candidates, key=lambda m: (scores[m], METHODS[m].cost, m))
    beside = _other_families(ordered, further)
    passed = ordered[0] not in fails
    return Choice(ordered[0], beside, fails, {method: scores[method] for method in ordered}, passed)


def record(choice: Choice, rows: Sequence[Row], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `standing` reads: JSON types."""
    films, patients = len({row.film for row in rows}), len({row.patient for row in rows})
    splits = ", ".join(sorted({row.split for row in rows}))
    described = f"Measured on {films} films of {patients} patients ({settings['probes']}, {splits})."
    if not choice.passed:
        described += " No method passed both checks; the best of those that fail is shown."
    return {
        "default": choice.default,
        "further": list(choice.further),
        "fails": {method: list(faults) for method, faults in choice.fails.items()},
        "described": described,
        "scores": choice.scores,
        "settings": dict(settings),
    }


app = typer.Typer(help=__doc__, add_completion=False)


@app.command("map")
def choose_map(
    values: Annotated[Path, typer.Argument(help="values.parquet of a run on val.", show_default=False)],
) -> None:
    """Choose the default map from a run of `xrayinterp evaluate` and ship the record."""
    rows, settings = load_rows(values)
    if splits := {row.split for row in rows} - {"val"}:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{values} holds films of {', '.join(sorted(splits))}.", "A map is chosen on val alone."
        )
    choice = choose_default(summarise(rows))
    file = _write(settings["model"], record(choice, rows, settings))
    typer.echo(f"{file}: {choice.default}, then {', '.join(choice.further)}")


@app.command("judges")
def judge_lamps(
    values: Annotated[Path, typer.Argument(help="values.parquet of a run on other films.", show_default=False)],
    planted: Annotated[Path | None, typer.Option(help="lamps.parquet of `planted_lamps`.")] = None,
) -> None:
    """Add to a model's record what the lamps are worth as judges of maps."""
    rows, settings = load_rows(values)
    if any(row.split == "val" for row in rows):
        raise XrayInterpError(
            Code.BAD_OPTION, f"{values} holds films that the map was chosen on.", "Judge the lamps on other splits."
        )
    file = MEASURED / f"{settings['model']}.json"
    if not file.is_file():
        raise XrayInterpError(Code.NOT_FOUND, f"There is no record {file}.", "Choose a map first.")
    known = json.loads(file.read_text(encoding="utf-8"))
    if known["settings"]["model_sha256"] != settings["model_sha256"]:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{file} is of other weights than {values}.", "Measure both with the same weights."
        )
    worth = [*lamp_worth(rows), *(() if planted is None else planted_worth(load_rows(planted)[0]))]
    _write(settings["model"], known | {"worth": [asdict(one) for one in worth]})
    typer.echo(str(file))


def _write(model: str, content: Mapping[str, Any]) -> Path:
    MEASURED.mkdir(exist_ok=True)
    file = MEASURED / f"{model}.json"
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return file


def _faults(table: Mapping[tuple[str, str], Summary], method: str) -> tuple[Fault, ...]:
    found = ((fault, table.get((method, metric))) for metric, fault in FAULTS.items())
    return tuple(fault for fault, summary in found if summary is not None and summary.state == "bad")


def _green(table: Mapping[tuple[str, str], Summary], method: str) -> bool:
    return all(table[method, metric].state == "good" for metric in FAULTS)


def _whole(table: Mapping[tuple[str, str], Summary], method: str) -> bool:
    """Whether the method was measurable on every measure that the rule needs."""
    needed = (table.get((method, metric)) for metric in (*FAULTS, *chain(*GROUPS)))
    return all(summary is not None and summary.mean is not None for summary in needed)


def _scores(table: Mapping[tuple[str, str], Summary], methods: Sequence[str]) -> dict[str, float]:
    groups = []
    for metrics in GROUPS:
        ranks = []
        for metric in metrics:
            means = np.array([mean.value for m in methods if (mean := table[m, metric].mean) is not None])
            better = means if METRICS[metric].direction == "higher" else -means
            ranks.append(
                [(better > own + EQUAL).sum() + ((abs(better - own) <= EQUAL).sum() - 1) / 2 for own in better]
            )
        groups.append(np.mean(ranks, axis=0))
    return {method: float(score) for method, score in zip(methods, np.mean(groups, axis=0), strict=True)}


def _other_families(ordered: Sequence[str], count: int) -> tuple[str, ...]:
    """The best of `count` families other than the first method's."""
    best: dict[str, str] = {}
    for method in ordered:
        best.setdefault(METHODS[method].family, method)
    return tuple(method for method in best.values() if method != ordered[0])[:count]


if __name__ == "__main__":
    app()
