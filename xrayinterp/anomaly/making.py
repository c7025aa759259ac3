"""From normal films to a detector's file: fit, calibrate on held-out normals, record, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..datasets.film import Film
from ..datasets.films import load_films, load_manifest
from ..errors import Code, XrayInterpError
from ..imaging import geometry
from ..imaging.radiograph import Radiograph
from ..imaging.reader import read
from ..models.prepare import as_square, resize
from ..training.fixed import Tick
from .calibration import Calibration
from .card import AnomalyRecord
from .distillation import HELD_OUT, DistillationDetector
from .experts import Expert
from .files import MAX_BYTES, as_saved, check_plan, record_for, save_detector
from .fitting import Settings
from .normals import Criterion, NormalSet, as_images, normal_films

DETAIL = 128
"""Side in pixels to which films are reduced: most NIH films at hand have no more."""
FOLDERS = 10
"""So many folders on a level are taken for patients, and films dealt out by them."""
MOST = 1.5
"""Times the films wanted that may be held out, as patients are drawn whole."""
STANDARD = 10
"""Fewest normals that terms are standardised on."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Normals:
    """Normals to learn from, and others that scores are calibrated on; no film and no known patient is in both."""

    learnt: NormalSet
    held_out: NormalSet

    def __post_init__(self) -> None:
        for what, one, other in (
            ("films", self.learnt.ids, self.held_out.ids),
            ("patients", self.learnt.patients or (), self.held_out.patients or ()),
        ):
            if shared := set(one) & set(other):
                raise XrayInterpError(
                    Code.BAD_DATA,
                    f"{len(shared)} {what} are both learnt from and held out.",
                    "Name splits that share none.",
                )


def make(
    name: str,
    path: Path,
    expert: Expert,
    normals: Normals,
    settings: Settings,
    *,
    threshold_share: float | None = None,
    measured: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    device: str = "cpu",
    tick: Tick = lambda: None,
    limit: int = MAX_BYTES,
) -> tuple[DistillationDetector, AnomalyRecord]:
    """Fit a detector, calibrate it, and write it to `path`; what is calibrated is what the file holds.

    Standardised terms are standardised on a tenth of the normals to learn from, whole patients, that the cloner does
    not see; the held-out normals calibrate and do nothing else.

    Args:
        name: what it is called.
        path: of the file.
        expert: what is cloned.
        normals: films to learn from and films to calibrate on.
        settings: of the fit.
        threshold_share: the share of held-out normals that may be stopped; None stops none.
        measured: further figures for the record.
        folder: see `DistillationDetector`.
        device: where to fit.
        tick: called after every epoch.
        limit: most bytes of the file.

    Raises:
        XrayInterpError: before anything is learnt, as `files.check_plan`, and `bad-option` where there are too few
            normals to standardise on.
    """
    check_plan(name, expert, settings, limit=limit)
    learnt, standard = normals.learnt, None
    if settings.fusion == "standardised":
        learnt, standard = standardising(normals.learnt, settings.seed)
    detector = DistillationDetector(expert, settings, folder=folder, device=device, tick=tick)
    detector.fit(learnt.images, held_out=None if standard is None else standard.images)
    detector = replace(as_saved(detector), device="cpu")
    if standard is not None:
        detector.standardise(standard.images)
    held_out = normals.held_out
    calibration = Calibration.of(detector.scores(held_out.images).numpy(), held_out.patients)
    threshold = None if threshold_share is None else calibration.threshold(threshold_share)
    record = record_for(
        name,
        detector,
        normals.learnt if standard is None else _telling_of(normals.learnt, standard),
        held_out,
        calibration,
        detail=normals.learnt.images.shape[-1],
        threshold=threshold,
        measured=measured,
    )
    save_detector(path, detector, record, limit=limit)
    return detector, record


def from_dataset(
    name: str,
    splits: Sequence[str],
    held_out: Sequence[str],
    *,
    criterion: Criterion = "no-finding",
    root: Path | None = None,
    detail: int = DETAIL,
    limit: int | None = None,
) -> Normals:
    """Frontal films of a data set by split; with "no-finding" only those that it says have none.

    Raises:
        XrayInterpError: `bad-data` where none is left, or a patient is in both; those of `load_films`.
    """
    width = detail if name == "nih" else 0
    parts = []
    for chosen in (splits, held_out):
        films = load_films(name, root=root, splits=chosen, min_native_width=width)
        kept = [film for film in films if criterion == "frontal" or film.normal is True][:limit]
        parts.append(normal_films(kept, detail, _described(name, kept, chosen, criterion), criterion=criterion))
    return Normals(*parts)


def from_files(
    files: Sequence[str],
    description: str,
    *,
    share: float = 0.2,
    seed: int = 0,
    detail: int = DETAIL,
    tick: Tick = lambda: None,
) -> Normals:
    """Films that a person says are normal; a `share` of them, drawn by `seed`, is held out.

    A film given twice counts once. Patients are unknown: where a level of folders has FOLDERS or more, films are dealt
    out by the folders of the uppermost such level, each taken for one patient; others film by film. The description
    says which.

    Raises:
        XrayInterpError: what a film is refused for, naming it; `bad-option` for fewer than ten different films, and
            where folders are so uneven that no share of them can be held out.
    """
    found: dict[str, tuple[str, Tensor]] = {}
    for file in files:
        film = _read(Path(file))
        found.setdefault(film.sha256, (str(Path(file).parent), _square(film, detail)))
        tick()
    if len(found) < 10:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{len(found)} different films are too few to learn what is normal.", "Give ten or more."
        )
    known = taken_for_patients([folder for folder, _ in found.values()])
    how = "films of a folder taken for one patient's" if known else "films dealt out one by one"
    images = as_images(torch.stack([square for _, square in found.values()]))
    whole = NormalSet(images, tuple(found), known, f"{description} (patients unknown, {how})", "stated")
    return Normals(*parted(whole, max(2, round(share * len(found))), seed))


def taken_for_patients(folders: Sequence[str]) -> tuple[str, ...] | None:
    """The folders (N,) of films at the uppermost level where there are FOLDERS or more; None where there is none.

    In PATIENT/STUDY/film these are the patients, whose studies stay together.
    """
    parts = [Path(folder).parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        level = tuple(str(Path(*one[:depth])) for one in parts)
        if len(set(level)) >= FOLDERS:
            return level
    return None


def standardising(normals: NormalSet, seed: int) -> tuple[NormalSet, NormalSet]:
    """Normals to learn from, and a tenth of them, whole patients, to standardise terms on.

    Raises:
        XrayInterpError: `bad-option` where too few would be left.
    """
    rest, standard = parted(normals, max(STANDARD, round(HELD_OUT * len(normals))), seed)
    if len(rest) < 2:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{len(normals)} normals are too few to standardise terms on some of them.",
            "Give more, or take the published sum of the terms.",
        )
    return rest, standard


def parted(normals: NormalSet, count: int, seed: int) -> tuple[NormalSet, NormalSet]:
    """The rest, and about `count` normals: patients drawn whole by `seed`, each film its own without.

    One whose films would make it more than MOST times as many is passed over.

    Raises:
        XrayInterpError: `bad-option` where that leaves fewer than half of `count`.
    """
    owners = [str(i) for i in range(len(normals))] if normals.patients is None else list(normals.patients)
    numbers = np.unique(np.asarray(owners), return_inverse=True)[1]
    sizes = np.bincount(numbers)
    drawn: list[int] = []
    reached = 0
    for owner in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        if reached < count and reached + sizes[owner] <= max(count, MOST * count):
            drawn.append(owner)
            reached += int(sizes[owner])
    if 2 * reached < count:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Of {len(normals)} films of {len(sizes)} patients, {count} cannot be held out: one has {sizes.max()}.",
            "Give films that are spread more evenly over patients.",
        )
    held = np.isin(numbers, drawn)
    return _rows(normals, np.flatnonzero(~held)), _rows(normals, np.flatnonzero(held))


def _rows(normals: NormalSet, rows: Rows) -> NormalSet:
    patients = None if normals.patients is None else tuple(normals.patients[i] for i in rows)
    ids = tuple(normals.ids[i] for i in rows)
    return replace(normals, images=normals.images[torch.from_numpy(rows)], ids=ids, patients=patients)


def _telling_of(learnt: NormalSet, standard: NormalSet) -> NormalSet:
    """The same normals; their description says that some of them standardise the terms."""
    said = f"{learnt.description}; terms standardised on {len(standard)} of them that the cloner did not see"
    return replace(learnt, description=said)


def _read(file: Path) -> Radiograph:
    try:
        return read(file)
    except XrayInterpError as error:
        raise XrayInterpError(error.code, f"{file}: {error.message}", error.hint) from error


def _square(film: Radiograph, detail: int) -> Tensor:
    """The film's centre square (detail, detail), uint8."""
    square = resize(as_square(geometry.cut(film.pixels, geometry.frame(*film.shape))), detail)
    return (square[0, 0] * 255).round().clamp(0, 255).to(torch.uint8)


def _described(name: str, films: Sequence[Film], splits: Sequence[str], criterion: Criterion) -> str:
    what = "frontal films without findings" if criterion == "no-finding" else "frontal films, whatever they show"
    title = load_manifest(name).title
    patients = len({film.patient for film in films})
    return f"{len(films)} {what} of {patients} patients: {title}, split {', '.join(splits)}"
