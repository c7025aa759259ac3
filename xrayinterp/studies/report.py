"""A study as Markdown: the answer first, then what cannot be said, then the tables it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..evaluation.tables import markdown
from .contrasts import Finding, findings, rounded
from .dissected import COVID, NIH, LayerLine, changes
from .learn import BASELINES
from .plan import Settings
from .questions import Arm, Study
from .store import Result
from .tables import Runs, of_arm, with_start

_NAMES = {NIH: "NIH films", COVID: "COVID-19 films"}


def report(study: Study, runs: Runs, facts: Mapping[str, str], settings: Settings) -> str:
    """The report of what is finished of a study.

    Args:
        runs: results by arm and seed; an arm may lack seeds, or all of them.
        facts: fills the names in braces of the study's limits.
    """
    answers = findings(study.contrasts, runs)
    mistakes = findings(study.mistakes, runs)
    parts = [
        f"# {study.title}",
        study.question,
        "## Answer",
        *_answer(study, answers, runs),
        "## What these films and runs do not allow to say",
        _bullets(limit.format_map(facts) for limit in study.limits),
        "## How it was done",
        _setup(study, runs, facts, settings),
        f"![figure]({study.name}.svg)",
        "## Arms",
        _arms(study, runs),
        "## Measures",
        _measures(study, runs),
        *_concepts(study, runs),
        *_changes(study, runs),
        "## Comparisons",
        "Paired by seed: nets of one seed begin with the same weights. p is adjusted by Holm over the table.",
        _comparisons(answers),
    ]
    if mistakes:
        parts += ["## Mistakes of the original, run both ways", _comparisons(mistakes), _sentences(mistakes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _answer(study: Study, answers: Sequence[Finding], runs: Runs) -> list[str]:
    missing = [arm.name for arm in study.arms if not runs.get(arm.name)]
    out = ["Nothing is finished yet."]
    answered = {one.contrast.asks: one.verdict for one in answers}
    if answers:
        verdicts = [answered.get(contrast.asks) for contrast in study.contrasts]
        said = [headline.said(verdicts, study.contrasts) for headline in study.headlines]
        out = [_bullets(f"**{line}**" for line in said), "In detail:", _sentences(answers)]
    open_ones = [contrast.asks for contrast in study.contrasts if contrast.asks not in answered]
    if answers and open_ones:
        out.append(_bullets(f"{asks} Not measured." for asks in open_ones))
    if missing:
        out.append(f"Not run yet: {', '.join(missing)}.")
    return out


def _sentences(answers: Sequence[Finding]) -> str:
    return _bullets(f"{one.contrast.asks} {one.sentence}" for one in answers)


def _setup(study: Study, runs: Runs, facts: Mapping[str, str], settings: Settings) -> str:
    results = [result for arm in study.arms for result in of_arm(runs, arm.name)]
    seeds = sorted({result.run.seed for result in results})
    minutes = sorted(result.seconds / 60 for result in results) or [0.0]
    return _bullets(
        (
            f"Inputs of {settings.size} pixels of films reduced to {settings.detail}; {settings.epochs} epochs on NIH "
            f"labels, {settings.self_supervised_epochs} without labels (VICReg), {settings.severity_epochs} on "
            "severity. The last epoch is taken: none was chosen by any film.",
            f"NIH: {facts['nih_train']} training films of {facts['nih_train_patients']} patients, {facts['nih_test']} "
            f"test films of {facts['nih_test_patients']}. Severity: {facts['scored']} films of "
            f"{facts['scored_patients']} patients, {settings.folds} folds over patients; detectors are of a net "
            "trained on all of them.",
            "A detector has IoU > .04 and permutation p <= .05 (masks of other patients, maximum over concepts), "
            f"{settings.permutations} permutations; probe films are of patients that no net was trained on.",
            f"Seeds {', '.join(map(str, seeds))}; {len(results)} runs of {np.median(minutes):.1f} minutes of processor "
            f"time each (median; longest {max(minutes):.1f}).",
        )
    )


def _arms(study: Study, runs: Runs) -> str:
    """Last layer on NIH masks: detectors of each seed beside what chance gives."""
    head = (
        "arm", "stands for", "training films", "detectors (each seed)", "of units", "IoU > .04 alone",
        "on permuted masks", "concepts", "both halves agree", "middle layer", "COVID-19 films",
    )  # fmt: skip
    body = []
    for arm, results in _present(study, runs):
        last = _lines(results, NIH, "last")
        middle, covid = _lines(results, NIH, "middle"), _lines(results, COVID, "last")
        body.append(
            [
                arm.name,
                arm.kind,
                str(results[0].films),
                _each([line.detectors for line in last]),
                str(last[0].units) if last else "",
                _mean([line.by_iou_alone for line in last]),
                _mean([line.permuted for line in last]),
                _mean([line.unique_concepts for line in last]),
                _mean([line.both_halves for line in last]),
                _mean([line.detectors for line in middle]),
                _mean([line.detectors for line in covid]),
            ]
        )
    return "\n".join(markdown(head, body))


def _measures(study: Study, runs: Runs) -> str:
    """One row an arm, a column a measure; what needs no network is told once below."""
    present = _present(study, runs)
    names = dict.fromkeys(name for _, results in present for result in results for name in result.measures)
    columns = [name for name in names if name not in BASELINES]
    body = []
    for arm, results in present:
        cells = [_each([r.measures[name].value for r in results if name in r.measures], 3) for name in columns]
        if any(cells):
            body.append([arm.name, *cells])
    table = "\n".join(markdown(("arm, mean (each seed)", *columns), body))
    return f"{table}\n\n{_bullets(_counts(present, names))}"


def _counts(present: Sequence[tuple[Arm, Sequence[Result]]], names: Iterable[str]) -> list[str]:
    """Films and patients behind each measure, and the value of those that need no network."""
    out = []
    for name in names:
        found = next(r.measures[name] for _, results in present for r in results if name in r.measures)
        value = f" {rounded(found.value, 3)}, without a network;" if name in BASELINES else ""
        out.append(f"{name}:{value} {len(found.patients)} films of {len(set(found.patients.tolist()))} patients")
    return out


def _concepts(study: Study, runs: Runs) -> list[str]:
    """Detectors of each concept in the last layer, mean over seeds, in brackets IoU alone on permuted masks."""
    out = []
    for probe, called in _NAMES.items():
        present = [(arm, _lines(results, probe, "last")) for arm, results in _present(study, runs)]
        present = [(arm, lines) for arm, lines in present if lines]
        if not present:
            continue
        head = ["concept", "films", "patients", "highest ceiling", *(arm.name for arm, _ in present)]
        body = []
        for i, concept in enumerate(present[0][1][0].concepts):
            if not concept.films:
                continue
            ceiling = max(line.concepts[i].ceiling for _, lines in present for line in lines)
            detectable = any(line.concepts[i].detectable for _, lines in present for line in lines)
            told = f"{ceiling:.2f}" if detectable else f"{ceiling:.3f}, undetectable with this probe"
            cells = [
                f"{_mean([line.concepts[i].detectors for line in lines])} "
                f"({_mean([line.concepts[i].permuted for line in lines])})"
                for _, lines in present
            ]
            body.append([concept.concept, str(concept.films), str(concept.patients), told, *cells])
        out += [
            f"## Detectors by concept, {called}",
            "Last layer, mean over seeds; in brackets, units that IoU > .04 alone gives on permuted masks.",
            "\n".join(markdown(head, body)),
        ]
    return out


def _changes(study: Study, runs: Runs) -> list[str]:
    """Units gained and lost against each run's own start."""
    body = []
    for arm, results in _present(study, runs):
        pairs = [
            changes(old, line)
            for result in results
            for line, old in with_start(result, runs, study)
            if (line.probe, line.layer) == (NIH, "last")
        ]
        if not pairs:
            continue
        gained, lost = Counter[str](), Counter[str]()
        for pair in pairs:
            gained.update({concept: len(units) for concept, units in pair.gained.items()})
            lost.update({concept: len(units) for concept, units in pair.lost.items()})
        body.append(
            [
                arm.name,
                _mean([pair.units_gained for pair in pairs]),
                _mean([pair.units_lost for pair in pairs]),
                _mean([pair.kept for pair in pairs]),
                _mean([pair.renamed for pair in pairs]),
                _counted(gained, len(pairs)),
                _counted(lost, len(pairs)),
                _named(pairs[0].gained),
            ]
        )
    if not body:
        return []
    head = (
        "arm",
        "units gained",
        "lost",
        "kept",
        "renamed",
        "gained by concept",
        "lost by concept",
        "units, first seed",
    )
    return [
        "## Gained and lost against the run's own start",
        "Last layer, NIH films, the same unit before and after training; mean over seeds. The start of a net from "
        "scratch is its random weights.",
        "\n".join(markdown(head, body)),
    ]


def _comparisons(answers: Sequence[Finding]) -> str:
    body = []
    for one in answers:
        first, second, digits = one.contrast.first, one.contrast.second, one.contrast.first.quantity.digits
        what = first.quantity.name
        if first.quantity != second.quantity:
            what = f"{what} / {second.quantity.name}"
        body.append(
            [
                first.arm if first.arm == second.arm else f"{first.arm} / {second.arm}",
                what,
                rounded(one.first, digits),
                rounded(one.second, digits),
                f"{rounded(one.difference, digits, sign='+')} "
                f"({rounded(one.low, digits)} to {rounded(one.high, digits)})",
                one.over,
                str(one.seeds),
                f"{one.adjusted:.3f}",
                one.verdict,
            ]
        )
    head = ("arms", "what", "first", "second", "difference (95 %)", "interval over", "seeds", "p", "said")
    return "\n".join(markdown(head, body))


def _present(study: Study, runs: Runs) -> list[tuple[Arm, Sequence[Result]]]:
    return [(arm, of_arm(runs, arm.name)) for arm in study.arms if runs.get(arm.name)]


def _lines(results: Sequence[Result], probe: str, layer: str) -> list[LayerLine]:
    found = [result.line(probe, layer) for result in results]
    return [line for line in found if line is not None]


def _each(values: Sequence[float], digits: int = 1) -> str:
    if not values:
        return ""
    each = ", ".join(f"{value:.{0 if digits == 1 else digits}f}" for value in values)
    return f"{np.mean(values):.{digits}f} ({each})"


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f}" if len(values) else ""


def _counted(counts: Counter[str], runs: int) -> str:
    return ", ".join(f"{concept} {count / runs:.1f}" for concept, count in counts.most_common())


def _named(units: Mapping[str, tuple[int, ...]], most: int = 6) -> str:
    return "; ".join(
        f"{concept}: {', '.join(map(str, found[:most]))}{' ...' if len(found) > most else ''}"
        for concept, found in units.items()
    )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
