"""From normal films to a detector's file: fit, calibrate on held-out normals, record, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets.film import Film
from ..datasets.films import load_films, load_manifest
from ..errors import Code, XrayInterpError
from ..imaging.reader import read
from ..training.fixed import Tick
from .calibration import Calibration
from .card import AnomalyRecord
from .distillation import DistillationDetector
from .experts import Expert
from .files import MAX_BYTES, as_saved, record_for, save_detector
from .fitting import Settings
from .normals import Criterion, NormalSet, as_images, normal_films

DETAIL = 128
"""Side in pixels to which films are reduced: most NIH films at hand have no more."""


@dataclass(frozen=True, eq=False)
class Normals:
    """Normals to learn from, and others that scores are calibrated on."""

    learnt: NormalSet
    held_out: NormalSet


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

    Args:
        name: what it is called.
        path: of the file.
        expert: what is cloned.
        normals: films to learn from and films to calibrate on.
        settings: of the fit; standardised terms are standardised on the held-out normals.
        threshold_share: the share of held-out normals that may be stopped; None stops none.
        measured: further figures for the record.
        folder: see `DistillationDetector`.
        device: where to fit.
        tick: called after every epoch.
        limit: most bytes of the file.
    """
    detector = DistillationDetector(expert, settings, folder=folder, device=device, tick=tick)
    held_out = normals.held_out
    detector.fit(normals.learnt.images, held_out=held_out.images)
    detector = replace(as_saved(detector), device="cpu")
    detector.standardise(held_out.images)
    calibration = Calibration.of(detector.scores(held_out.images).numpy(), held_out.patients)
    threshold = None if threshold_share is None else calibration.threshold(threshold_share)
    record = record_for(
        name,
        detector,
        normals.learnt,
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
    normals = Normals(*parts)
    shared = set(normals.learnt.patients or ()) & set(normals.held_out.patients or ())
    if shared:
        raise XrayInterpError(
            Code.BAD_DATA,
            f"{len(shared)} patients are both learnt from and held out.",
            "Name splits that share no patient.",
        )
    return normals


def from_files(
    files: Sequence[str], description: str, *, share: float = 0.2, seed: int = 0, detail: int = DETAIL
) -> Normals:
    """Films that a person says are normal; a `share` of them, drawn by `seed`, is held out.

    Raises:
        XrayInterpError: what a film is refused for, naming it; `bad-option` for fewer than ten films.
    """
    from ..imaging import geometry
    from ..models.prepare import as_square, resize

    if len(files) < 10:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{len(files)} films are too few to learn what is normal.", "Give ten or more."
        )
    squares = torch.empty((len(files), detail, detail), dtype=torch.uint8)
    for i, file in enumerate(files):
        try:
            pixels = read(Path(file)).pixels
        except XrayInterpError as error:
            raise XrayInterpError(error.code, f"{file}: {error.message}", error.hint) from error
        square = resize(as_square(geometry.cut(pixels, geometry.frame(*pixels.shape[:2]))), detail)
        squares[i] = (square[0, 0] * 255).round().clamp(0, 255).to(torch.uint8)
    order = np.random.default_rng(seed).permutation(len(files))
    count = max(2, round(share * len(files)))
    sets = [
        NormalSet(as_images(squares[rows]), tuple(Path(files[i]).name for i in rows), None, description, "stated")
        for rows in (order[count:], order[:count])
    ]
    return Normals(*sets)


def _described(name: str, films: Sequence[Film], splits: Sequence[str], criterion: Criterion) -> str:
    what = "frontal films without findings" if criterion == "no-finding" else "frontal films, whatever they show"
    title = load_manifest(name).title
    patients = len({film.patient for film in films})
    return f"{len(films)} {what} of {patients} patients: {title}, split {', '.join(splits)}"
