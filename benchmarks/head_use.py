"""What do units contain, what do outputs use, and what happens without them? Tables of the shipped unit facts.

Reads the files beside the atlases, which `python -m xrayinterp.dissection.unit_facts` measures (about five minutes on
one thread, with XRAYINTERP_DATA), and writes head_use.md beside this file. Holm's rule pays for the concepts compared
within one output; over a whole table one in twenty outputs may still bear a star by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xrayinterp.dissection.shelf import builtin_folder
from xrayinterp.dissection.unit_facts import CausalEffect, ConceptUse, Effect, UnitFacts, load_unit_facts
from xrayinterp.dissection.unit_facts_building import NAMES, SHORTCUT_FILMS
from xrayinterp.evaluation.statistics import holm
from xrayinterp.report.unit_words import FEWEST, SHORTCUTS, strongest_uses

LEVEL = 0.05
RESULT = Path(__file__).with_suffix(".md")
Key = tuple[str, str, str]


def main() -> None:
    facts = [load_unit_facts(builtin_folder() / f"{name}.units.json") for name in NAMES]
    told = facts[0].provenance
    parts = [
        "# Contained, used, caused",
        f"{facts[0].films} unseen films ({told['data']}, split {told['split']}) of {facts[0].patients} patients, "
        f"{facts[0].normal_films} of them labelled No Finding; layer {facts[0].layer}, where the split of a logit over "
        f"units is exact. Units are taken out by holding them at their mean over {told['normal']} of split "
        f"{told['normal_split']}. For this, labels of {told['labels']['probe']} come from the other half of the "
        "patients, those of other probes from other patients; contrasts go by the atlas of all patients. Random units: "
        f"{told['draws']} sets of as many units of the same "
        f"contribution, drawn anew for every output. Intervals: 95 % over {told['resamples']} resamples of patients. "
        f"p: share of random sets that move the figure as far; * marks p <= {LEVEL} after Holm over the concepts of "
        "one output.",
    ]
    for one in facts:
        parts += [f"## {one.model}", f"A film counts as positive for an output by {one.shown}."]
        parts += ["### Units that bear an output's own name", _own(one)] if _own_rows(one) else []
        parts += [
            f"### Every concept, at the output it moves most (of those with {FEWEST} positive patients)",
            _strongest(one),
        ]
        parts += ["### Change of AUROC without a concept's units, in thousandths", _matrix(one)]
        parts += ["### In words", _words(one)]
    parts += ["## Shortcut units", _shortcuts(facts)]
    RESULT.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _key(row: ConceptUse | CausalEffect) -> Key:
    return row.finding, row.probe, row.concept


def _adjusted(facts: UnitFacts, figure: str) -> dict[Key, float]:
    """p of every pair after Holm over the concepts of its output."""
    out: dict[Key, float] = {}
    for finding in facts.findings:
        rows = [row for row in facts.causal if row.finding == finding]
        effects = [getattr(row, figure) for row in rows]
        raw = np.array([np.nan if e is None or e.p is None else e.p for e in effects])
        out |= {_key(row): p for row, p in zip(rows, holm(raw).tolist(), strict=True)}
    return out


def _own_rows(facts: UnitFacts) -> list[tuple[ConceptUse, CausalEffect | None]]:
    effects = {_key(row): row for row in facts.causal}
    return [(use, effects.get(_key(use))) for use in facts.concepts if _plain(use.finding) == _plain(use.concept)]


def _plain(name: str) -> str:
    return name.replace("_", " ").lower()


def _own(facts: UnitFacts) -> str:
    logit, auroc = _adjusted(facts, "logit"), _adjusted(facts, "auroc")
    return _pairs(facts, _own_rows(facts), logit, auroc)


def _strongest(facts: UnitFacts) -> str:
    effects = {_key(row): row for row in facts.causal}
    rows = [(use, effects.get(_key(use))) for use in strongest_uses(facts)]
    return _pairs(facts, rows, _adjusted(facts, "logit"), _adjusted(facts, "auroc"))


def _pairs(
    facts: UnitFacts,
    pairs: Sequence[tuple[ConceptUse, CausalEffect | None]],
    logit: dict[Key, float],
    auroc: dict[Key, float],
) -> str:
    units = len(facts.units.mean[0])
    head = (
        "output", "positive patients", "concept (probe)", "units (by half)", "contrast in the logit",
        "share of all contrasts / of all units", "logit of positive films without them", "random units", "p",
        "AUROC without them", "random units", "p", "random / own contribution",
    )  # fmt: skip
    rows = []
    for use, effect in pairs:
        contrast = "–" if use.contrast is None else _interval(use.contrast, 3)
        share = "–" if use.share is None else f"{use.share:.1%} / {use.units / units:.1%}"
        halves = "not labelled" if effect is None else f"{effect.units[0]} + {effect.units[1]}"
        matched = "–" if effect is None or effect.matched is None else f"{effect.matched:.2f}"
        rows.append(
            (
                use.finding, use.patients, f"{use.concept} ({use.probe})", f"{use.units} ({halves})", contrast, share,
                *_effect(effect.logit if effect else None, logit.get(_key(use)), 3),
                *_effect(effect.auroc if effect else None, auroc.get(_key(use)), 4), matched,
            )
        )  # fmt: skip
    return _table(head, rows)


def _effect(effect: Effect | None, adjusted: float | None, digits: int) -> tuple[str, str, str]:
    if effect is None:
        return "–", "–", "–"
    change = _interval(effect.change, digits)
    if effect.p is None or effect.random_low is None or effect.random_high is None:
        return change, "too few others", "–"
    random = f"{effect.random:+.{digits}f} ({effect.random_low:+.{digits}f} to {effect.random_high:+.{digits}f})"
    return change, random, f"{effect.p:.3f}{_star(adjusted)}"


def _star(adjusted: float | None) -> str:
    return "*" if adjusted is not None and adjusted <= LEVEL else ""


def _interval(interval: object, digits: int) -> str:
    value, low, high = (getattr(interval, name) for name in ("value", "low", "high"))
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _matrix(facts: UnitFacts) -> str:
    adjusted = _adjusted(facts, "auroc")
    effects = {_key(row): row.auroc for row in facts.causal}
    concepts = list(dict.fromkeys((row.probe, row.concept) for row in facts.causal))
    rows = []
    for finding in facts.findings:
        cells = []
        for concept in concepts:
            effect = effects.get((finding, *concept))
            star = _star(adjusted.get((finding, *concept)))
            cells.append("–" if effect is None else f"{1000 * effect.change.value:+.1f}{star}")
        rows.append((f"{finding} ({_patients(facts)[finding]} patients)", *cells))
    return _table(("output", *(f"{concept} ({probe})" for probe, concept in concepts)), rows)


def _patients(facts: UnitFacts) -> dict[str, int]:
    """Positive patients of every output."""
    return {use.finding: use.patients for use in facts.concepts}


def _words(facts: UnitFacts) -> str:
    """Counts of what was told from chance, concept by concept; nothing here is judged by eye."""
    adjusted = {figure: _adjusted(facts, figure) for figure in ("logit", "auroc")}
    pairs = [row for row in facts.causal if row.auroc is not None and row.auroc.p is not None]
    told = [row for row in pairs if adjusted["auroc"][_key(row)] <= LEVEL]
    few = sum(_patients(facts)[row.finding] < FEWEST for row in told)
    used = sum(use.contrast is not None and use.contrast.low * use.contrast.high > 0 for use in facts.concepts)
    lines = [
        f"- Of {len(facts.concepts)} pairs of an output and a concept with units, {used} have a contrast whose "
        "interval excludes 0: the units give more, or less, on positive films. It does not say that others give less.",
        f"- In {len(told)} of {len(pairs)} pairs the AUROC changes further than with random units (Holm); "
        f"{few} of these are of outputs with fewer than {FEWEST} positive patients, and say little. In the other "
        f"{len(pairs) - len(told)} the concept's units cannot be told from any others of the same contribution.",
    ]
    enough = [row for row in facts.causal if _patients(facts)[row.finding] >= FEWEST]
    apart = {_key(row)[1:] for row in enough for figure in adjusted.values() if figure[_key(row)] <= LEVEL}
    named = dict.fromkeys((row.probe, row.concept) for row in enough)
    text = ", ".join(f"{concept} ({probe})" for probe, concept in named if (probe, concept) not in apart) or "none"
    lines.append(
        f"- Contained, and told from random units in no output of at least {FEWEST} positive patients, by logit or "
        f"AUROC: {text}."
    )
    own = [_key(use) for use, effect in _own_rows(facts) if effect is not None]
    idle = [key for key in own if all(figure[key] > LEVEL for figure in adjusted.values())]
    if own:
        text = ", ".join(f"{finding} ({probe})" for finding, probe, _ in idle) or "none"
        lines.append(f"- Units bear the output's own name, yet cannot be told from random units for it: {text}.")
    lines += [
        f"- {probe.probe}: undetectable with this probe: {', '.join(probe.undetectable)}."
        for probe in facts.probes
        if probe.undetectable
    ]
    return "\n".join(lines)


def _shortcuts(all_facts: Sequence[UnitFacts]) -> str:
    head = (
        "model",
        "shortcut",
        *(f"units on {probe}" for probe in SHORTCUT_FILMS),
        "on both",
        "strongest push",
        "p, AUROC",
    )
    rows = []
    for facts in all_facts:
        adjusted, both = _adjusted(facts, "auroc"), facts.shortcut_units()
        for name in SHORTCUTS:
            found = [row for row in facts.shortcuts if row.concept == name]
            counts = [len({row.unit for row in found if row.probe == probe}) for probe in SHORTCUT_FILMS]
            most = max(found, key=lambda row: abs(row.push), default=None)
            push = "–" if most is None else f"unit {most.unit}: {most.push:+.3f} to {most.finding}"
            effects = [row for row in facts.causal if row.concept == name and row.auroc is not None]
            least = min(effects, key=lambda row: adjusted[_key(row)], default=None)
            p = "–" if least is None else f"{adjusted[_key(least)]:.3f}{_star(adjusted[_key(least)])} ({least.finding})"
            rows.append((facts.model, SHORTCUTS[name], *counts, len(both.get(name, ())), push, p))
    remark = (
        "Push: a unit's weight times its mean on real films with the shortcut minus without. p: the smallest over "
        "outputs of taking out the units found on synthetic films, after Holm over the concepts of that output."
    )
    return f"{remark}\n\n{_table(head, rows)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
