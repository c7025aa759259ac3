"""Explanation -> PDF: tagged (PDF/UA-1), light, and the same bytes for the same explanation."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import typst

from ..errors import Code, XrayInterpError
from ..explanation import Explanation, SaliencyMap
from . import glyphs, plates, words
from .content import content
from .pictures import limit_of

TEMPLATE = Path(__file__).parent / "template.typ"
TOP_REGIONS = 2
"""Concepts whose regions are drawn."""
SMALL = 560
"""Pixels on the long side of the small pictures."""


def render_pdf(explanation: Explanation) -> bytes:
    """The report as the bytes of an A4 PDF, tagged for screen readers, without any time or path of this machine.

    All text reaches the template as data, so nothing a reader typed is ever read as markup. Characters of scripts that
    no packaged typeface holds are set with this machine's typefaces, or spelled out as code points.

    Raises:
        XrayInterpError: `internal` where the report cannot be set.
    """
    data = content(explanation)
    with tempfile.TemporaryDirectory(prefix="xrayinterp-") as folder:
        data |= _pictures(explanation, Path(folder))
        system = glyphs.needs_system_fonts(glyphs.texts_of(data))
        text = json.dumps(glyphs.printable_tree(data, system=system), ensure_ascii=False, allow_nan=False)
        compiler = typst.Compiler(
            TEMPLATE.read_bytes(), root=folder, font_paths=glyphs.fonts(system=system), sys_inputs={"data": text}
        )
        try:
            pdf = compiler.compile(format="pdf", pdf_standards="ua-1")
        except typst.TypstError as error:
            raise XrayInterpError(
                Code.INTERNAL,
                f"The PDF report cannot be set: {error.message}.",
                "The JSON holds the same results; report this with the film's SHA-256.",
            ) from error
    if not isinstance(pdf, bytes):
        raise XrayInterpError(Code.INTERNAL, f"typst gave {type(pdf).__name__} instead of a PDF.")
    return pdf


def _pictures(explanation: Explanation, folder: Path) -> dict[str, Any]:
    """The pictures written to `folder`, and what the template must know of them: file, alt text, caption."""
    film_file = _saved(folder, "film", plates.film_plate(explanation))
    height, width = explanation.radiograph.shape
    film = {
        "file": film_file,
        "alt": f"The chest radiograph, {words.view(explanation.radiograph)}.",
        "caption": "Film",
        "aspect": height / width,
    }
    first, further = explanation.maps[:1], explanation.maps[1:]
    return {
        "film": film,
        "map": _map(explanation, first[0], folder, plates.LONGEST) if first else None,
        "small": [*(_outline(explanation, saliency, folder) for saliency in first), *_regions(explanation, folder)],
        "further": [_map(explanation, saliency, folder, SMALL) for saliency in further],
    }


def _saved(folder: Path, name: str, picture: bytes) -> str:
    (folder / f"{name}.png").write_bytes(picture)
    return f"/{name}.png"


def _map(explanation: Explanation, saliency: SaliencyMap, folder: Path, longest: int) -> dict[str, Any]:
    number = explanation.maps.index(saliency)
    limit = limit_of(saliency.values)
    low, high = words.scale(saliency, limit)
    finding = words.readable(explanation.finding)
    colours = "orange supports the finding and blue opposes it" if saliency.signed else "yellow is strongest"
    return {
        "file": _saved(folder, f"map{number}", plates.overlay_plate(explanation, saliency, longest=longest)),
        "alt": f"The film with the map {words.method(saliency.method)} for {finding} over it: {colours}. "
        + words.strongest(saliency, explanation.anatomy),
        "caption": f"{finding} · {words.method(saliency.method)} · {words.grid(saliency)}",
        "bar": _saved(folder, f"bar{number}", plates.bar_plate(saliency)) if limit else None,
        "low": low,
        "high": high,
    }


def _outline(explanation: Explanation, saliency: SaliencyMap, folder: Path) -> dict[str, Any]:
    return {
        "file": _saved(folder, "outline", plates.outline_plate(explanation, saliency, longest=SMALL)),
        "alt": f"The film with the outline of the map {words.method(saliency.method)} at half of its scale.",
        "caption": "Outline of the map at half of its scale (interpolated)",
    }


def _regions(explanation: Explanation, folder: Path) -> list[dict[str, Any]]:
    """Regions of the concepts that matter most and fire somewhere, and the model's view."""
    named = [share.concept for share in explanation.semantic.concepts if share.concept in explanation.regions]
    lit = [concept for concept in named if explanation.regions[concept].any()][:TOP_REGIONS]
    pictures = [
        {
            "file": _saved(folder, f"region{number}", plates.region_plate(explanation, concept, longest=SMALL)),
            "alt": f"The film with the outline of where {words.readable(concept)}-like units fire.",
            "caption": f"Where {words.readable(concept).lower()}-like units fire",
        }
        for number, concept in enumerate(lit)
    ]
    side = explanation.model_view.shape[0]
    view = {
        "file": _saved(folder, "view", plates.model_view_plate(explanation, longest=SMALL)),
        "alt": "The square of the film as the model saw it.",
        "caption": f"What the model saw, {side} × {side} px",
    }
    return [*pictures, view]
