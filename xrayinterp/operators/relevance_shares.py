"""How relevance is shared out at one operator: in proportion to the parts of a sum it goes on to the inputs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from .relevance_rules import AlphaBeta, Bounded, Composite, Epsilon, Flat, Rule


@dataclass(frozen=True, eq=False)
class Mix:
    """A sum z with a graph to its `sources`, linear in each; `bias`, if any, is the part of z that is no source's.

    `sign`: 1 or -1 where z is nowhere below or above 0; otherwise 0.
    """

    sources: tuple[Tensor, ...]
    z: Tensor
    bias: Tensor | None = None
    sign: int = 0


@dataclass(frozen=True, eq=False)
class Lost:
    """Relevance that reaches no input, film by film (N,): what biases took, and what denominators near 0 swallowed."""

    biases: Tensor
    denominators: Tensor

    def __add__(self, other: Lost) -> Lost:
        return Lost(self.biases + other.biases, self.denominators + other.denominators)


@dataclass(frozen=True, eq=False)
class Passing:
    """One way down: its rules, whether the score is minus a logit, and a ledger of what is lost, if one is kept."""

    rules: Composite
    minus: bool = False
    ledger: list[Lost] | None = None


class Operator(Protocol):
    """What relevance meets on its way down.

    `linear`: minus its output is what it makes of minus its inputs or weights. `head`: nothing but linear operators
    without weights lies between it and the logits.
    """

    linear: bool
    head: bool

    def receive(self, R: Tensor, passing: Passing) -> tuple[Tensor, ...]:
        """What of R, arriving at the output, goes on to each input."""


def share(mix: Mix, R: Tensor, epsilon: float, passing: Passing) -> tuple[Tensor, ...]:
    """What each source receives: its part of z / (z + epsilon sign z), times R."""
    with torch.no_grad():
        D = _stabilised(mix, epsilon)
        s = torch.div(R, D, out=D)
    slopes = torch.autograd.grad(mix.z, mix.sources, s, retain_graph=True)
    if passing.ledger is not None:
        taken = torch.zeros_like(s) if mix.bias is None else s * mix.bias
        passing.ledger.append(Lost(taken.flatten(1).sum(1), (R - s * mix.z.detach()).flatten(1).sum(1)))
    with torch.no_grad():
        if len(slopes) == 1 and slopes[0].is_contiguous():  # memory of its own; that of a plain sum is expanded
            return (slopes[0].mul_(mix.sources[0]),)
        return tuple(source * slope for source, slope in zip(mix.sources, slopes, strict=True))


def _stabilised(mix: Mix, epsilon: float) -> Tensor:
    """z, in memory of its own, kept from 0; at epsilon 0 infinite where z = 0, so that nothing passes there."""
    z = mix.z
    if not epsilon:
        return torch.where(z == 0, torch.inf, z)
    return z + mix.sign * epsilon if mix.sign else torch.copysign(z.new_tensor(epsilon), z).add_(z)


@dataclass(eq=False)
class Through:
    """One input, to which all of R goes: a ReLU, a constant factor. `shape` is the input's."""

    shape: torch.Size
    linear: bool
    head: bool = False

    def receive(self, R: Tensor, passing: Passing) -> tuple[Tensor, ...]:
        """All of R, summed where the input was broadcast."""
        return (R.sum_to_size(self.shape),)


@dataclass(eq=False)
class Sum:
    """An average or a sum of maps, without weights: `apply` computes it of its inputs, `forward` is what it gave.

    `monotone`: no input enters with a negative factor.
    """

    apply: Callable[..., Tensor]
    forward: Mix
    monotone: bool
    nonnegative: bool
    linear: bool = True
    head: bool = False
    _halves: tuple[Mix, Mix] | None = None

    def receive(self, R: Tensor, passing: Passing) -> tuple[Tensor, ...]:
        """R in proportion to what each input adds."""
        rule = passing.rules.sums
        if isinstance(rule, Epsilon) or self.nonnegative or not self.monotone:
            return share(self.forward, R, rule.epsilon, passing)
        if self._halves is None:
            self._halves = self._half(0.0, torch.inf, 1), self._half(-torch.inf, 0.0, -1)
        above = self.forward.z.detach() >= 0
        positive, negative = (
            share(half, R * chosen, rule.epsilon, passing)
            for half, chosen in zip(self._halves, (above, ~above), strict=True)
        )
        return tuple(p + n for p, n in zip(positive, negative, strict=True))

    def _half(self, low: float, high: float, sign: int) -> Mix:
        """The part of the sum that inputs within [low, high] make."""
        with torch.enable_grad():
            leaves = tuple(source.detach().clamp(low, high).requires_grad_() for source in self.forward.sources)
            return Mix(leaves, self.apply(*leaves), sign=sign)


@dataclass(eq=False)
class Shift:
    """One input to which constants are added: batch normalisation or a plain sum. `mix` is built when asked for."""

    shape: torch.Size
    mix: Callable[[], Mix]
    linear: bool = True
    head: bool = False

    def receive(self, R: Tensor, passing: Passing) -> tuple[Tensor, ...]:
        """All of R, or the input's part of it."""
        if passing.rules.norm == "pass":
            return (R.sum_to_size(self.shape),)
        with torch.enable_grad():
            mix = self.mix()
        return share(mix, R, passing.rules.sums.epsilon, passing)


@dataclass(eq=False)
class Weighted:
    """A convolution or linear map of x; `apply(x, w, b)` computes it, `forward` is what the network computed.

    `nonnegative`: x >= 0, so that half of every signed rule is zero. `first`: x is the network's input.
    """

    kind: Literal["dense", "convolution"]
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    forward: Mix
    nonnegative: bool
    first: bool
    linear: bool = True
    head: bool = False
    _mixes: dict[Hashable, Mix] = field(default_factory=dict)

    def receive(self, R: Tensor, passing: Passing) -> tuple[Tensor, ...]:
        """R by the rule that is this operator's in `passing.rules`."""
        rule = self._rule(passing.rules)
        minus = passing.minus and self.head
        received = [
            part
            for factor, mix in self._terms(rule, minus)
            for part in share(mix, R if factor == 1 else factor * R, rule.epsilon, passing)
        ]
        return (received[0] if len(received) == 1 else torch.stack(received).sum(0),)

    def _rule(self, rules: Composite) -> Rule:
        if self.first and rules.first is not None:
            return rules.first
        return rules.dense if self.kind == "dense" else rules.convolution

    def _terms(self, rule: Rule, minus: bool) -> list[tuple[float, Mix]]:
        """The sums that a rule shares by, each with its factor."""
        if isinstance(rule, Epsilon):
            return [(1.0, self.forward)]
        if isinstance(rule, AlphaBeta):
            positive = [(rule.alpha, self._signed(1, minus))]
            return positive + ([(-rule.beta, self._signed(-1, minus))] if rule.beta else [])
        if isinstance(rule, Bounded):
            return [(1.0, self._mix(rule, lambda: self._bounded(rule)))]
        ones, weight = torch.ones_like(self.x), self.weight
        weight = torch.ones_like(weight) if isinstance(rule, Flat) else weight.square()
        return [(1.0, self._mix(rule, lambda: [(ones, weight)], sign=1))]

    def _signed(self, sign: int, minus: bool) -> Mix:
        """The part of z made of products of this sign; `minus` looks at -z."""
        sign = -sign if minus else sign
        bias = None if self.bias is None else self._half(self.bias, sign)
        x = self.x

        def parts() -> list[tuple[Tensor, Tensor]]:
            same = self._half(self.weight, sign)
            if self.nonnegative:
                return [(x, same)]
            return [(x.clamp(min=0), same), (x.clamp(max=0), self._half(self.weight, -sign))]

        return self._mix(("signed", sign), parts, bias, sign)

    def _bounded(self, rule: Bounded) -> list[tuple[Tensor, Tensor]]:
        x, w = self.x, self.weight
        films = x.flatten(1)
        shape = (-1, *[1] * (x.ndim - 1))
        low = films.amin(1) if rule.low is None else x.new_full((len(x),), rule.low)
        high = films.amax(1) if rule.high is None else x.new_full((len(x),), rule.high)
        low, high = (bound.reshape(shape).expand_as(x) for bound in (low, high))
        return [(x, w), (low, -w.clamp(min=0)), (high, -w.clamp(max=0))]

    def _mix(
        self,
        key: Hashable,
        parts: Callable[[], Sequence[tuple[Tensor, Tensor]]],
        bias: Tensor | None = None,
        sign: int = 0,
    ) -> Mix:
        """The sum over parts of apply(source, weight), plus a bias; computed once a graph."""
        if key not in self._mixes:
            with torch.enable_grad():
                sources, weights = zip(*parts(), strict=True)
                leaves = tuple(source.detach().requires_grad_() for source in sources)
                z = self.apply(leaves[0], weights[0], bias)
                for leaf, weight in zip(leaves[1:], weights[1:], strict=True):
                    z = z + self.apply(leaf, weight, None)
            self._mixes[key] = Mix(leaves, z, None if bias is None else by_unit(bias, z, self.kind), sign)
        return self._mixes[key]

    @staticmethod
    def _half(values: Tensor, sign: int) -> Tensor:
        return values.clamp(min=0) if sign > 0 else values.clamp(max=0)


def by_unit(bias: Tensor, z: Tensor, kind: str) -> Tensor:
    """A bias (U,) in a shape that broadcasts to z: (N, U, ...), or (N, ..., U) behind a linear map."""
    return bias if kind == "dense" else bias.reshape(-1, *[1] * (z.ndim - 2))
