"""Is this copy of a data set whole? Tables, files, labels, splits, boxes and masks, each against the others.

One pass over the table holds names of films and patients, never the films; pixels are read of a sample, or of all.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..errors import Code, XrayInterpError
from .faults import PARTS, REMEDIES, Fault, Kind
from .film import Film
from .layouts import Found
from .manifest import Expected
from .regions import MaskFile, Polygon

SAMPLE = 100
"""Films with boxes or masks, and as many without, that are read where not all are."""
_EXAMPLES = 3
Item = TypeVar("Item")
Track = Callable[[Iterable[Item], int | None, str], Iterator[Item]]
"""Shows progress: the items, how many there are (None: unknown), and what is being done."""


@dataclass(frozen=True)
class Trouble:
    """One kind of damage: how often, some examples, and what to do."""

    kind: Kind
    count: int
    examples: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Total:
    """A count found in the copy beside that of the published release (None: not known or not comparable)."""

    of: str
    found: int
    expected: int | None


@dataclass(frozen=True)
class Report:
    """What was found in a copy.

    `read` films were decoded; `get` says where the data set is had; `partly` is missing because a part was asked for.
    """

    name: str
    title: str
    layout: str
    folder: Path
    films: int
    patients: int
    read: int
    totals: tuple[Total, ...]
    troubles: tuple[Trouble, ...]
    get: str
    partly: tuple[Trouble, ...] = ()

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.troubles


@dataclass
class _Tally:
    """What one pass over a copy counts."""

    films: int = 0
    read: int = 0
    ids: set[str] = field(default_factory=set)
    splits_of: dict[str, set[str]] = field(default_factory=dict)
    splits: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    masks: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    boxes: int = 0
    boxed: int = 0
    faults: Counter[Kind] = field(default_factory=Counter)
    examples: dict[Kind, list[str]] = field(default_factory=dict)

    def fault(self, fault: Fault) -> None:
        self.faults[fault.kind] += 1
        examples = self.examples.setdefault(fault.kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(f"{fault.where}: {fault.said}")


def check(
    found: Found, *, full: bool = False, subset: bool = False, seed: int = 0, track: Track[Film | Fault] | None = None
) -> Report:
    """What is wrong with a copy of a data set, and how its totals compare with the published ones.

    Args:
        found: the copy.
        full: decode every film and mask, not only `SAMPLE` with marks and `SAMPLE` without.
        subset: only a part is kept on purpose: what is missing is told, and is no trouble.
        seed: draws the sample.
        track: shows progress.
    """
    tally, rng = _Tally(), np.random.default_rng(seed)
    marked, plain = _Reservoir(SAMPLE, rng), _Reservoir(SAMPLE, rng)
    home = os.path.realpath(found.folder)
    expected = found.manifest.official.expected if found.manifest.official and found.layout != "table" else Expected()
    show: Track[Film | Fault] = track or (lambda items, total, doing: iter(items))
    for item in show(found.read(), expected.films, f"Checking {found.manifest.name}"):
        if isinstance(item, Fault):
            tally.fault(item)
            continue
        _count(item, tally)
        faults = [fault for file in _files(item) if (fault := _misplaced(file, home, item))]
        for fault in faults:
            tally.fault(fault)
        whole = not faults
        if whole and full:
            _decode(item, tally)
        elif whole:
            (marked if _marked(item) else plain).offer(item)
            if _marked(item) and not item.is_dicom:
                _boxes_fit(item, tally)
    for item in show([*marked.kept, *plain.kept], len(marked.kept) + len(plain.kept), f"Reading {found.manifest.name}"):
        if isinstance(item, Film):
            _decode(item, tally, boxes=item.is_dicom)
    return _report(found, tally, expected, subset)


class _Reservoir:
    """A uniform draw of at most `size` films of a stream."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.kept: list[Film] = []
        self._size, self._seen, self._rng = size, 0, rng

    def offer(self, film: Film) -> None:
        self._seen += 1
        if len(self.kept) < self._size:
            self.kept.append(film)
        elif (place := int(self._rng.integers(self._seen))) < self._size:
            self.kept[place] = film


def _marked(film: Film) -> bool:
    return bool(film.regions or film.boxes or film.mask_path or film.valid_box)


def _files(film: Film) -> Iterator[tuple[Path, Kind]]:
    yield film.path, Kind.MISSING_FILM
    if film.mask_path is not None:
        yield film.mask_path, Kind.MISSING_MASK
    for regions in film.regions.values():
        yield from ((region.path, Kind.MISSING_MASK) for region in regions if isinstance(region, MaskFile))


def _misplaced(file: tuple[Path, Kind], home: str, film: Film) -> Fault | None:
    path, kind = file
    real = os.path.realpath(path)
    if os.path.commonpath((real, home)) != home:
        return Fault(Kind.OUTSIDE_ROOT, f"film {film.id}", f"{path} is a link to {real}")
    return None if path.is_file() else Fault(kind, f"film {film.id}", f"{path} is not there")


def _count(film: Film, tally: _Tally) -> None:
    tally.films += 1
    if film.id in tally.ids:
        tally.fault(Fault(Kind.DUPLICATE_ROW, f"film {film.id}", "it has more than one row"))
    tally.ids.add(film.id)
    tally.splits[film.split] += 1
    where = tally.splits_of.setdefault(film.patient, set())
    if film.patient and film.split not in where:
        where.add(film.split)
        if len(where) == 2:
            tally.fault(Fault(Kind.TWO_SPLITS, f"patient {film.patient}", f"films in {' and '.join(sorted(where))}"))
    tally.labels.update(name for name, value in film.labels.items() if value)
    tally.labels.update(["No Finding"] if film.normal else [])
    tally.labels.update(f"{name} (uncertain)" for name in film.uncertain)
    marks = film.regions or film.boxes
    tally.masks.update({name: len(found) for name, found in marks.items()})
    tally.boxes += sum(map(len, film.boxes.values()))
    tally.boxed += bool(film.boxes)
    _count_scores(film, tally)


def _count_scores(film: Film, tally: _Tally) -> None:
    for rater, zones in film.scores.items():
        if not all(zone in (0, 1, 2, 3) for zone in zones):
            said = f"zones {', '.join(f'{z:g}' for z in zones)} of {rater}, where 0, 1, 2 or 3 belongs"
            tally.fault(Fault(Kind.OUT_OF_RANGE, f"film {film.id}", said))
    if film.scores:
        tally.scores[f"{sum(next(iter(film.scores.values()))):g}"] += 1


def _decode(film: Film, tally: _Tally, *, boxes: bool = True) -> None:
    """Reads pixels and masks; `boxes` also holds the boxes against the film's size."""
    tally.read += 1
    try:
        shape = film.pixels().shape
    except XrayInterpError as error:
        tally.fault(Fault(Kind.UNREADABLE_FILM, f"film {film.id}", error.message))
        return
    if boxes:
        _boxes_fit(film, tally)
    if not film.regions and film.mask_path is None:
        return
    kinds = {Code.BAD_DATA: Kind.MASK_SIZE, Code.DATA_MISSING: Kind.MISSING_MASK}
    try:
        found = film.masks(tuple(film.mask_bits)).shape[1:]
    except XrayInterpError as error:
        kind = kinds.get(error.code, Kind.UNREADABLE_MASK)
        tally.fault(Fault(kind, f"film {film.id}", error.message))
        return
    if found != shape:
        said = f"its mask has {found[1]} x {found[0]} pixels, the film {shape[1]} x {shape[0]}"
        tally.fault(Fault(Kind.MASK_SIZE, f"film {film.id}", said))


def _boxes_fit(film: Film, tally: _Tally) -> None:
    try:
        stored = film.grids()[0]
    except XrayInterpError:  # found again, and told, where the film is read
        return
    grid = film.frame or stored
    for name, boxes in film.boxes.items():
        for box in boxes:
            if not box.inside(grid):
                said = f"a box of {name} at {box.left:g}, {box.top:g}, {box.width:g} x {box.height:g}"
                tally.fault(Fault(Kind.BOX_OUTSIDE, f"film {film.id}", f"{said} leaves {grid[1]} x {grid[0]} pixels"))
    for name, regions in film.regions.items():
        if not all(region.inside(grid) for region in regions if isinstance(region, Polygon)):
            said = f"an outline of {name} leaves {grid[1]} x {grid[0]} pixels"
            tally.fault(Fault(Kind.BOX_OUTSIDE, f"film {film.id}", said))
    if film.valid_box is not None:
        left, top, width, height = film.valid_box
        if min(left, top) < 0 or left + width > stored[1] or top + height > stored[0]:
            tally.fault(Fault(Kind.BOX_OUTSIDE, f"film {film.id}", "the part with known masks leaves the film"))


def _report(found: Found, tally: _Tally, expected: Expected, subset: bool) -> Report:
    totals = _totals(tally, Expected() if subset else expected)
    if not tally.films and not tally.faults:
        tally.fault(Fault(Kind.EMPTY_TABLE, found.layout, "there is no film"))
    for total in totals:
        if total.expected is not None and total.found != total.expected:
            tally.fault(Fault(Kind.COUNT, total.of, f"{total.found} found, {total.expected} published"))
    troubles = [
        Trouble(kind, count, tuple(tally.examples[kind]), REMEDIES[kind])
        for kind, count in sorted(tally.faults.items(), key=lambda item: list(Kind).index(item[0]))
    ]
    return Report(
        name=found.manifest.name,
        title=found.manifest.title,
        layout=found.layout,
        folder=found.folder,
        films=tally.films,
        patients=len(tally.splits_of.keys() - {""}),
        read=tally.read,
        totals=totals,
        get=found.manifest.official.get if found.manifest.official and found.layout != "table" else "",
        troubles=tuple(one for one in troubles if not (subset and one.kind in PARTS)),
        partly=tuple(one for one in troubles if subset and one.kind in PARTS),
    )


def _totals(tally: _Tally, expected: Expected) -> tuple[Total, ...]:
    single = [
        Total("films", tally.films, expected.films),
        Total("patients", len(tally.splits_of.keys() - {""}), expected.patients),
        Total("boxes", tally.boxes, expected.boxes),
        Total("films with boxes", tally.boxed, expected.boxed_films),
    ]
    groups = (
        ("split", tally.splits, expected.splits),
        ("label", tally.labels, expected.labels),
        ("marks of", tally.masks, expected.masks),
        ("score", tally.scores, expected.scores),
    )
    many = [
        Total(f"{group} {name}", counts[name], published.get(name))
        for group, counts, published in groups
        for name in sorted({*counts, *published} - {""}, key=_natural)
    ]
    return tuple(total for total in (*single, *many) if total.found or total.expected)


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (0, name)
