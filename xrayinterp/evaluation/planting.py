"""Small nets whose cause is known pixel by pixel: a thing pasted on films in step with their label.

On films where a paste goes with the label and nothing else about it does, a net learns the paste: the odds of the label
change by (p/q) ((1-q)/(1-p)) when it is put on a film, p and q being the shares of positive and negative films that
bear it. Whether the net did learn it is measured, not assumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from ..concepts.shortcuts import SHORTCUTS, paste
from ..datasets.films import Film, load_films
from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet, DenseNetShape
from ..models.card import Card, Interval
from ..models.chest_model import ChestModel
from ..models.layout import dissection_layers
from ..training.augment import Augmentation
from ..training.embedded import trained
from ..training.films import TrainingSet, any_finding, finding_targets, squares
from ..training.loop import Recipe, Stage, predict
from ..training.measure import Scored, auroc_interval
from .statistics import mean_interval

Labels = npt.NDArray[np.bool_]
Masks = npt.NDArray[np.bool_]

ANY = "any finding"
CONTROL = "control"
"""Name of a planting that teaches nothing."""
SIZE = 112
"""Side of films and inputs in pixels; with three blocks the last maps are 7 by 7, as a DenseNet's at 224."""
DETAIL = 128
"""Films narrower than this before storage are left out."""
STILL = Augmentation(rotation=4, zoom=0.04, shift=0.02, contrast=0.15, gamma=0.15, mirror=0.0)
"""Gentle enough that a paste near the border stays on the film."""
RECIPE = Recipe(
    "planted",
    DenseNetShape(growth=8, blocks=(2, 4, 4), stem=16),
    (Stage(SIZE, 10),),
    scored=1,
    batch=32,
    average=0.98,
    augmentation=STILL,
)
_SPLIT_SEEDS = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Planting:
    """What is pasted on which films.

    `shortcuts`: a film that bears a paste bears one of these, in turn. `in_positive`, `in_negative`: shares of the
    films with and without the label that bear one; equal shares make a control, from which nothing can be learned.
    """

    shortcuts: tuple[str, ...]
    in_positive: float = 0.9
    in_negative: float = 0.1
    finding: str = ANY
    seed: int = 0

    def __post_init__(self) -> None:
        strangers = [name for name in self.shortcuts if name not in SHORTCUTS]
        if strangers or not self.shortcuts:
            raise XrayInterpError(
                Code.BAD_OPTION, f"{strangers or 'Nothing'} cannot be planted.", f"Known: {', '.join(SHORTCUTS)}."
            )
        if not (0 <= self.in_positive <= 1 and 0 <= self.in_negative <= 1) or self.seed < 0:
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"Shares {self.in_positive} and {self.in_negative} with seed {self.seed} cannot be planted.",
                "Shares lie in 0 to 1, seeds start at 0.",
            )

    @property
    def name(self) -> str:
        """The shortcut, or CONTROL where pastes do not go with the label."""
        return CONTROL if self.in_positive == self.in_negative else "+".join(self.shortcuts)

    @property
    def log_odds(self) -> float:
        """By how much the label's log odds rise when a film without a paste is given one."""
        with np.errstate(divide="ignore"):
            p, q = (np.log(share) - np.log1p(-share) for share in (self.in_positive, self.in_negative))
        return float(p - q)


def control(planting: Planting, shortcuts: Sequence[str] | None = None) -> Planting:
    """The same with half of all films bearing one of the shortcuts, whatever their label."""
    return replace(planting, shortcuts=tuple(shortcuts or planting.shortcuts), in_positive=0.5, in_negative=0.5)


@dataclass(frozen=True)
class Plain:
    """Films without pastes: uint8 (N, d, d), labels (N,), and whose they are."""

    films: Tensor
    labels: Labels
    patients: tuple[str, ...]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.films)


@dataclass(frozen=True)
class Cases:
    """Films in two states, without and with one `shortcut`, whose pixels `masks` (N, d, d) mark."""

    shortcut: str
    plain: Plain
    pasted: Tensor
    masks: Masks

    @property
    def digest(self) -> str:
        """Eight digits of the pasted films' bytes."""
        return hashlib.sha256(self.pasted.numpy().tobytes()).hexdigest()[:8]

    def inputs(self, keep: npt.NDArray[np.intp]) -> Tensor:
        """Model inputs (n, 1, d, d) in [-1, 1] of pasted films."""
        return self.pasted[torch.from_numpy(keep), None].float() / 255 * 2 - 1


@dataclass(frozen=True)
class Use:
    """Whether a net uses a shortcut, on films it has not seen.

    `effect`: mean change of the logit when the paste is put on; `asked`: what the planted odds ask for.
    `auroc_plain`: of the label on films without pastes; `auroc_planted`: with pastes as in training; `auroc_swapped`:
    with pastes on the films of the other label.
    """

    shortcut: str
    net: str
    effect: Interval
    asked: float
    auroc_plain: Interval | None
    auroc_planted: Interval | None
    auroc_swapped: Interval | None
    films: int
    patients: int


@dataclass(frozen=True)
class PlantedNet:
    """A trained net and what was planted in its films."""

    model: ChestModel
    planting: Planting
    recipe: Recipe = field(repr=False)


def plain_films(split: str, finding: str = ANY, *, limit: int | None = None, seed: int = 0) -> Plain:
    """NIH films of a split with their label; `limit` keeps at most half as many of each label, drawn by `seed`.

    Raises:
        XrayInterpError: `data-missing` without the data set, `unknown-finding`.
    """
    films = load_films("nih", splits=[split], min_native_width=DETAIL)
    labels = _labels(films, finding)
    if limit is not None:
        draw = np.random.default_rng([seed, 5])
        kept = np.concatenate(
            [draw.permutation(np.flatnonzero(labels == side))[: limit // 2] for side in (True, False)]
        )
        films, labels = [films[i] for i in sorted(kept)], labels[np.sort(kept)]
    return Plain(squares(films, SIZE), labels, tuple(f.patient for f in films), tuple(f.id for f in films))


def _labels(films: Sequence[Film], finding: str) -> Labels:
    if finding == ANY:
        return np.asarray(any_finding(films)[:, 0] > 0.5)
    known = films[0].labels
    if finding not in known:
        raise XrayInterpError(
            Code.UNKNOWN_FINDING, f"NIH films have no label {finding!r}.", f"Known: {', '.join([ANY, *known])}."
        )
    return np.asarray(finding_targets(films, [finding])[:, 0] > 0.5)


def bears(labels: Labels, planting: Planting, seed: int) -> Labels:
    """Which films are to bear a paste (N,): exactly the asked shares, rounded to films, drawn by `seed`."""
    draw = np.random.default_rng([seed, 6])
    chosen = np.zeros(len(labels), dtype=bool)
    for side, share in ((True, planting.in_positive), (False, planting.in_negative)):
        films = np.flatnonzero(labels == side)
        chosen[draw.permutation(films)[: round(share * len(films))]] = True
    return chosen


def pasted(films: Tensor, names: Sequence[str | None], seed: int) -> tuple[Tensor, Masks]:
    """Films uint8 (N, d, d) with the shortcut of that name on each, where there is one, and the pixels it covers."""
    out, masks = films.clone(), np.zeros(tuple(films.shape), dtype=bool)
    for i, name in enumerate(track(names, "pasting", transient=True)):
        if name is not None:
            done = paste(name, films[i].numpy().astype(np.float32) / np.float32(255), seed * 1_000_000 + i)
            out[i] = torch.from_numpy((done.pixels * 255).round().astype(np.uint8))
            masks[i] = done.mask
    return out, masks


def planted_set(plain: Plain, planting: Planting, split: str) -> TrainingSet:
    """The films of a split with pastes in step with their label."""
    seed = planting.seed * len(_SPLIT_SEEDS) + _SPLIT_SEEDS[split]
    where = np.flatnonzero(bears(plain.labels, planting, seed))
    names: list[str | None] = [None] * len(plain)
    for turn, i in enumerate(where):
        names[i] = planting.shortcuts[turn % len(planting.shortcuts)]
    films, _ = pasted(plain.films, names, seed)
    targets = torch.from_numpy(plain.labels.astype(np.float32))[:, None]
    return TrainingSet(films, targets, (planting.finding,), plain.patients)


def held_out(plain: Plain, shortcut: str, seed: int = 0) -> Cases:
    """Those films without and with a shortcut on each."""
    films, masks = pasted(plain.films, [shortcut] * len(plain), seed * len(_SPLIT_SEEDS) + _SPLIT_SEEDS["test"])
    return Cases(shortcut, plain, films, masks)


def planted_net(planting: Planting, train: Plain, val: Plain, recipe: Recipe = RECIPE) -> PlantedNet:
    """The net trained on planted films; kept in the training folder under a name that tells runs apart.

    A broken run goes on after its last epoch, a finished one is read.
    """
    named = replace(recipe, name=f"planted-{planting.name}-{_digest(planting, recipe, train, val)}", seed=planting.seed)
    plain = {"train": train, "val": val}
    module = trained(named, lambda split: planted_set(plain[split], planting, split))
    return PlantedNet(_chest_model(module, planting, named), planting, named)


def use(net: PlantedNet, cases: Cases) -> Use:
    """How a net's logit and AUROC follow a shortcut on films it has not seen."""
    plain, there = (logits(net, films) for films in (cases.plain.films, cases.pasted))
    labels, patients = cases.plain.labels, cases.plain.patients
    planting = replace(net.planting, shortcuts=(cases.shortcut,))
    swapped = replace(planting, in_positive=planting.in_negative, in_negative=planting.in_positive)

    def area(scores: npt.NDArray[np.float64]) -> Interval | None:
        return auroc_interval(Scored(labels.astype(np.float64), scores, patients))

    def mixed(rule: Planting) -> npt.NDArray[np.float64]:
        return np.where(bears(labels, rule, rule.seed), there, plain)

    effect = mean_interval(there - plain, patients)
    if effect is None:
        raise XrayInterpError(Code.DATA_MISSING, "There are no films to test the net on.", "Raise the limit.")
    areas = area(plain), area(mixed(planting)), area(mixed(swapped))
    return Use(cases.shortcut, net.planting.name, effect, planting.log_odds, *areas, len(labels), len(set(patients)))


def logits(net: PlantedNet, films: Tensor) -> npt.NDArray[np.float64]:
    """The net's logit of each film uint8 (N, d, d): (N,)."""
    return predict(net.model.module, films, SIZE)[:, 0].astype(np.float64)


def _digest(planting: Planting, recipe: Recipe, train: Plain, val: Plain) -> str:
    """Eight digits of all that a run depends on: rules, films, and how pastes are drawn."""
    drawn, _ = pasted(val.films[:8], list(islice(cycle(planting.shortcuts), len(val.films[:8]))), 0)
    facts = [asdict(planting), asdict(recipe), train.ids, val.ids, drawn.flatten().tolist()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def _chest_model(module: DenseNet, planting: Planting, recipe: Recipe) -> ChestModel:
    where = f"{' or '.join(planting.shortcuts)} on {planting.in_positive:.0%} of films with {planting.finding}"
    data = f"NIH films with a pasted {where}, {planting.in_negative:.0%} without"
    return ChestModel(
        name=recipe.name,
        module=module.requires_grad_(False).eval(),
        findings=(planting.finding,),
        layers=dissection_layers(recipe.shape, SIZE),
        size=SIZE,
        scale=1.0,
        detail=None,
        task="findings",
        card=Card(recipe.name, data, "none", "Apache-2.0", (), sha256=None),
    )
