"""What the built-in models were measured to be worth, as tables: builtin_models.md beside this file.

The figures are those of the models' own records, which `make embedded` writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xrayinterp.models.card import Card
from xrayinterp.models.zoo import BUILTIN_DIR, describe

RESULT = Path(__file__).with_suffix(".md")


def interval(value: list[float] | None, digits: int = 3) -> str:
    """A figure with its 95 % interval."""
    if value is None:
        return "–"
    figure, low, high = (f"{v:.{digits}f}" for v in value)
    return f"{figure} ({low} to {high})"


def findings_table(record: dict[str, Any]) -> list[str]:
    """One line a finding: AUROC on test beside what view, sex and age reach, and within each view."""
    measured = record["measured"]
    lines = [
        "| finding | positive patients (val, test) | AUROC, test | view + sex + age alone | within PA | within AP | "
        "sensitivity / specificity at the point | ECE, val / test | assessed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for finding in record["findings"]:
        metrics, point = record["metrics"][finding], record["operating_points"][finding]
        lines.append(
            f"| {finding} | {metrics['patients']} | {interval(metrics['auroc'])} | "
            f"{interval(measured['view_sex_age'][finding])} | {interval(measured['within_PA'][finding])} | "
            f"{interval(measured['within_AP'][finding])} | {point['sensitivity']:.2f} / {point['specificity']:.2f} | "
            f"{record['calibrations'][finding]['ece']:.3f} / {measured['test_ece'][finding]:.3f} | "
            f"{'yes' if metrics['assessed'] else 'no'} |"
        )
    lines.append(
        f"| **mean** | | {interval(measured['mean_auroc'])} | {interval(measured['mean_view_sex_age'])} | | | | | |"
    )
    return lines


def attempts_table(attempts: list[dict[str, Any]]) -> list[str]:
    """Every network trained on the way to the one shipped; val chose, test is shown for all."""
    keys = [key for key in attempts[0] if key != "name"]
    shown = {"mean": "mean AUROC"}
    titles = [f"{shown.get(what, what.capitalize())}, {split}" for split, what in (key.split("_") for key in keys)]
    rows = [f"| {a['name']} | {' | '.join(interval(a[key]) for key in keys)} |" for a in attempts]
    return [f"| network | {' | '.join(titles)} |", "|---" * (len(keys) + 1) + "|", *rows]


def severity_table(card: Card) -> list[str]:
    """Out-of-fold errors of the Brixia score, as on the model's card, and what share is gained over the mean."""
    gained = ("Below the mean predictor by (share)", interval(card.measured["below_mean_predictor"], 2))
    rows = (f"| {name} | {value} |" for name, value in (*card.figures, gained))
    return ["| figure | value |", "|---|---|", *rows]


def main() -> None:
    """Write the tables."""
    lines = ["# The built-in models", "", "95 % intervals over patients."]
    for name in ("compact", "weak", "brixia"):
        path = BUILTIN_DIR / f"{name}.safetensors"
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        table = severity_table(describe(name).card) if record["task"] == "severity" else findings_table(record)
        size = path.stat().st_size / 1e6
        lines += ["", f"## {name} ({size:.1f} MB)", "", f"Tested on {record['tested_on']}.", "", *table]
        if record["task"] == "findings":
            chosen = interval(record["measured"]["mean_val_auroc"])
            lines += ["", f"Mean AUROC on val, where the weights were chosen: {chosen}."]
        if attempts := record["measured"].get("attempts"):
            lines += ["", "### Every network trained on the way", "", *attempts_table(attempts)]
    RESULT.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
