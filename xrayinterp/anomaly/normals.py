"""Which images a detector may call normal: checked when they are gathered, and recorded with what is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..datasets.film import Film
from ..errors import Code, XrayInterpError
from ..training.films import squares

Criterion = Literal["no-finding", "frontal"]
"""What makes a film normal: its data set says that it has no finding, or it is a frontal film, whatever it shows."""


@dataclass(frozen=True, eq=False)
class NormalSet:
    """Normal images (N, 1, d, d) in [0, 1] with ids, patients (or None) and a sentence that says what normal means."""

    images: Tensor
    ids: tuple[str, ...]
    patients: tuple[str, ...] | None
    description: str
    criterion: str

    def __len__(self) -> int:
        return len(self.images)

    @property
    def digest(self) -> str:
        """SHA-256 of the ids, in any order."""
        return hashlib.sha256("\n".join(sorted(self.ids)).encode()).hexdigest()


def normal_films(films: Sequence[Film], detail: int, description: str, *, criterion: Criterion) -> NormalSet:
    """Films as normals, centre crops reduced to `detail` pixels; one that is not normal is refused.

    Raises:
        XrayInterpError: `bad-data` naming the first film that does not meet the criterion, or where there is none.
    """
    if not films:
        raise XrayInterpError(Code.BAD_DATA, "There are no normal films to learn from.", "Choose another data set.")
    for film in films:
        if criterion == "no-finding" and film.normal is not True:
            said = "says that it has findings" if film.normal is False else "does not say that it has none"
            raise XrayInterpError(
                Code.BAD_DATA,
                f"Film {film.id} is no normal: {film.dataset} {said}.",
                "Leave it out: a detector learns from normal films alone.",
            )
        if film.view == "lateral":
            raise XrayInterpError(Code.BAD_DATA, f"Film {film.id} is lateral.", "Leave it out.")
    images = as_images(squares(films, detail))
    return NormalSet(
        images, tuple(f"{f.dataset}/{f.id}" for f in films), tuple(f.patient for f in films), description, criterion
    )


def as_images(films: Tensor) -> Tensor:
    """Squares (N, d, d) uint8 as images (N, 1, d, d) in [0, 1]."""
    return films[:, None].to(torch.float32) / 255
