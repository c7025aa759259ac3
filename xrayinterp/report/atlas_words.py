"""What is said of an atlas: its layers, its inventory in a sentence, one unit, and how two models differ."""

from __future__ import annotations

from ..dissection.atlas import Atlas
from ..dissection.inventory import ConceptLine, LayerInventory
from ..dissection.unit_index import UnitEntry
from .words import percent, plain, readable

NAMED = 3
"""Concepts a sentence names."""
IOU_EXPLAINED = (
    "A unit is one channel of a layer: a small picture of where it fires on a film. IoU (intersection over union) says "
    "how well that region and a reader's outline of a concept cover each other, over all films together: the area in "
    "both, divided by the area in either. 0 is no overlap, 1 the same region.",
    "A unit fires on about 1 % of all pixels, so few concepts can be covered well: “of 0.50” is the most that the two "
    "areas allow.",
    "A detector exceeds IoU 0.04 and does better than chance, at p ≤ 0.05: with outlines dealt to other "
    "patients' films its best IoU is rarely as high.",
    "Beyond chance over all units: also better than the best of all units and all concepts together gets by chance.",
    "In the right place: also better than outlines dealt among films that all show the concept, so that it is not "
    "merely on the right films.",
    "95 % intervals are over patients.",
)
"""What the figures mean, a paragraph each."""


def layer_title(layer: str) -> str:
    """A layer as words: "norm5" becomes "Last layer", "denseblock2" "Dense block 2"."""
    if layer == "norm5":
        return "Last layer"
    number = layer.removeprefix("denseblock")
    return f"Dense block {number}" if number != layer and number.isdecimal() else layer


def like(concept: str) -> str:
    """A unit's kind: "effusion-like"."""
    return f"{readable(concept).lower()}-like"


def headline(layer: LayerInventory) -> str:
    """The inventory of a layer in one sentence."""
    where = f"{layer_title(layer.layer).lower()}"
    where = f"the {where}" if layer.layer == "norm5" else where
    if not layer.detectors:
        return f"None of the {layer.units} units of {where} answers to a concept better than chance."
    counted = sorted((line.found for line in layer.lines if line.found.detectors), key=lambda one: -one.detectors)
    named = [f"{readable(one.concept).lower()} ({one.detectors})" for one in counted]
    *before, last = named[:NAMED]
    most = f"{', '.join(before)} and {last}" if before else last
    answer = "answers" if layer.detectors == 1 else "answer"
    kinds = "to" if len(named) <= NAMED else "most to"
    return f"{layer.detectors} of the {layer.units} units of {where} {answer} to a concept, {kinds} {most}."


def caveats(layer: LayerInventory) -> list[str]:
    """What the sentence must not be read without: chance, the stricter tests, and what could not be found."""
    said = []
    if layer.expected is not None:
        by_iou = sum(line.found.by_iou_alone for line in layer.lines if line.expected is not None)
        left_out = "" if all(line.expected is not None for line in layer.lines) else ", anatomy left out"
        said.append(
            f"By IoU alone {by_iou} would count{left_out}; with the outlines dealt to other patients' films "
            f"{plain(layer.expected, 1)} would."
        )
    if layer.detectors and layer.family_wise is not None:
        count = f"{layer.family_wise} of {layer.detectors} do" if layer.family_wise else "None does"
        doubt = "" if layer.family_wise else ", so none can be relied on by itself"
        said.append(f"{count} better than the best that chance gives any unit and concept{doubt}.")
    if layer.detectors and layer.among_positives is not None:
        said.append(f"{layer.among_positives} fire in the right place, not merely on the right films.")
    lost = [readable(line.found.concept).lower() for line in layer.lines if not line.found.detectable]
    if lost:
        said.append(f"Undetectable with this probe, so that 0 says nothing: {', '.join(lost)}.")
    return said


def probe_words(atlas: Atlas) -> str:
    """The films behind an atlas: "ChestX-Det findings on NIH films, 688 films of 301 patients"."""
    told = atlas.provenance.get("probe")
    title = told.get("title") if isinstance(told, dict) else None
    films, patients = (atlas.provenance.get(key) for key in ("films", "patients"))
    counted = f", {films} films of {patients} patients" if isinstance(films, int) and isinstance(patients, int) else ""
    return f"{title if isinstance(title, str) else atlas.probe}{counted}"


def unit_title(entry: UnitEntry) -> str:
    """A unit's number and what it is like."""
    return f"Unit {entry.unit} · {like(entry.labels[0]) if entry.labels else 'no concept'}"


def unit_sentence(entry: UnitEntry) -> str:
    """How well a unit fits its name, or its best concept where it has none."""
    row = entry.best
    fit = f"IoU {row.iou:.2f} (95 % {row.ci_low:.2f} to {row.ci_high:.2f}) of at most {row.ceiling:.2f}"
    name = readable(row.concept).lower()
    if not entry.labels:
        return f"It detects no concept of this probe. Closest is {name}: {fit}; chance reaches {row.null_high:.2f}."
    return (
        f"It fires where {name} is outlined: {fit}; chance reaches {row.null_high:.2f}. "
        f"{percent(row.precision)} of the area where it fires is {name}."
    )


def unit_facts(entry: UnitEntry) -> list[tuple[str, str]]:
    """The rest of a unit's figures, as terms and what is to be said of each."""
    row = entry.best
    crossed = next((one.iou_crossfit for one in entry.rows if one.iou_crossfit is not None), None)
    joint = ", ".join(readable(name).lower() for name in entry.labels[1:])
    silent = "; it never fires" if row.area == 0 else ""
    return [
        ("By chance", f"p {_p(row.null_p)} for this unit{_maybe(entry.family_p, 'over all units and concepts')}"
                      f"{_maybe(entry.positives_p, 'in the right place')}"),
        ("Cross-fit", "not known" if crossed is None else
         f"{crossed:.2f}: concept chosen on half of the patients, IoU measured on the other half"),
        ("Could as well be", joint or "no other concept"),
        ("Fires above", f"{row.threshold:.3g}, on {percent(row.area, 2)} of all pixels{silent}"),
        ("Films", f"{row.films} films of {row.patients} patients show {readable(row.concept).lower()}; the model was "
                  f"{_SEEN[row.probe_seen]}"),
    ]  # fmt: skip


_SEEN = {
    "yes": "trained on films of this probe",
    "no": "not trained on these films",
    "unknown": "trained on films that are not known",
}


def differences(first: LayerInventory, second: LayerInventory, names: tuple[str, str]) -> list[str]:
    """What can be said of two models on the same films, and no more.

    A concept is told if only one model has units for it and some of them stand against chance over all units, or if the
    intervals of the best units' IoU do not meet. Mere counts are not compared: nothing says how they would vary.
    """
    said = []
    for line in first.lines:
        other = second.line(line.found.concept)
        if other is None or not (line.found.detectable and other.found.detectable):
            continue
        said += _difference(line, other, names)
    return said


def _difference(first: ConceptLine, second: ConceptLine, names: tuple[str, str]) -> list[str]:
    concept, (name, other_name) = readable(first.found.concept), names
    both_ways = [(first, second, name, other_name), (second, first, other_name, name)]
    for line, other, whose, without in both_ways:
        if line.family_wise and not other.found.detectors:
            beyond = f"{_units(line.found.detectors)}, {line.family_wise} of them beyond chance over all units"
            return [f"{concept}: {whose} has {beyond}; {without} has none."]
    if not (first.found.detectors and second.found.detectors):
        return []
    for line, other, whose, worse in both_ways:
        if line.found.best_low > other.found.best_high:
            fits = f"the best unit of {whose} fits better ({_fit(line)}) than that of {worse} ({_fit(other)})"
            return [f"{concept}: {fits}."]
    return []


def _fit(line: ConceptLine) -> str:
    found = line.found
    return f"{found.best_iou:.2f}, {found.best_low:.2f} to {found.best_high:.2f}"


def reservations(first: Atlas, second: Atlas, names: tuple[str, str]) -> list[str]:
    """What besides the models differs between two atlases."""
    said = []
    if first.probe != second.probe:
        said.append(f"The probe films differ ({first.probe}; {second.probe}): nothing is compared in words.")
    elif _films(first) != _films(second):
        said.append(f"Not the same choice of films: {probe_words(first)}; {probe_words(second)}.")
    if first.definition != second.definition:
        said.append(f"Thresholds were set by different rules ({first.definition}; {second.definition}).")
    seen = [{row.probe_seen for row in atlas.rows} for atlas in (first, second)]
    if seen[0] != seen[1]:
        told = (f"{name} was {_SEEN[sorted(one)[0]]}" for name, one in zip(names, seen, strict=True))
        said.append(f"The films are not equally new to both: {'; '.join(told)}.")
    return said


def comparable(first: Atlas, second: Atlas) -> bool:
    """Whether figures of two atlases may be set against each other in words."""
    return (first.probe, first.definition) == (second.probe, second.definition) and _films(first) == _films(second)


def _films(atlas: Atlas) -> tuple[object, ...]:
    return tuple(str(atlas.provenance.get(key)) for key in ("films", "patients", "fit"))


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def _maybe(value: float | None, what: str) -> str:
    return "" if value is None else f", {_p(value)} {what}"
