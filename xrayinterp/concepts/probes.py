"""Probe sets: which films, and which masks on them are which concept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np

from ..datasets.films import BoolMask, Film, FloatImage, load_films
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit, cut, frame
from .manifests import ProbeManifest, load_probe_manifest, probe_names
from .pasted import pasted_films
from .phantoms import PhantomFilm, phantom_films

__all__ = [
    "ConceptCount",
    "ProbeFilm",
    "ProbeSet",
    "load_probe_set",
    "mask_grid",
    "mask_grids",
    "normal_films",
    "probe_names",
]

Seen = Literal["yes", "no", "unknown"]
Box = tuple[int, int, int, int]
T = TypeVar("T")


class Pictured(Protocol):
    """What gives a film's pixels, float32 (H, W) in [0, 1], and masks by name, bool (C, H, W)."""

    def pixels(self) -> FloatImage: ...

    def masks(self, names: Sequence[str], /) -> BoolMask: ...


@dataclass(frozen=True)
class ProbeFilm:
    """A film with masks.

    `annotated` names the concepts that somebody looked for on this film: only there an empty mask means absence.
    `box` (left, top, width, height) is the part of the stored film in which masks are known; the film is cut to it,
    pixels and masks alike, so that no pixel counts whose concept nobody knows. None keeps the whole film.
    """

    id: str
    patient: str
    split: str
    dataset: str
    annotated: frozenset[str]
    picture: Pictured
    box: Box | None = None

    def pixels(self) -> FloatImage:
        """The film, float32 (H, W) in [0, 1]."""
        return np.ascontiguousarray(self.picture.pixels()[self._part])

    def masks(self, concepts: Sequence[str]) -> BoolMask:
        """The masks of several concepts, bool (C, H, W) on the grid of `pixels`; False where not annotated."""
        known = [concept for concept in concepts if concept in self.annotated]
        if not known:
            return np.zeros((len(concepts), *self.pixels().shape), dtype=bool)
        rows, columns = self._part
        found = np.asarray(self.picture.masks(known)[:, rows, columns])
        out: BoolMask = np.zeros((len(concepts), *found.shape[1:]), dtype=bool)
        out[[i for i, concept in enumerate(concepts) if concept in self.annotated]] = found
        return out

    def mask(self, concept: str) -> BoolMask:
        """The mask of one concept, bool (H, W)."""
        return np.asarray(self.masks((concept,))[0])

    def has_mask(self, concept: str) -> bool:
        """Whether somebody looked for the concept here; its mask may still be empty, which then means absence."""
        return concept in self.annotated

    @property
    def _part(self) -> tuple[slice, slice]:
        if self.box is None:
            return slice(None), slice(None)
        left, top, width, height = self.box
        return slice(top, top + height), slice(left, left + width)


@dataclass(frozen=True)
class ConceptCount:
    """How many films and patients show a concept (at least one pixel), and on how many films it was looked for."""

    films: int
    patients: int
    looked_for: int


@dataclass(frozen=True)
class ProbeSet:
    """Films whose masks say where concepts are.

    `anatomy` names the concepts that sit at about the same place on every film, so that position alone predicts them.
    `seen` maps a model's name (or "*" for any) to the splits its weights were fitted to. `provenance` holds title,
    source, licence, citation, notes, splits and how many films of how many there are.
    """

    name: str
    concepts: tuple[str, ...]
    films: tuple[ProbeFilm, ...]
    anatomy: tuple[str, ...] = ()
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)

    def seen_by(self, model: str, splits: Iterable[str] | None = None) -> Seen:
        """Whether a model's weights were fitted to any of these films, or of those in `splits`."""
        rule = self.seen.get(model, self.seen.get("*"))
        if rule is None:
            return "unknown"
        here = {film.split for film in self.films}
        return "yes" if (here if splits is None else here & set(splits)) & set(rule) else "no"

    @cached_property
    def counts(self) -> Mapping[str, ConceptCount]:
        """Films and patients behind each concept, read from the masks themselves once."""
        found = [film.masks(self.concepts).any(axis=(1, 2)) for film in self.films]
        shown = np.array(found, dtype=bool).reshape(len(self.films), len(self.concepts))
        return {
            concept: ConceptCount(
                films=int(shown[:, c].sum()),
                patients=len({film.patient for film, here in zip(self.films, shown[:, c], strict=True) if here}),
                looked_for=sum(film.has_mask(concept) for film in self.films),
            )
            for c, concept in enumerate(self.concepts)
        }


def load_probe_set(
    name: str,
    *,
    root: Path | None = None,
    splits: Iterable[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> ProbeSet:
    """The probe set `name`; nothing is read of the films yet.

    Args:
        name: one of `probe_names()`.
        root: data root; None takes XRAYINTERP_DATA. Not needed for `phantom` and `shortcuts`.
        splits: keep only films of these; None takes the manifest's, which are all unless it says otherwise.
        limit: keep at most this many films, drawn by `seed`, in their usual order.
        seed: draws the films kept by `limit`.

    Raises:
        XrayInterpError: `unknown-probes`, `data-missing` where the tables are not there, `bad-manifest`, `bad-option`
            for a limit below 1 or splits without a film.
    """
    if limit is not None and limit < 1:
        raise XrayInterpError(Code.BAD_OPTION, f"A probe set of {limit} films is empty.", "Ask for at least one.")
    manifest = load_probe_manifest(name)
    wanted = manifest.splits if splits is None else tuple(splits)
    films = _all_films(manifest, root)
    kept = [film for film in films if wanted is None or film.split in wanted]
    if films and not kept:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Probe set {name!r} has no film in split {', '.join(wanted or ())}.",
            f"It has: {', '.join(sorted({film.split for film in films}))}.",
        )
    drawn = _draw(kept, limit, seed)
    return ProbeSet(
        name=manifest.name,
        concepts=manifest.concepts,
        films=tuple(drawn),
        anatomy=manifest.anatomy,
        seen=manifest.seen,
        provenance=_provenance(manifest) | {"splits": wanted, "films": len(drawn), "of": len(films)},
    )


def _all_films(manifest: ProbeManifest, root: Path | None) -> list[ProbeFilm]:
    if manifest.pastes:
        return _pasted_films(manifest, root)
    return _phantom_films(manifest) if manifest.phantom else _films(manifest, root)


def _phantom_films(manifest: ProbeManifest) -> list[ProbeFilm]:
    """The generated films of a manifest with a `phantom` entry: each a body of its own, all in split "generated"."""
    annotated = frozenset(manifest.concepts)
    return [
        ProbeFilm(f"phantom-{film.seed}", f"phantom-{film.seed}", "generated", "phantom", annotated, film)
        for film in phantom_films(**manifest.phantom)
    ]


def _pasted_films(manifest: ProbeManifest, root: Path | None) -> list[ProbeFilm]:
    """The films of a manifest with a `pastes` entry: bodies without findings, or normal films of a data set."""
    rules, annotated = dict(manifest.pastes), frozenset(manifest.concepts)
    films, seed = rules.pop("films"), rules.pop("seed")
    if "dataset" not in rules:
        bodies = [PhantomFilm(seed + i, rules["size"], (), "AP" if i % 2 else "PA") for i in range(films)]
        return [
            ProbeFilm(f"shortcut-{b.seed}", f"phantom-{b.seed}", "generated", "phantom", annotated, pasted)
            for b, pasted in zip(bodies, pasted_films(bodies, seed), strict=True)
        ]
    found = load_films(rules.pop("dataset"), root=root, splits=manifest.splits, **rules)
    normal = _draw([film for film in found if film.normal], films, seed)
    return [
        ProbeFilm(f.id, f.patient, f.split, f.dataset, annotated, pasted)
        for f, pasted in zip(normal, pasted_films(normal, seed), strict=True)
    ]


def _films(manifest: ProbeManifest, root: Path | None) -> list[ProbeFilm]:
    return [
        _probe_film(film, manifest.concepts)
        for part in manifest.parts
        for film in load_films(part["dataset"], root=root)
        if part["annotation"] in film.annotated
    ]


def _probe_film(film: Film, concepts: Iterable[str]) -> ProbeFilm:
    known = frozenset(concepts) & frozenset(film.mask_bits)
    return ProbeFilm(film.id, film.patient, film.split, film.dataset, known, film, film.valid_box)


def _draw(films: Sequence[T], limit: int | None, seed: int) -> list[T]:
    if limit is None or limit >= len(films):
        return list(films)
    chosen = np.random.default_rng(seed).choice(len(films), size=limit, replace=False)
    return [films[i] for i in sorted(chosen)]


def _provenance(manifest: ProbeManifest) -> dict[str, object]:
    return {key: getattr(manifest, key) for key in ("title", "source", "licence", "citation", "notes")}


def normal_films(
    root: Path | None = None,
    split: str = "val",
    *,
    min_native_width: int = 128,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[ProbeFilm, ...]:
    """NIH films labelled No Finding: what contributions are contrasted with.

    Args:
        root: data root; None takes XRAYINTERP_DATA.
        split: the split they are of; val is neither fitted to nor reported on.
        min_native_width: width in pixels before storage from which a film counts.
        limit: keep at most this many, drawn by `seed`.
        seed: draws the films kept by `limit`.

    Raises:
        XrayInterpError: `data-missing` where the table is not there.
    """
    films = load_films("nih", root=root, splits=(split,), min_native_width=min_native_width)
    return tuple(_draw([_probe_film(film, ()) for film in films if film.normal], limit, seed))


def mask_grid(film: ProbeFilm, concepts: Sequence[str], fit: Fit, size: int) -> BoolMask:
    """Masks on a grid over the model's square: bool (C, size, size); see `mask_grids`."""
    return mask_grids(film.masks(concepts), fit, (size,))[0]


def mask_grids(masks: BoolMask, fit: Fit, sizes: Sequence[int]) -> list[BoolMask]:
    """Masks (C, H, W) of a film on several grids over the model's square: bool (C, size, size) each.

    The square is that of `imaging.geometry.frame`; each cell takes the mask's pixel under its centre (nearest
    neighbour, half-pixel centres). Outside the film, which `pad` shows as black, no concept is present.
    """
    height, width = masks.shape[1:]
    square = frame(height, width, fit)
    whole = np.stack([cut(mask, square) for mask in masks]).astype(bool)
    places = [((2 * np.arange(size) + 1) * square.side) // (2 * size) for size in sizes]
    return [whole[:, at[:, None], at] for at in places]
