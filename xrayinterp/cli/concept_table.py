"""What a dissection found, concept by concept: detectors, or that this probe set could not have found any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import table

if TYPE_CHECKING:
    from ..dissection.atlas import Atlas
    from ..dissection.summary import ConceptSummary

HEAD = ("LAYER", "CONCEPT", "DETECTORS", "BEST UNIT", "IOU (95 % INTERVAL)", "CEILING", "FILMS", "PATIENTS")


def concept_table(atlas: Atlas) -> None:
    """One line a layer and concept."""
    from ..dissection.summary import summary

    table(HEAD, (_line(found) for found in summary(atlas)))


def _line(found: ConceptSummary) -> tuple[str, ...]:
    return (
        found.layer,
        found.concept,
        found.counted,
        str(found.best_unit),
        f"{found.best_iou:.3f} ({found.best_low:.3f} to {found.best_high:.3f})",
        f"{found.highest_ceiling:.3f}",
        str(found.films),
        str(found.patients),
    )
