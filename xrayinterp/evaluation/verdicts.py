"""Every method against every check in one table: what passes, what fails, with the figures.

    python -m xrayinterp.evaluation.verdicts TEST/values.parquet MORE/values.parquet --out methods.md
        --untrained UNTRAINED/values.parquet --roar ROAR/roar.json --planted PLANTED/planted.json

A later file of films adds methods that the earlier ones lack. Checks, with the rule by which a method passes:

- class, weights: the mean likeness of its maps to those of other findings, and of randomised networks, is not red.
- faithful: the interval of the mean share of rivals beaten lies above chance, 0.5.
- ROAR: networks trained without what it marks tell less than without as much drawn at random (`random`, blobs of a
  7 by 7 grid; Holm p < .05 over test patients, given these trainings); fails where they tell more, else left open (○).
- pointing: its peak lies in the outline more often than that of `centre` (Holm p < .05).
- planted: its peak lies on a planted cause more often than where the paste means nothing (Holm p < .05).

What a check compares with (`centre`, `random`) is not judged by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..attribution.registry import METHODS
from ..errors import Code, XrayInterpError
from ..models.card import Interval
from .journal import Row, load_rows
from .planted import ALL
from .summary import Summary, summarise
from .tables import figure, markdown

CHECKS = ("class", "weights", "faithful", "ROAR", "pointing", "planted")
ALPHA = 0.05
CHANCE = 0.5


@dataclass(frozen=True)
class Verdict:
    """One method on one check: the figure in words, and whether it passes, None where it could not be told."""

    shown: str
    passes: bool | None


Verdicts = Mapping[str, Mapping[str, Verdict]]
"""By method and check."""


def from_films(summaries: Sequence[Summary]) -> Verdicts:
    """Sanity, faithfulness and localisation from films with outlines."""
    table = {(s.method, s.metric): s for s in summaries}
    centre = table.get(("centre", "pointing"))
    rules: Mapping[str, tuple[str, Callable[[Summary], bool | None]]] = {
        "class": ("class-sensitivity", _not_red),
        "weights": ("weight-sensitivity", _not_red),
        "faithful": ("faithful", _above_chance),
        "pointing": ("pointing", partial(_better, centre)),
    }
    out: dict[str, dict[str, Verdict]] = {}
    for method in dict.fromkeys(s.method for s in summaries):
        for check, (metric, rule) in rules.items():
            summary = table.get((method, metric))
            if summary is not None:
                passes = None if summary.mean is None else rule(summary)
                out.setdefault(method, {})[check] = Verdict(figure(summary.mean), passes)
    return out


def from_roar(lines: Sequence[Mapping[str, Any]]) -> Verdicts:
    """From the lines of `roar_study`: the area under AUROC when a network is trained anew."""
    out = {}
    for line in lines:
        if line["protocol"] == "roar":
            told = line["p"] is not None and line["p"] < ALPHA
            passes = line["difference"]["value"] < 0 if told else None
            out[line["method"]] = {"ROAR": Verdict(figure(Interval(**line["area"])), passes)}
    return out


def from_planted(table: Mapping[str, Any]) -> Verdicts:
    """From a table of `planted`: pointing at the paste, all shortcuts together."""
    rows = [row for row in table["rows"] if (row["shortcut"], row["measure"]) == (ALL, "pointing")]
    return {
        row["method"]: {
            "planted": Verdict(
                f"{row['planted']['value']:.2f}, control {row['control']['value']:.2f}",
                row["excess"]["value"] > 0 and row["p_holm"] < ALPHA,
            )
        }
        for row in rows
    }


def joined(*parts: Verdicts) -> Verdicts:
    """All checks of all methods, in the registry's order; an earlier part counts where two have the same check."""
    out: dict[str, dict[str, Verdict]] = {}
    for part in parts:
        for method, verdicts in part.items():
            for check, verdict in verdicts.items():
                out.setdefault(method, {}).setdefault(check, verdict)
    return {method: out[method] for method in METHODS if method in out}


def pooled(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of several runs as of one; where two measured the same of a map, the earlier run counts."""
    known: dict[tuple[str, str, str, str], Row] = {}
    for rows in runs:
        for row in rows:
            known.setdefault((row.film, row.finding, row.method, row.metric), row)
    return list(known.values())


def table(verdicts: Verdicts) -> list[str]:
    """Lines of the table; ✓ passes, ✗ fails, ○ could not be told, nothing where it was not measured."""
    head = ["method", *CHECKS, "passes"]
    body = []
    for method, found in verdicts.items():
        told = [found[check].passes for check in CHECKS if check in found and found[check].passes is not None]
        body.append([method, *(_cell(found.get(check)) for check in CHECKS), f"{sum(map(bool, told))} of {len(told)}"])
    return markdown(head, body)


def sensitivity(trained: Sequence[Summary], untrained: Sequence[Summary]) -> list[str]:
    """Lines of a table of likenesses on a trained and on an untrained network, those that fail worst first."""
    known = {(s.method, s.metric): s for s in trained}
    other = {(s.method, s.metric): s for s in untrained}
    metrics = ("class-sensitivity", "weight-sensitivity")

    def worst(method: str) -> float:
        found = [known[method, metric].mean for metric in metrics if (method, metric) in known]
        return max((mean.value for mean in found if mean is not None), default=-1.0)

    methods = sorted({m for m, metric in known if metric in metrics}, key=lambda m: -worst(m))
    head = ["method", "fails", "class, trained", "class, untrained", "weights, trained", "weights, untrained"]
    body = []
    for method in methods:
        faults = [metric.split("-")[0] for metric in metrics if _red(known.get((method, metric)))]
        cells = [_mean(source.get((method, metric))) for metric in metrics for source in (known, other)]
        body.append([method, ", ".join(faults), *cells])
    return markdown(head, body)


def command(
    films: Annotated[list[Path], typer.Argument(help="values.parquet of runs on films with outlines.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    untrained: Annotated[Path | None, typer.Option(help="values.parquet of a run with --untrained.")] = None,
    roar: Annotated[Path | None, typer.Option(help="roar.json of `roar_study`.")] = None,
    planted: Annotated[list[Path] | None, typer.Option(help="planted.json; repeat for more methods.")] = None,
) -> None:
    """Write the table of all methods against all checks."""
    runs = [load_rows(file) for file in films]
    summaries = summarise(pooled([rows for rows, _ in runs]))
    parts = [from_films(summaries)]
    parts += [] if roar is None else [from_roar(_read(roar))]
    parts += [from_planted(_read(file)) for file in planted or ()]
    lines = [
        "# Attribution methods against every check",
        "",
        *(_described(rows, settings) for rows, settings in runs),
        "",
        *_rules(),
        "",
        *table(joined(*parts)),
    ]
    if untrained is not None:
        rows, settings = load_rows(untrained)
        lines += [
            "",
            "## Class and weight sensitivity, on a trained and on an untrained network",
            "",
            "Likeness (Spearman's rho) of a film's map to those of other findings and of randomised networks; 1 is the "
            "same picture. Untrained: a DenseNet-121 of random weights. Worst first.",
            "",
            _described(rows, settings),
            "",
            *sensitivity(summaries, summarise(rows)),
        ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    typer.echo(str(out))


def _red(summary: Summary | None) -> bool:
    return summary is not None and summary.state == "bad"


def _not_red(summary: Summary) -> bool:
    return not _red(summary)


def _above_chance(summary: Summary) -> bool:
    return summary.mean is not None and summary.mean.low > CHANCE


def _better(centre: Summary | None, summary: Summary) -> bool | None:
    if summary.p is None or summary.mean is None or centre is None or centre.mean is None:
        return None
    return summary.mean.value > centre.mean.value and summary.p < ALPHA


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return f"{verdict.shown} {'○' if verdict.passes is None else '✓' if verdict.passes else '✗'}"


def _mean(summary: Summary | None) -> str:
    return "" if summary is None else figure(summary.mean)


def _described(rows: Sequence[Row], settings: Mapping[str, Any]) -> str:
    films, patients = len({row.film for row in rows}), len({row.patient for row in rows})
    methods = len({row.method for row in rows})
    return (
        f"- {methods} methods on {settings['model']}: {films} films of {patients} patients ({settings['probes']}, "
        f"{', '.join(sorted({row.split for row in rows}))}), seed {settings['seed']}."
    )


def _rules() -> list[str]:
    text = (__doc__ or "").split("passes:\n\n")[1].splitlines()
    return ["A check is passed (✓) by these rules; intervals are 95 % over patients.", "", *text]


def _read(file: Path) -> Any:
    if not file.is_file():
        raise XrayInterpError(Code.NOT_FOUND, f"There is no file {file}.", "Run the study that writes it.")
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(command)
