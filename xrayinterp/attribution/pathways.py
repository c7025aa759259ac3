"""Critical pathways: few neurons whose response to one film is that of the whole network (Khakzar et al. 2021).

A neuron is one element of one ReLU's output; a pathway is a binary mask over all of them, and the pruned network f^m
multiplies every ReLU's output by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel
from .forward import Forward
from .pathway_finders import FINDERS, Finder, Masks, finder_named
from .pathway_linear import LinearRegion, first_kink, linear_region
from .pathway_masks import PrunedForward, Quota
from .pathway_search import Search, refuse
from .target import Target, as_target

__all__ = [
    "FINDERS",
    "Finder",
    "LinearRegion",
    "Pathway",
    "Quota",
    "Search",
    "first_kink",
    "linear_region",
    "pathway",
    "pathways_at",
]


@dataclass(frozen=True, eq=False)
class Pathway:
    """The neurons that a finder keeps for one target on N films, and what is left of the response.

    `masks`: bool (N, ...), one a ReLU site in call order. `sparsity`: the share of neurons to be removed, as asked.
    `neurons` (L,): how many each of the L sites has; `kept`, `dead` and `kept_dead` (N, L): how many stay, how many the
    whole network leaves at 0, and how many are both. `logit`, `pruned_logit` and `empty_logit` (N,): the signed target
    of the whole network, of the pruned one, and with every neuron removed (the output's bias, for most networks).
    `module` and `x`: the whole network, and the films.
    """

    method: str
    sparsity: float
    search: Search
    masks: Masks
    neurons: Tensor
    kept: Tensor
    dead: Tensor
    kept_dead: Tensor
    logit: Tensor
    pruned_logit: Tensor
    empty_logit: Tensor
    module: nn.Module = field(repr=False)
    x: Tensor = field(repr=False)

    def linear_region(self, film: int = 0, *, directions: int | None = 32, seed: int = 0) -> LinearRegion:
        """The region around a film in which the network that stays is linear: the function of that name on the path."""
        masks = [mask if len(mask) == 1 else mask[film : film + 1] for mask in self.masks]
        return linear_region(self.module, self.x[film : film + 1], masks, directions=directions, seed=seed)

    @property
    def reached(self) -> Tensor:
        """The share of neurons that was removed, (N,)."""
        return 1 - self.kept.sum(1) / self.neurons.sum()

    @property
    def occupancy(self) -> Tensor:
        """The share of each site's neurons that stays, (N, L)."""
        return self.kept / self.neurons

    @property
    def dead_share(self) -> Tensor:
        """The share of what stays that is dead in the whole network, (N,); 0 where nothing stays."""
        return self.kept_dead.sum(1) / self.kept.sum(1).clamp(min=1)

    @property
    def retention(self) -> Tensor:
        """(f^m - f^0) / (f - f^0), f^0 with every neuron removed: 1 for the whole network, 0 for none of it; (N,).

        Where the output has no bias this is f^m / f. NaN where removing everything changes nothing.
        """
        whole = self.logit - self.empty_logit
        return torch.where(whole == 0, torch.nan, (self.pruned_logit - self.empty_logit) / whole)


def pathway(
    model: nn.Module | ChestModel,
    x: Tensor,
    target: int | Tensor | Target,
    method: str,
    sparsity: float,
    *,
    quota: Quota = "global",
    seed: int = 0,
    **search: Any,
) -> Pathway:
    """The pathway that a finder gives for a target at one sparsity.

    Args:
        model: any ReLU network with (N, classes) outputs in eval mode, or a ChestModel; it is left as it was.
        x: inputs (N, C, H, W).
        target: an output's index, a tensor of one index a film, or `Target(index, sign=-1)`.
        method: a name in `FINDERS`.
        sparsity: share of neurons to remove, 0 to below 1. `active` knows only one, whatever is asked.
        quota: over all ReLU sites together, or at each.
        seed: of whatever is drawn by lot.
        search: further fields of `Search`.

    Raises:
        XrayInterpError: `unknown-method`, `bad-option`, or `no-pathway` (see `Search` and the finder).
    """
    return pathways_at(model, x, target, method, [sparsity], quota=quota, seed=seed, **search)[0]


def pathways_at(
    model: nn.Module | ChestModel,
    x: Tensor,
    target: int | Tensor | Target,
    method: str,
    sparsities: Sequence[float],
    *,
    quota: Quota = "global",
    seed: int = 0,
    **search: Any,
) -> tuple[Pathway, ...]:
    """`pathway` at several sparsities; a finder that ranks neurons does so once."""
    return paths_of(Forward(model, x), as_target(target), method, sparsities, make_search(quota, seed, search))


def make_search(quota: Quota, seed: int, further: Mapping[str, Any]) -> Search:
    """A Search of those options.

    Raises:
        XrayInterpError: `bad-option` for a name or a value that there is not.
    """
    known = {field.name for field in fields(Search)}
    for name in further:
        if name not in known:
            raise XrayInterpError(
                Code.BAD_OPTION, f"A pathway has no option {name!r}.", f"Its options: {', '.join(sorted(known))}."
            )
    return Search(quota=quota, seed=seed, **further)


def paths_of(
    forward: Forward, target: Target, method: str, sparsities: Sequence[float], search: Search
) -> tuple[Pathway, ...]:
    """`pathways_at` for a Forward, whose tape serves every finder and target."""
    for sparsity in sparsities:
        if not 0 <= sparsity < 1:
            refuse("sparsity", sparsity, "a share of neurons, 0 to below 1")
    found = finder_named(method).masks(forward, target, sparsities, search)
    tape = forward.tape()
    dead = [(a.detach() <= 0).flatten(1) for a in tape.activations]
    empty = PrunedForward(forward, [d.new_zeros(1) for d in dead]).logits(forward.x)
    return tuple(
        Pathway(
            method,
            sparsity,
            search,
            masks,
            torch.tensor([d.shape[1] for d in dead]),
            _counts([mask.flatten(1) for mask in masks]),
            _counts(dead),
            _counts([mask.flatten(1) & d for mask, d in zip(masks, dead, strict=True)]),
            target_values(target, tape.logits.detach()),
            target_values(target, PrunedForward(forward, masks).logits(forward.x)),
            target_values(target, empty),
            forward.module,
            forward.x,
        )
        for sparsity, masks in zip(sparsities, found, strict=True)
    )


def target_values(target: Target, logits: Tensor) -> Tensor:
    """The signed target logit of each film, (N,)."""
    index = torch.as_tensor(target.index, device=logits.device).expand(len(logits))
    return target.sign * logits.gather(1, index[:, None].long())[:, 0]


def _counts(sites: Sequence[Tensor]) -> Tensor:
    """How many are True for each film and site, (N, L), on the CPU."""
    return torch.stack([site.sum(1) for site in sites], 1).cpu()
