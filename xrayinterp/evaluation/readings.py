"""The five lamps measured: one function each, from a subject to a reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..attribution import Forward
from ..attribution.fills import BLUR
from ..attribution.registry import method_named
from ..attribution.target import Target
from ..errors import Code, XrayInterpError
from ..models.card import readable
from ..models.chest_model import ChestModel
from ..semantics import SemanticAttribution
from .class_sensitivity import against_films, against_findings, against_negated, other_findings
from .coverage import coverage
from .lamps import LAMPS, Reading
from .maps import map_or_nothing
from .perturbation import (
    FILLS,
    FRACTIONS,
    RIVALS,
    Deletion,
    Fill,
    at_size,
    by_value,
    highest,
    mean_height,
    moved,
    scores_after,
)
from .randomisation import POLICY, Randomised, Stage, cascade, stages
from .references import Films
from .similarity import Likeness, Map, as_read, constant, mean_likeness, mean_of, spearman
from .stability import HOLDS, NOISE, SHIFT, Changed, back_in_place, changed_films
from .words import sentence

CHANCE_COPIES = 7
"""Copies of a map, mirrored and turned, that say what two unrelated maps of its shape share."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What the lamps of several methods' maps share on one film.

    `settings`: those methods, with their options. `copies`, depth by depth: the model randomised, the same for all
    films. One depth at a time is run for all methods, since each forward's graph is large.
    """

    model: ChestModel
    x: Tensor
    settings: Mapping[str, Mapping[str, Any]]
    copies: Callable[[], Iterable[Randomised]]
    seed: int
    _stages: dict[int, dict[str, list[Stage]]] = field(default_factory=dict)

    def stages(self, target: Target, method: str) -> list[Stage]:
        """One method's maps of an output at every depth of randomisation; the first call makes those of all methods."""
        index = int(target.index)
        if index not in self._stages:
            found: dict[str, list[Stage]] = {name: [] for name in self.settings}
            for step in self.copies():
                forward = Forward(step.model, self.x)
                for name, options in self.settings.items():
                    found[name] += stages([(step, forward)], target, name, options)
            self._stages[index] = found
        return self._stages[index][method]

    @cached_property
    def changed(self) -> tuple[list[Changed], Forward]:
        """The film hardly changed, and all changes through the model."""
        return _changed(self.model, self.x, self.seed)


@dataclass(frozen=True, eq=False)
class Subject:
    """One method's map of one finding on one film, and what its lamps share; `shared` is what other maps share too."""

    forward: Forward
    model: ChestModel
    finding: str
    method: str
    settings: Mapping[str, Any]
    films: Films
    semantic: Callable[[], SemanticAttribution]
    seed: int
    shared: Shared | None = None

    @cached_property
    def target(self) -> Target:
        """The finding's logit."""
        return Target(self.model.index(self.finding))

    @cached_property
    def values(self) -> Tensor:
        """The map at its native grid, (1, 1, h, w)."""
        return map_or_nothing(self.forward, self.target, self.method, **self.settings)

    @cached_property
    def native(self) -> Map:
        """The map (h, w) as it is, signed."""
        plain: Map = self.values[0, 0].float().cpu().numpy()
        return plain

    @cached_property
    def full(self) -> Map:
        """The map (H, W) as it is read, over the model's input."""
        return as_read(self.method, torch.from_numpy(at_size(self.values[0, 0], self.forward.x)))

    @cached_property
    def film_maps(self) -> Tensor:
        """The finding's maps (n, 1, h, w) on the other films."""
        return torch.stack(self.films.maps(self.target, self.method, self.settings))

    @cached_property
    def logit(self) -> float:
        """The finding's logit on the film."""
        return float(self.forward.cut().logits.detach()[0, self.model.index(self.finding)])

    def stages(self) -> Iterable[Stage]:
        """The map at every depth of randomisation."""
        if self.shared is not None:
            return self.shared.stages(self.target, self.method)
        return cascade(self.model, self.forward.x, self.target, self.method, self.settings, seed=self.seed)

    def changed(self) -> tuple[list[Changed], Forward]:
        """The film hardly changed, and all changes through the model."""
        return _changed(self.model, self.forward.x, self.seed) if self.shared is None else self.shared.changed

    @cached_property
    def drops(self) -> dict[Fill, list[float]]:
        """What the logit loses when the map's highest values are filled: for each fill, at each of FRACTIONS."""
        ranked = by_value(self.full, seed=self.seed)
        cells = [Deletion(ranked[: round(share * len(ranked))], fill) for fill in FILLS for share in FRACTIONS]
        lost = [self.logit - score for score in scores_after(self.model, self.forward.x, cells, self.target)]
        return {fill: lost[i * len(FRACTIONS) : (i + 1) * len(FRACTIONS)] for i, fill in enumerate(FILLS)}


def follows_weights(subject: Subject) -> Reading:
    """Likeness of the map to those of ever more randomised models."""
    name = "follows-weights"
    own, found = Likeness(subject.native), []
    for stage in subject.stages():
        alike = own.to(stage.values[0, 0].float().cpu().numpy())
        found.append({"depth": stage.depth, "from": stage.block[0], **vars(alike)})
    magnitudes = np.abs(subject.native)
    reference = mean_of([spearman(magnitudes, copy) for copy in moved(magnitudes, CHANCE_COPIES, seed=subject.seed)])
    details = {"stages": found, "randomised": POLICY, "edges": 1.0, "seed": subject.seed}
    value = mean_likeness([stage["spearman_abs"] for stage in found])
    return _reading(subject, name, value, reference, details)


def follows_finding(subject: Subject) -> Reading:
    """Likeness of the map to those of other findings, beside the likeness between films."""
    name, outputs = "follows-finding", len(subject.model.findings)
    negated, constructed = against_negated(
        subject.forward, subject.values, subject.target, subject.method, subject.settings
    )
    details: dict[str, Any] = {"negated": negated, "negated_by_construction": constructed, "seed": subject.seed}
    others = other_findings(outputs, subject.model.index(subject.finding), seed=subject.seed)
    if not others:
        return _only_negated(subject, negated, constructed, details)
    pairs = against_findings(subject.forward, subject.values, others, subject.method, subject.settings)
    findings = {subject.model.findings[other]: rho for other, rho in pairs}
    films = against_films(subject.values, subject.film_maps, subject.method)
    details |= {"findings": findings, "films": films, "films_described": subject.films.described}
    value = mean_likeness(list(findings.values()))
    return _reading(subject, name, value, mean_of(films), details)


def stable(subject: Subject) -> Reading:
    """Likeness of the map to those of films hardly changed."""
    name, x = "stable", subject.forward.x
    changed, forward = subject.changed()
    maps = map_or_nothing(forward, subject.target, subject.method, **subject.settings)
    moves = (_logits(forward, subject.method)[:, subject.model.index(subject.finding)] - subject.logit).tolist()
    held = [(film, values) for film, values, move in zip(changed, maps, moves, strict=True) if abs(move) <= HOLDS]
    details: dict[str, Any] = {
        "score_changes": {film.name: move for film, move in zip(changed, moves, strict=True)},
        "shift": SHIFT,
        "noise": NOISE,
        "holds": HOLDS,
        "seed": subject.seed,
    }
    if not held:
        most = max(map(abs, moves))
        return not_measurable(name, f"the score itself moves, by up to {most:.2f}, when the film hardly does", details)
    drawn = [(film, as_read(subject.method, torch.from_numpy(at_size(values[0], x)))) for film, values in held]
    rhos = {film.name: back_in_place(subject.full, values, film.shift) for film, values in drawn}
    details["spearman"] = rhos
    value = mean_likeness(list(rhos.values()))
    own = as_read(subject.method, subject.values[0, 0])
    reference = mean_of([spearman(own, copy) for copy in moved(own, CHANCE_COPIES, seed=subject.seed)])
    return _reading(subject, name, value, reference, details)


def faithful(subject: Subject) -> Reading:
    """How often filling what the map marks lowers the score further than filling what a rival of its shape marks.

    Each rival is met at one fraction and fill, drawn so that all cells occur about equally often. The full table of 20
    rivals by 16 cells has this share as its mean and costs nine times as much; on three real films the draw had a
    standard deviation of 0.09.
    """
    cells = [(fill, share) for fill in FILLS for share in FRACTIONS]
    rivals = _rivals(subject)
    drawn = np.random.default_rng(subject.seed).permutation(np.arange(len(rivals)) % len(cells))

    def deletions() -> Iterator[Deletion]:
        for rival, cell in zip(rivals, drawn, strict=True):
            fill, share = cells[cell]
            yield Deletion(highest(rival, share, seed=subject.seed), fill)

    curves = subject.drops
    own = np.array([drop for curve in curves.values() for drop in curve])
    scores = scores_after(subject.model, subject.forward.x, deletions(), subject.target)
    others = subject.logit - np.array(list(scores))
    value = float(np.mean((own[drawn] > others) + 0.5 * (own[drawn] == others)))
    shares = [0.0, *FRACTIONS]
    details = {
        "fractions": list(FRACTIONS),
        "drops": dict(curves),
        "area": {fill: mean_height(shares, [0.0, *curve]) for fill, curve in curves.items()},
        "rivals": len(rivals),
        "drop_where_compared": float(own[drawn].mean()),
        "drop_of_rivals": float(others.mean()),
        "films_described": subject.films.described,
        "blur": BLUR,
        "seed": subject.seed,
    }
    return _reading(subject, "faithful", value, 0.5, details)


def covered_by_concepts(subject: Subject) -> Reading:
    """Share of the logit's parts that units of a known meaning give where they fire."""
    name = "covered-by-concepts"
    try:
        semantic = subject.semantic()
    except XrayInterpError as error:
        if error.code is not Code.UNKNOWN_LAYER:
            raise
        return not_measurable(name, "this model's score does not split into its units", {"reason": error.message})
    if not semantic.probes:
        return not_measurable(name, "no atlas says what this model's units respond to", {})
    found = coverage(subject.forward, subject.target, semantic)
    if found is None:
        return not_measurable(name, "no unit contributes anything to the score", {})
    details = {"units": found.units, "probes": list(semantic.probes)}
    return _reading(subject, name, found.above, found.labelled, details)


MEASURES: Mapping[str, Callable[[Subject], Reading]] = MappingProxyType(
    {
        "follows-weights": follows_weights,
        "follows-finding": follows_finding,
        "stable": stable,
        "faithful": faithful,
        "covered-by-concepts": covered_by_concepts,
    }
)
"""How each lamp is measured."""


def measured(subject: Subject, lamp: str) -> Reading:
    """One lamp's reading; a map without contrast has none, save the lamp that does not look at the map."""
    if lamp != "covered-by-concepts" and constant(subject.native):
        return not_measurable(lamp, "the map is the same everywhere", {"seed": subject.seed})
    return MEASURES[lamp](subject)


def not_measurable(lamp: str, why: str, details: Mapping[str, Any]) -> Reading:
    """A reading without a value, and why."""
    return Reading(lamp, "not-measurable", None, None, f"Not measurable: {why}.", details)


def _reading(subject: Subject, lamp: str, value: float, reference: float | None, details: Mapping[str, Any]) -> Reading:
    state = LAMPS[lamp].state(value)
    return Reading(
        lamp,
        state,
        value,
        reference,
        sentence(lamp, state, value, reference, readable(subject.finding).lower(), subject.films.described),
        details,
    )


def _only_negated(subject: Subject, negated: float | None, constructed: bool, details: Mapping[str, Any]) -> Reading:
    """A model of one output has no other finding; minus its logit is all there is to compare with."""
    name = "follows-finding"
    if constructed:
        finding = readable(subject.finding)
        words = f"{finding} is the model's only output, and the map against it is minus this map by construction."
        return Reading(name, "by-construction", negated, None, words, details)
    if negated is None:
        return not_measurable(name, "the map of minus the only output is constant", details)
    return _reading(subject, name, negated, None, details)


def _changed(model: ChestModel, x: Tensor, seed: int) -> tuple[list[Changed], Forward]:
    films = changed_films(x, model.scale, seed=seed)
    return films, Forward(model, torch.stack([film.x for film in films]))


def _logits(forward: Forward, method: str) -> Tensor:
    """The logits (N, F) of a forward, of the run that a map of this method has made already."""
    cut = method_named(method).family == "cam"
    return (forward.cut().logits if cut else forward.tape().logits).detach()


def _rivals(subject: Subject) -> list[Map]:
    """Maps of the same shape: this finding's on other films and their mirror images, then this map moved and turned."""
    others: list[Map] = []
    for values in subject.film_maps[: RIVALS // 4]:
        if not constant(values[0].float().cpu().numpy()):
            film = as_read(subject.method, torch.from_numpy(at_size(values[0], subject.forward.x)))
            others += [film, film[:, ::-1]]
    return [*others, *moved(subject.full, RIVALS - len(others), seed=subject.seed)]
