"""One forward, many backwards: every ReLU met however it is written, nothing left behind, threads kept apart."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import TWIN_RELUS, Twin, film_batch, frozen, random_densenet, snapshot
from torch import Tensor, nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.operators import rules
from xrayinterp.operators.tape import ReluRule, plain, record

RULES: dict[str, ReluRule] = {
    "plain": plain,
    "deconvnet": rules.deconvnet,
    "guided": rules.guided,
    "rectgrad": rules.rectgrad(0.8),
    "rectgrad_abs": rules.rectgrad_abs(0.8),
}


def score(logits: Tensor) -> Tensor:
    return logits[:, 1].sum()


def arriving(net: nn.Module, x: Tensor, rule: ReluRule) -> Tensor:
    (R,) = record(net, x).gradients(score, rule=rule)
    return R


class Written(nn.Module):
    """A function where the twin has its ReLU."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.forward = function


def twin_with(rectify: Callable[[Tensor], Tensor]) -> Twin:
    twin = Twin()
    twin.rectify = Written(rectify)
    return frozen(twin)


OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "torch.clamp": lambda z: torch.clamp(z, 0),
    "clamp by keyword": lambda z: torch.clamp(input=z, min=0.0),
    "clamp_min": lambda z: z.clamp_min(0),
    "clamp_": lambda z: z.clamp_(min=0),
    "clip": lambda z: z.clip(0),
    "F.relu in place": lambda z: F.relu(z, True),
    "nothing returned": lambda z: (z.relu_(), z)[1],
    "a view": lambda z: (z.flatten(1).relu_(), z)[1],
}


@pytest.mark.parametrize("rule", RULES)
def test_twins_are_bit_identical_under_every_rule(rule: str) -> None:
    x = film_batch(0)
    reference = arriving(frozen(Twin()), x, RULES[rule])
    assert float(reference.abs().max()) > 0
    for relu in TWIN_RELUS:
        assert torch.equal(arriving(frozen(Twin(relu)), x, RULES[rule]), reference), relu
    for name, rectify in OTHERS.items():
        assert torch.equal(arriving(twin_with(rectify), x, RULES[rule]), reference), name


def test_the_plain_rule_is_autograd_and_one_tape_serves_all_rules_in_any_order() -> None:
    net, x = random_densenet(1), film_batch(1).requires_grad_()
    (expected,) = torch.autograd.grad(score(net(x)), [x])
    tape = record(net, x)
    first = {name: tape.gradients(score, rule=rule)[0] for name, rule in RULES.items()}
    torch.testing.assert_close(first["plain"], expected, rtol=1e-12, atol=1e-14)  # to rounding
    for name in reversed(RULES):
        assert torch.equal(tape.gradients(score, rule=RULES[name])[0], first[name]), name


def test_densenet_121_has_121_sites_also_the_functional_one() -> None:
    from torchvision.models import densenet121

    net = frozen(densenet121(weights=None), torch.float32)
    tape = record(net, torch.rand(1, 3, 64, 64))
    assert len(tape.activations) == 121
    assert tape.activations[-1].shape == (1, 1024, 2, 2)
    assert sum(isinstance(part, nn.ReLU) for part in net.modules()) == 120
    torch.testing.assert_close(tape.logits, net(tape.x), rtol=1e-5, atol=1e-6)  # to rounding


def test_a_residual_net_written_in_place_has_the_gradient_of_autograd() -> None:
    from torchvision.models import resnet18

    net, x = frozen(resnet18(weights=None)), film_batch(2, channels=3).requires_grad_()
    (expected,) = torch.autograd.grad(score(net(x)), [x])
    assert torch.equal(arriving(net, x, plain), expected)


def test_a_network_may_write_into_its_input() -> None:
    class Centres(Twin):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.sub_(0.25))

    x = film_batch(3)
    kept = x.clone()
    assert torch.equal(arriving(frozen(Centres()), x, plain), arriving(frozen(Twin()), x - 0.25, plain))
    assert torch.equal(x, kept)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("torch.maximum", lambda z: torch.maximum(z, torch.zeros_like(z))),
        ("abs", torch.Tensor.abs),
        ("exp", torch.exp),
        ("mul", lambda z: z * z.mean()),
        ("matmul", lambda z: z @ z.transpose(-1, -2)),
        ("group_norm", lambda z: F.group_norm(z, 2)),
    ],
)
def test_what_is_neither_relu_nor_linear_is_refused_by_name_for_rules_alone(
    name: str, step: Callable[[Tensor], Tensor]
) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(step(self.conv(x))).mean((2, 3)))

    net, x = frozen(Odd()), film_batch(2, size=16)
    assert arriving(net, x, plain).abs().sum() > 0
    with pytest.raises(XrayInterpError, match=name.rsplit(".", 1)[-1]) as caught:
        arriving(net, x, rules.guided)
    assert caught.value.code is Code.UNSUPPORTED_OPERATOR


def test_an_edit_goes_into_the_forward_and_its_gradient() -> None:
    net, x = frozen(Twin()), film_batch(4)
    halved = record(net, x, edit=lambda site, a: a * 0.5 if site == 1 else a)
    assert torch.equal(halved.activations[1], record(net, x).activations[1] * 0.5)
    bias = net.head.bias
    torch.testing.assert_close(halved.logits - bias, (net(x) - bias) * 0.5)
    torch.testing.assert_close(halved.gradients(score)[0], arriving(net, x, plain) * 0.5)


def test_biases_add_up_with_the_gradient_to_the_logit() -> None:
    net, x = random_densenet(5), film_batch(5)
    tape = record(net, x, biases=True)
    *terms, g = tape.gradients(score, [*(place.z for place in tape.biased), tape.x])
    total = (tape.x * g).sum()
    for place, R in zip(tape.biased, terms, strict=True):
        total = total + (R.sum([0, *range(2, R.ndim)]) * place.b).sum()
    torch.testing.assert_close(total, score(tape.logits))


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Twin("in-place module")

    def forward(self, x: Tensor) -> Tensor:
        self.net(x)
        raise ZeroDivisionError


def test_nothing_is_left_behind_also_after_an_exception_in_network_or_rule() -> None:
    def broken(site: int, a: Tensor, R: Tensor) -> Tensor:
        raise ZeroDivisionError

    net, failing, x = Twin("in-place module").eval().double(), frozen(Fails()), film_batch(6)
    before, inputs = (snapshot(net), snapshot(failing)), x.clone()
    tape = record(net, x)
    expected = tape.gradients(score, rule=rules.guided)[0]
    with pytest.raises(ZeroDivisionError):
        tape.gradients(score, rule=broken)
    with pytest.raises(ZeroDivisionError):
        record(failing, x)
    assert (snapshot(net), snapshot(failing)) == before
    assert torch.equal(x, inputs)
    assert not torch.overrides._len_torch_function_stack()
    assert torch.equal(tape.gradients(score, rule=rules.guided)[0], expected)
    assert torch.equal(tape.gradients(score)[0], arriving(net, x, plain))


def test_threads_with_other_films_and_rules_never_mix() -> None:
    net = random_densenet(7)
    films = [film_batch(seed, samples=1) for seed in range(4)]
    jobs = [(film, rule) for film in films for rule in RULES.values()] * 3
    expected = [arriving(net, film, rule) for film, rule in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: arriving(net, *job), jobs))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_threads_may_ask_one_tape_for_different_rules() -> None:
    tape = record(random_densenet(8), film_batch(8))
    names = [*RULES] * 6
    expected = {name: tape.gradients(score, rule=rule)[0] for name, rule in RULES.items()}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: tape.gradients(score, rule=RULES[name])[0], names))
    assert all(torch.equal(R, expected[name]) for name, R in zip(names, found, strict=True))


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.SiLU(), "torch.nn.functional.silu"),
        (nn.GELU(), "torch.nn.functional.gelu"),
        (nn.ReLU6(), "torch.nn.functional.hardtanh"),
        (nn.LeakyReLU(inplace=True), "leaky_relu"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Softmax(1), "softmax"),
    ],
    ids=str,
)
def test_a_nonlinear_operator_without_a_rule_is_refused_by_name_where_a_rule_is_needed(
    layer: nn.Module, name: str
) -> None:
    net, x = frozen(nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.Flatten(), nn.Linear(4 * 36, 2))), film_batch(9, size=8)
    tape = record(net, x)
    assert bool(tape.gradients(score)[0].any())
    for rule in (rules.guided, rules.deconvnet, rules.rectgrad(0.5)):
        with pytest.raises(XrayInterpError, match=name) as error:
            tape.gradients(score, rule=rule)
        assert error.value.code is Code.UNSUPPORTED_OPERATOR


def test_what_is_computed_from_parameters_alone_is_no_site() -> None:
    class Gated(Twin):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * torch.relu(self.norm.weight.mean()) * torch.sigmoid(self.norm.weight.mean()))

    tape = record(frozen(Gated()), film_batch(10))
    assert len(tape.activations) == 2
    assert tape.unruled == ()
