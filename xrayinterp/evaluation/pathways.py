"""Do path finders agree, and what do they keep? Overlap, dead neurons and response, on one film and over films."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..attribution.forward import Forward
from ..attribution.pathways import Pathway, Quota, make_search, paths_of
from ..attribution.target import Target, as_target
from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel

Floats = npt.NDArray[np.float64]

SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Where retention is read."""


@dataclass(frozen=True)
class Candidate:
    """A finder as it takes part in a comparison: `label` names it, `options` are fields of `Search`."""

    label: str
    finder: str
    options: Mapping[str, Any] = field(default_factory=dict)


CANDIDATES: Mapping[str, Candidate] = MappingProxyType(
    {
        one.label: one
        for one in (
            Candidate("marginal_taylor", "marginal_taylor"),
            Candidate("integrated", "integrated"),
            Candidate("iterative", "iterative"),
            Candidate("distillation_guided, gates 1", "distillation_guided", {"gates": "ones", "iterations": 100}),
            Candidate(
                "distillation_guided, random",
                "distillation_guided",
                {"gates": "random", "iterations": 100, "attempts": 3},
            ),
            Candidate("greedy", "greedy"),
            Candidate("random", "random"),
            Candidate("active", "active"),
        )
    }
)
"""The finders compared unless others are given, by label.

Distillation is published with 1,000 steps and up to 100 attempts; after the 100 taken here gates are still near their
start, which shows above all where they were random.
"""

QUICK = ("marginal_taylor", "iterative", "greedy", "random", "active")
"""Labels of the candidates that need some forwards only; the others need hundreds."""


@dataclass(frozen=True)
class Site:
    """One ReLU site: its units (channels) and its grid, 1 x 1 for a fully connected layer."""

    number: int
    units: int
    height: int
    width: int


@dataclass(frozen=True)
class PathFigures:
    """One path in figures.

    `sparsity` as asked and as `reached`. `retention` is 1 for the response of the whole network and 0 for that of none
    of it, NaN where these are the same. `dead_share`: of what stays, the part that is dead in the whole network.
    `occupancy` (L,): the part of each ReLU site that stays; `emptied` counts sites where nothing does.
    """

    label: str
    sparsity: float
    reached: float
    logit: float
    pruned_logit: float
    retention: float
    dead_share: float
    occupancy: Floats
    emptied: int


@dataclass(frozen=True)
class FinderComparison:
    """Paths of several finders for one film, target and sparsity.

    `jaccard` (F, F): neurons on both paths over neurons on either, all sites together; `jaccard_by_site` (L, F, F), NaN
    where both paths leave a site empty. `chance` (F, F): the Jaccard index of random masks with the same occupancy of
    every site. `dead_share`: of all neurons. `missing`: why a candidate has no path, by label; the rest leaves it out.
    """

    sites: tuple[Site, ...]
    paths: tuple[PathFigures, ...]
    jaccard: Floats
    jaccard_by_site: Floats
    chance: Floats
    dead_share: float
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the finders, in the order of the matrices."""
        return tuple(path.label for path in self.paths)


def compare_finders(
    model: nn.Module | ChestModel,
    x: Tensor,
    target: int | Target,
    candidates: Sequence[Candidate | str] = QUICK,
    *,
    sparsity: float = 0.9,
    quota: Quota = "global",
    seed: int = 0,
) -> FinderComparison:
    """Find the path by each candidate for one film x (1, C, H, W) and compare them pair by pair.

    Raises:
        XrayInterpError: `bad-option` for more than one film, `unknown-method`, `no-pathway` where no candidate has one.
    """
    forward = _one_film(model, x)
    found: dict[str, Pathway] = {}
    missing: dict[str, str] = {}
    for one in _chosen(candidates):
        try:
            found[one.label] = candidate_paths(forward, as_target(target), one, [sparsity], quota=quota, seed=seed)[0]
        except XrayInterpError as error:
            if error.code is not Code.NO_PATHWAY:
                raise
            missing[one.label] = error.message
    if not found:
        raise XrayInterpError(Code.NO_PATHWAY, " ".join(missing.values()), "Compare other finders.")
    paths = list(found.values())
    both, either, chance = _overlaps(paths)
    with np.errstate(invalid="ignore"):
        by_site = both / either
    figures = tuple(_figures(label, path) for label, path in found.items())
    dead = float(paths[0].dead.sum() / paths[0].neurons.sum())
    return FinderComparison(
        _sites(paths[0]), figures, _ratio(both.sum(0), either.sum(0)), by_site, _ratio(*chance), dead, missing
    )


def retention_curves(
    model: nn.Module | ChestModel,
    x: Tensor,
    target: int | Target,
    candidates: Sequence[Candidate | str] = QUICK,
    *,
    sparsities: Sequence[float] = SPARSITIES,
    quota: Quota = "global",
    seed: int = 0,
) -> dict[str, tuple[PathFigures, ...]]:
    """Figures of each candidate's paths for one film at several sparsities, by label.

    Raises:
        XrayInterpError: as `compare_finders`, and `no-pathway` where a candidate has none.
    """
    forward = _one_film(model, x)
    return {
        one.label: tuple(
            _figures(one.label, path)
            for path in candidate_paths(forward, as_target(target), one, sparsities, quota=quota, seed=seed)
        )
        for one in _chosen(candidates)
    }


def candidate_paths(
    forward: Forward,
    target: Target,
    candidate: Candidate | str,
    sparsities: Sequence[float],
    *,
    quota: Quota = "global",
    seed: int = 0,
) -> tuple[Pathway, ...]:
    """A candidate's paths of one forward at each sparsity.

    Raises:
        XrayInterpError: `unknown-method`; `no-pathway` where it finds none.
    """
    (one,) = _chosen([candidate])
    return paths_of(forward, target, one.finder, sparsities, make_search(quota, seed, one.options))


def jaccard(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Jaccard index of two paths' masks, all sites together; NaN if both are empty."""
    both = sum(int((a & b).sum()) for a, b in zip(first, second, strict=True))
    either = sum(int((a | b).sum()) for a, b in zip(first, second, strict=True))
    return both / either if either else float("nan")


def _one_film(model: nn.Module | ChestModel, x: Tensor) -> Forward:
    forward = Forward(model, x)
    if len(x) != 1:
        raise XrayInterpError(Code.BAD_OPTION, f"{len(x)} films were given.", "Paths are compared on one film.")
    return forward


def _chosen(candidates: Sequence[Candidate | str]) -> list[Candidate]:
    unknown = [one for one in candidates if isinstance(one, str) and one not in CANDIDATES]
    if unknown or not candidates:
        raise XrayInterpError(
            Code.UNKNOWN_METHOD,
            f"There is no path finder {unknown[0]!r} to compare." if unknown else "No path finder was given.",
            f"There are: {', '.join(CANDIDATES)}.",
        )
    return [CANDIDATES[one] if isinstance(one, str) else one for one in candidates]


def _figures(label: str, path: Pathway) -> PathFigures:
    return PathFigures(
        label,
        path.sparsity,
        float(path.reached),
        float(path.logit),
        float(path.pruned_logit),
        float(path.retention),
        float(path.dead_share),
        path.occupancy[0].double().numpy(),
        int((path.kept == 0).sum()),
    )


def _sites(path: Pathway) -> tuple[Site, ...]:
    shapes = [(*mask.shape[1:], 1, 1)[:3] for mask in path.masks]
    return tuple(Site(number, *shape) for number, shape in enumerate(shapes))


def _overlaps(paths: Sequence[Pathway]) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Neurons on both and on either path, (L, F, F) each, and what to expect of both by chance, (F, F) each."""
    both = np.stack([_products(masks) for masks in zip(*(path.masks for path in paths), strict=True)])
    kept = torch.cat([path.kept for path in paths]).double().numpy().T  # (L, F)
    sums = kept[:, :, None] + kept[:, None, :]
    expected = (kept[:, :, None] * kept[:, None, :] / paths[0].neurons.double().numpy()[:, None, None]).sum(0)
    return both, sums - both, (expected, sums.sum(0) - expected)


def _products(masks: Sequence[Tensor]) -> Floats:
    """How many neurons of one site each two masks share, (F, F); exact, as counts stay below 2^24."""
    rows = torch.stack([mask.flatten() for mask in masks]).double()
    product: Floats = (rows @ rows.T).cpu().numpy()
    return product


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        ratio: Floats = above / below
    return ratio


@dataclass(frozen=True)
class FinderMeans:
    """Means over films, each counting once where the finders have a path on it.

    `films` (F,): how many those are. `jaccard`, `chance` (F, F); NaN where no film has both paths.
    """

    labels: tuple[str, ...]
    films: tuple[int, ...]
    jaccard: Floats
    chance: Floats


def mean_over_films(comparisons: Sequence[FinderComparison]) -> FinderMeans:
    """Overlap of the paths of several films; finders in the order of their first appearance."""
    labels = tuple(dict.fromkeys(label for one in comparisons for label in one.labels))
    found = {name: np.full((len(comparisons), len(labels), len(labels)), np.nan) for name in ("jaccard", "chance")}
    for n, one in enumerate(comparisons):
        places = [labels.index(label) for label in one.labels]
        for name, stack in found.items():
            stack[n][np.ix_(places, places)] = getattr(one, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pairs without a film
        means = {name: np.nanmean(stack, axis=0) for name, stack in found.items()}
    films = tuple(sum(label in one.labels for one in comparisons) for label in labels)
    return FinderMeans(labels, films, means["jaccard"], means["chance"])
