"""The files that `xrayinterp explain` leaves behind for one film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..explanation import Explanation

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".png", ".jpg", ".jpeg", ".jpe", ".jfif"})


def write_results(explanation: Explanation, out: Path, file: str, *, pdf: bool) -> Path:
    """Write NAME.METHOD.npy (float32 over the model's square), NAME.METHOD.png (on the film), the report and the JSON.

    The JSON is written last: where it lies, everything it names lies too.

    Args:
        explanation: of one film.
        out: an existing folder.
        file: path of the film; NAME is made of it.
        pdf: also NAME.pdf.

    Returns:
        Path of the JSON.
    """
    from ..imaging.geometry import frame
    from ..report import pictures
    from ..report.document import to_document

    radiograph = explanation.radiograph
    name = free_name(out, Path(file), radiograph.sha256)
    square = frame(*radiograph.shape, explanation.fit)
    paths: dict[str, str] = {}
    for saliency in explanation.maps:
        paths[saliency.method] = f"{name}.{saliency.method}.npy"
        np.save(out / paths[saliency.method], saliency.values)
        picture = pictures.overlaid(radiograph.display, saliency.values, square, signed=saliency.signed)
        (out / f"{name}.{saliency.method}.png").write_bytes(pictures.png(picture))
    if pdf:
        from ..report.pdf import render_pdf

        (out / f"{name}.pdf").write_bytes(render_pdf(explanation))
    document = out / f"{name}.json"
    document.write_text(to_document(explanation, paths).model_dump_json(indent=2) + "\n", encoding="utf-8")
    return document


def free_name(out: Path, file: Path, sha256: str) -> str:
    """Name of a film's results: the file's without its image suffix, with the hash where another film has that one.

    The same film keeps its name, so that a second run replaces its results.
    """
    stem = file.stem if file.suffix.lower() in IMAGE_SUFFIXES else file.name
    names = (stem, f"{stem}-{sha256[:8]}", f"{stem}-{sha256}")
    return next(name for name in names if _owner(out / f"{name}.json") in (None, sha256))


def _owner(document: Path) -> str | None:
    """SHA-256 of the film that a result belongs to: None if nothing is there, "" if it is no result of ours."""
    if not document.exists():
        return None
    try:
        return str(json.loads(document.read_text(encoding="utf-8"))["source"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
