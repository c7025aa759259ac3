"""Relevance against rules written out with the dense matrix, against identities, and on real architectures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import Biasless, Twin, film_batch, frozen, random_densenet, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.operators.relevance import Relevance, record_relevance
from xrayinterp.operators.relevance_rules import (
    Z_PLUS,
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Flat,
    Rule,
    SameSign,
    SquaredWeights,
)
from xrayinterp.operators.tape import record

SEEDS = st.integers(0, 2**16)
RULES: dict[str, Rule] = {
    "zero": Epsilon(0.0),
    "epsilon": Epsilon(0.25),
    "z+": Z_PLUS,
    "alpha 2 beta 1": AlphaBeta(2.0, 1.0),
    "bounded": Bounded(-1.5, 2.0),
    "bounded by the film": Bounded(),
    "squared": SquaredWeights(),
    "flat": Flat(),
}
COMPOSITES: dict[str, Composite] = {
    "zero, absorbing": Composite(Epsilon(0.0), Epsilon(0.0), norm="absorb"),
    "z+": Composite(Z_PLUS, Z_PLUS),
    "z+, absorbing": Composite(Z_PLUS, Z_PLUS, norm="absorb"),
    "alpha 2 beta 1": Composite(AlphaBeta(2.0, 1.0), AlphaBeta(2.0, 1.0)),
    "epsilon plus": Composite(Epsilon(), Z_PLUS),
    "epsilon plus, sums by sign": Composite(Epsilon(), Z_PLUS, sums=SameSign()),
    "epsilon plus, bounded": Composite(Epsilon(), Z_PLUS, first=Bounded()),
    "epsilon plus, flat": Composite(Epsilon(), Z_PLUS, first=Flat()),
    "epsilon plus, squared": Composite(Epsilon(), Z_PLUS, first=SquaredWeights()),
}


def score(logits: Tensor) -> Tensor:
    return logits[:, 1].sum()


def both(rule: Rule) -> Composite:
    return Composite(rule, rule)


def asked(net: nn.Module, x: Tensor, rules: Composite, of: Callable[[Tensor], Tensor] = score) -> Relevance:
    return record_relevance(net, x).propagate(of, rules, account=True)


def dense(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
    return layer


def test_by_hand() -> None:
    net = frozen(nn.Sequential(dense([1.0, 1.0], [1.0, -1.0]), nn.ReLU(), dense([1.0, 1.0])))
    x = torch.tensor([[1.0, 2.0]]).double()
    for rule in (Z_PLUS, Epsilon(0.0)):
        torch.testing.assert_close(asked(net, x, both(rule), torch.sum).input, x, rtol=1e-5, atol=0)
    one, x = frozen(dense([3.0, -1.0])), torch.ones(1, 2).double()
    for rule, expected in ((AlphaBeta(2, 1, 0.0), [[4, -2]]), (AlphaBeta(1, 0, 0.0), [[2, 0]])):
        assert asked(one, x, both(rule), torch.sum).input.tolist() == expected


def test_a_sum_of_maps_is_shared_by_size_and_a_maximum_is_not() -> None:
    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :1] + x[:, 1:]

    x = torch.tensor([[1.0, 3.0]]).double()
    assert asked(frozen(Adds()), x, both(Z_PLUS), torch.sum).input.tolist() == [[1, 3]]
    x = torch.tensor([[-1.0, 3.0]]).double()
    assert asked(frozen(Adds()), x, both(Z_PLUS), torch.sum).input.tolist() == [[-1, 3]]
    by_sign = Composite(Z_PLUS, Z_PLUS, sums=SameSign())
    assert asked(frozen(Adds()), x, by_sign, torch.sum).input.tolist() == [[0, 2]]
    assert asked(frozen(Adds()), -x, by_sign, torch.sum).input.tolist() == [[0, -2]]
    pool = frozen(nn.Sequential(nn.Unflatten(1, (1, 2)), nn.MaxPool1d(2), nn.Flatten()))
    assert asked(pool, x, both(Z_PLUS), torch.sum).input.tolist() == [[0, 3]]


def written_out(rule: Rule, W: Tensor, x: Tensor, b: Tensor, R: Tensor) -> Tensor:
    """R_i of one film, W (outputs, inputs) the matrix of the operator; every rule from its definition."""

    def shares(parts: Tensor, rest: Tensor | float = 0.0, epsilon: float = 0.0) -> Tensor:
        z = parts.sum(1) + rest
        z = z + epsilon * torch.where(z >= 0, 1.0, -1.0)
        return (parts / z[:, None] * R[:, None]).nan_to_num(0.0).sum(0)

    z = W * x
    if isinstance(rule, Epsilon):
        return shares(z, b, rule.epsilon)
    if isinstance(rule, AlphaBeta):
        positive = shares(z.clamp(min=0), b.clamp(min=0), rule.epsilon)
        return rule.alpha * positive - rule.beta * shares(z.clamp(max=0), b.clamp(max=0), rule.epsilon)
    if isinstance(rule, Bounded):
        low = x.min() if rule.low is None else rule.low
        high = x.max() if rule.high is None else rule.high
        return shares(z - low * W.clamp(min=0) - high * W.clamp(max=0), epsilon=rule.epsilon)
    return shares(W**2 if isinstance(rule, SquaredWeights) else (W != 0).double(), epsilon=rule.epsilon)


LAYERS: dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]] = {
    "linear": lambda: (nn.Linear(7, 4), (7,)),
    "linear without bias": lambda: (nn.Linear(7, 4, bias=False), (7,)),
    "conv": lambda: (nn.Conv2d(2, 3, 3, 2, 1), (2, 5, 6)),
    "conv, groups": lambda: (nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False), (4, 5, 5)),
    "conv, same": lambda: (nn.Conv2d(2, 3, 3, padding="same"), (2, 5, 5)),
    "conv 1d": lambda: (nn.Conv1d(2, 3, 3), (2, 6)),
    "conv transposed": lambda: (nn.ConvTranspose2d(2, 3, 2, stride=2), (2, 3, 3)),
}


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_what_its_definition_says_on_the_dense_matrix(rule: str, layer: str, rectified: bool) -> None:
    torch.manual_seed(len(layer))
    operator, shape = LAYERS[layer]()
    net = frozen(nn.Sequential(nn.ReLU() if rectified else nn.Identity(), operator, nn.Flatten()))
    x = torch.randn(2, *shape).double()
    logits, seen = net(x), x.relu() if rectified else x
    b = net(torch.zeros_like(x))[0]
    W = torch.autograd.functional.jacobian(lambda one: net[1:](one[None])[0], seen[0]).flatten(1)
    weights = torch.rand(logits.shape, dtype=x.dtype)
    found = asked(net, x, both(RULES[rule]), lambda logits: (weights * logits).sum())
    for i in range(2):
        expected = written_out(RULES[rule], W, seen[i].flatten(), b, weights[i] * logits[i])
        torch.testing.assert_close(found.input[i].flatten(), expected, rtol=1e-9, atol=1e-11)
    assert_the_books_balance(found, net(x).mul(weights).sum(1))


def assert_the_books_balance(found: Relevance, output: Tensor) -> None:
    torch.testing.assert_close(found.output, output)
    assert found.lost is not None
    total = found.input.flatten(1).sum(1) + found.lost.biases + found.lost.denominators
    scale = float(found.input.abs().sum())
    torch.testing.assert_close(total, output, rtol=1e-9, atol=1e-12 * (1 + scale))


@given(SEEDS, st.sampled_from([*COMPOSITES]))
@settings(max_examples=16, deadline=None)
def test_relevance_is_conserved_on_a_densenet_with_what_biases_and_denominators_take(seed: int, name: str) -> None:
    net, x = random_densenet(seed), film_batch(seed)
    assert_the_books_balance(asked(net, x, COMPOSITES[name]), net(x)[:, 1])


def test_passing_batch_norm_costs_no_relevance_but_where_no_input_speaks_for_a_unit() -> None:
    net, x = random_densenet(1), film_batch(1)
    with torch.no_grad():
        net.classifier.bias.zero_()
    found = asked(net, x, COMPOSITES["epsilon plus"])
    assert found.lost is not None
    assert float(found.lost.biases.abs().max()) == 0
    assert float((found.lost.denominators / found.output).abs().max()) < 0.01


@given(SEEDS)
@settings(max_examples=6, deadline=None)
def test_lrp_zero_without_biases_is_input_x_gradient_and_sums_to_the_logit(seed: int) -> None:
    net, x = frozen(Biasless(seed, channels=3)), film_batch(seed, channels=3)
    found = asked(net, x, both(Epsilon(0.0)))
    tape = record(net, x)
    torch.testing.assert_close(found.input, tape.x * tape.gradients(score)[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.input.sum((1, 2, 3)), net(x)[:, 1], rtol=1e-9, atol=1e-12)


@given(SEEDS)
@settings(max_examples=4, deadline=None)
def test_lrp_zero_with_biases_gives_each_bias_its_gradient(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed, samples=1)
    found = asked(net, x, COMPOSITES["zero, absorbing"])
    tape = record(net, x, biases=True)
    *terms, g = tape.gradients(score, [*(place.z for place in tape.biased), tape.x])
    torch.testing.assert_close(found.input, tape.x * g, rtol=1e-9, atol=1e-12)
    biases = [(R.sum([0, *range(2, R.ndim)]) * place.b).sum() for place, R in zip(tape.biased, terms, strict=True)]
    assert found.lost is not None
    torch.testing.assert_close(found.lost.biases, torch.stack(biases).sum()[None], rtol=1e-9, atol=1e-12)


def test_minus_a_logit_is_the_logit_of_a_head_with_opposite_weights() -> None:
    net, opposite, x = random_densenet(2), random_densenet(2), film_batch(2)
    with torch.no_grad():
        opposite.classifier.weight.neg_()
        opposite.classifier.bias.neg_()
    for name, rules in COMPOSITES.items():
        minus = asked(net, x, rules, lambda logits: -score(logits))
        torch.testing.assert_close(minus.input, asked(opposite, x, rules).input, msg=name)
        assert_the_books_balance(minus, -net(x)[:, 1])
    contrast = asked(net, x, COMPOSITES["z+"], lambda logits: (logits[:, 1] - logits[:, 3]).sum())
    parts = asked(net, x, COMPOSITES["z+"]).input + asked(net, x, COMPOSITES["z+"], lambda z: -z[:, 3].sum()).input
    torch.testing.assert_close(contrast.input, parts)


def test_sums_by_sign_lose_nothing_and_are_bounded() -> None:
    net, x = random_densenet(11), film_batch(11)  # its transitions average signed maps
    found = {sums: asked(net, x, Composite(Z_PLUS, Z_PLUS, sums=sums)) for sums in (SameSign(), Epsilon(0.0))}
    by_sign = found[SameSign()]
    assert by_sign.lost is not None
    assert float((by_sign.lost.denominators / by_sign.output).abs().max()) < 0.01
    torch.testing.assert_close(by_sign.input.abs().sum(), by_sign.input.sum((1, 2, 3)).abs().sum())
    assert float(found[Epsilon(0.0)].input.abs().sum()) > 1.05 * float(by_sign.input.abs().sum())


def test_the_epsilon_rule_blows_up_where_batch_norm_passes_and_so_absorbs_by_default() -> None:
    net, x = random_densenet(3), film_batch(3)
    passing, absorbing = (asked(net, x, Composite(Epsilon(), Epsilon(), norm=norm)) for norm in ("pass", "absorb"))
    assert float(absorbing.input.abs().sum() / absorbing.output.abs().sum()) < 100
    assert float(passing.input.abs().sum() / passing.output.abs().sum()) > 1000


def torchvision_net(name: str) -> nn.Module:
    import torchvision

    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(weights=None)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return frozen(net)


@pytest.mark.parametrize("name", ["densenet121", "resnet18", "vgg11_bn", "squeezenet1_1"])
def test_architectures_as_published_conserve_and_agree_with_autograd(name: str) -> None:
    net, x = torchvision_net(name), film_batch(4, samples=1, channels=3)
    graph = record_relevance(net, x)
    assert torch.equal(graph.logits, net(x))
    tape = record(net, x)
    for key in ("zero, absorbing", "epsilon plus"):
        assert_the_books_balance(graph.propagate(score, COMPOSITES[key], account=True), net(x)[:, 1])
    zero = graph.propagate(score, COMPOSITES["zero, absorbing"]).input
    torch.testing.assert_close(zero, tape.x * tape.gradients(score)[0], rtol=1e-8, atol=1e-12)


def test_one_graph_serves_every_rule_in_any_order_and_from_any_thread() -> None:
    net, x = random_densenet(5), film_batch(5)
    expected = {name: asked(net, x, rules).input for name, rules in COMPOSITES.items()}
    graph, names = record_relevance(net, x), [*COMPOSITES, *reversed(COMPOSITES)] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: graph.propagate(score, COMPOSITES[name]).input, names))
    assert all(torch.equal(R, expected[name]) for name, R in zip(names, found, strict=True))


def test_a_batch_is_its_films() -> None:
    net, x = random_densenet(6), film_batch(6, samples=3)
    for name, rules in COMPOSITES.items():
        singles = torch.cat([asked(net, film[None], rules).input for film in x])
        torch.testing.assert_close(asked(net, x, rules).input, singles, msg=name)


def test_trainable_parameters_and_an_outer_mode_change_nothing_and_nothing_is_left() -> None:
    net, x = Twin("in-place module").eval().double(), film_batch(7)
    before, inputs = snapshot(net), x.clone()
    expected = asked(frozen(Twin()), x, COMPOSITES["epsilon plus"]).input
    for outer in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with outer():
            assert torch.equal(asked(net, x, COMPOSITES["epsilon plus"]).input, expected)
    assert snapshot(net) == before
    assert torch.equal(x, inputs)


class Written(nn.Module):
    """A step that a network takes between a convolution and its head."""

    def __init__(self, step: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.head, self.step = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2), [step]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.step[0](self.conv(x)).mean((2, 3)))
        return logits


REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "a smooth nonlinearity": (F.silu, "silu"),
    "a cut-off one in place": (lambda a: F.hardtanh(a, 0.0, 6.0, True), "hardtanh"),
    "leaky in place": (lambda a: F.leaky_relu_(a), "leaky_relu_"),
    "a gate": (lambda a: a * a.mean((2, 3), keepdim=True), "mul of two feature maps"),
    "a ratio": (lambda a: 1 / (a + 100), "Tensor.__rdiv__|Tensor.__rtruediv__|reciprocal"),
    "a product of maps": (lambda a: a @ a.transpose(2, 3), "matmul of two feature maps"),
    "another norm": (lambda a: F.group_norm(a, 2), "group_norm"),
    "batch statistics": (lambda a: F.batch_norm(a, None, None, training=True), "batch_norm in training mode"),
    "dropout at work": (lambda a: F.dropout(a), "dropout in training mode"),
    "a break in the graph": (lambda a: a.detach() + a, "detach"),
    "a view in place": (lambda a: (a.flatten(1).relu_(), a)[1], "relu in place on a view"),
    "a square": (lambda a: a**2, "pow"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_rule_is_refused_by_name_and_nothing_is_left(what: str) -> None:
    step, name = REFUSED[what]
    net = frozen(Written(step))
    before = snapshot(net)
    with pytest.raises(XrayInterpError, match=name) as error:
        record_relevance(net, film_batch(8, size=8))
    assert error.value.code is Code.UNSUPPORTED_OPERATOR
    assert snapshot(net) == before
    assert not torch.overrides._len_torch_function_stack()


ALLOWED: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda a: a,
    "dropout at rest": lambda a: F.dropout(a, 0.5, False),
    "changes of shape": lambda a: (
        a.permute(0, 2, 3, 1).contiguous().reshape(a.shape[0], -1, 4).transpose(1, 2)[..., None]
    ),
    "cut and joined": lambda a: torch.cat(a.chunk(2, 1), 1),
    "a factor": lambda a: a * 3.0,
    "a factor in place": lambda a: a.mul_(3.0),
    "a factor a unit": lambda a: a * torch.arange(1, 5).reshape(4, 1, 1),
    "a ratio": lambda a: a / 4,
    "twice": lambda a: a + a,
    "twice in place": lambda a: a.add_(a),
    "three of itself less one": lambda a: 3 * a - a,
    "drawn up": lambda a: F.interpolate(a, scale_factor=2, mode="nearest"),
    "padded": lambda a: F.pad(a, (1, 1, 1, 1)),
    "summed": lambda a: a.sum((2, 3), keepdim=True),
    "averaged": lambda a: F.avg_pool2d(a, 2),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_other_steps_keep_the_identity_with_the_gradient(what: str) -> None:
    net, x = frozen(Written(ALLOWED[what])), film_batch(9, size=8)
    found, tape = asked(net, x, COMPOSITES["zero, absorbing"]), record(net, x)
    torch.testing.assert_close(found.input, tape.x * tape.gradients(score)[0], rtol=1e-9, atol=1e-12)
    assert_the_books_balance(found, net(x)[:, 1])


def test_a_constant_added_takes_its_part_or_passes() -> None:
    net, x = frozen(nn.Sequential(dense([1.0, 1.0]))), torch.tensor([[1.0, 2.0]]).double()

    class Shifted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x + 1.0)

    absorbing = asked(Shifted(), x, Composite(Epsilon(0.0), Epsilon(0.0), norm="absorb"), torch.sum)
    torch.testing.assert_close(absorbing.input, x)
    assert absorbing.lost is not None
    assert absorbing.lost.biases.tolist() == [2.0]
    passing = asked(Shifted(), x, Composite(Epsilon(0.0), Epsilon(0.0)), torch.sum)
    torch.testing.assert_close(passing.input, x + 1)


def test_the_rule_for_the_input_is_for_what_reads_it_alone() -> None:
    torch.manual_seed(1)
    net = frozen(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    )

    class Normalised(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = net((x.repeat(1, 3, 1, 1) - 0.5) / 0.25)
            return logits

    x = film_batch(10, size=8)
    whole = asked(Normalised(), x, Composite(Epsilon(), Z_PLUS, first=Flat())).input
    above = asked(net[2:], net[:2](x.repeat(1, 3, 1, 1).sub(0.5).div(0.25)), Composite(Epsilon(), Z_PLUS)).input
    kernel = torch.ones(4, 3, 3, 3, dtype=x.dtype)
    expected = F.conv_transpose2d(above / 27, kernel).sum(1, keepdim=True)
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-12)
