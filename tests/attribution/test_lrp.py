"""Layer-wise relevance propagation as methods: signs, options, conservation, and what is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.closed_form import Biasless, film_batch, frozen, random_densenet
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Target, attribute, attribute_many
from xrayinterp.errors import Code, XrayInterpError

LRP = [name for name, method in METHODS.items() if method.family == "lrp"]


def test_there_are_the_four() -> None:
    assert sorted(LRP) == ["lrp_alpha2beta1", "lrp_epsilon", "lrp_epsilon_plus", "lrp_zplus"]


def single(*weights: float) -> nn.Sequential:
    """f(x) = sum_i w_i x_i, on a film of one row."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(weights), 1, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([weights]))
    return frozen(net)


def test_by_hand() -> None:
    x = torch.ones(1, 1, 1, 2).double()
    net = single(3.0, -1.0)
    for method, expected in (
        ("lrp_zplus", [2, 0]),
        ("lrp_alpha2beta1", [4, -2]),
        ("lrp_epsilon", [3, -1]),
        ("lrp_epsilon_plus", [3, -1]),
    ):
        found = attribute(net, x, 0, method).flatten()
        torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-5, atol=0, msg=method)
    torch.testing.assert_close(
        attribute(net, x, -Target(0), "lrp_zplus").flatten(), torch.tensor([0, -2]).double(), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("method", LRP)
def test_a_net_without_biases_gives_its_logit_to_the_film(method: str) -> None:
    net, x = frozen(Biasless(1, channels=3)), film_batch(1, samples=3, channels=3)
    total = attribute(net, x, 1, method).sum((1, 2, 3))
    torch.testing.assert_close(total, net(x)[:, 1], rtol=1e-2, atol=1e-5)


def test_epsilon_tends_to_input_x_gradient_as_it_vanishes() -> None:
    net, x = random_densenet(2), film_batch(2)
    expected = attribute(net, x, 1, "input_x_gradient")
    far, near, zero = (
        float((attribute(net, x, 1, "lrp_epsilon", epsilon=epsilon) - expected).abs().max())
        for epsilon in (1e-2, 1e-6, 0.0)
    )
    assert far > 100 * near
    assert zero < 1e-12


def test_zplus_has_the_sign_of_the_score_everywhere() -> None:
    net, x = random_densenet(3), film_batch(3, samples=6)
    for target in (Target(0), -Target(0)):
        maps = attribute(net, x, target, "lrp_zplus") * net(x)[:, 0].sign()[:, None, None, None] * target.sign
        assert float(maps.min()) >= 0
        assert float(maps.sum()) > 0


def test_linear_methods_turn_over_with_the_score_and_positive_ones_do_not() -> None:
    net, x = random_densenet(4), film_batch(4)
    for method in LRP:
        minus, plus = attribute(net, x, -Target(1), method), attribute(net, x, 1, method)
        turned = torch.allclose(minus, -plus, rtol=1e-9, atol=1e-12)
        assert turned == METHODS[method].linear, method


def test_rules_for_the_input_change_what_it_receives_and_not_how_much() -> None:
    net, x = random_densenet(5), film_batch(5)
    maps = {
        first: attribute(net, x, 1, "lrp_epsilon_plus", first=first) for first in ("same", "bounded", "squared", "flat")
    }
    for first, found in maps.items():
        torch.testing.assert_close(found.sum(), maps["same"].sum(), rtol=1e-3, atol=0, msg=first)
        assert first == "same" or not torch.allclose(found, maps["same"], rtol=1e-2, atol=0)


@pytest.mark.parametrize("options", [{"norm": "merge"}, {"first": "zb"}, {"epsilon": -1.0}, {"gamma": 1}])
def test_options_outside_their_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(XrayInterpError, match=next(iter(options))) as error:
        attribute(single(1.0), torch.ones(1, 1, 1, 1).double(), 0, "lrp_epsilon", **options)
    assert error.value.code is Code.BAD_OPTION


def test_all_rules_and_targets_share_one_forward() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.runs = random_densenet(6), 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            logits: Tensor = self.net(x)
            return logits

    net, x = Counts().eval(), film_batch(6)
    many = attribute_many(net, x, [0, 1, -Target(1)], LRP)
    assert net.runs == 1
    for method in LRP:
        assert torch.equal(many[method][2], attribute(net.net, x, -Target(1), method)), method


def test_the_books_of_a_method_are_to_be_had_of_its_forward() -> None:
    from xrayinterp.operators.relevance_rules import Z_PLUS, Composite, Epsilon, SameSign

    net, x = random_densenet(7), film_batch(7)
    forward = Forward(net, x)
    assert forward.relevance() is forward.relevance()
    found = forward.relevance().propagate(Target(1).score, Composite(Epsilon(), Z_PLUS, sums=SameSign()), account=True)
    assert torch.equal(found.input, attribute(net, x, 1, "lrp_epsilon_plus"))
    assert found.lost is not None
    left = found.output - found.input.sum((1, 2, 3)) - found.lost.denominators
    torch.testing.assert_close(left, found.lost.biases)
    torch.testing.assert_close(found.output, net(x)[:, 1])


def test_an_operator_without_a_rule_is_named_and_other_methods_still_work() -> None:
    net, x = frozen(nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(72, 2))), film_batch(8, size=8)
    for method in LRP:
        with pytest.raises(XrayInterpError, match=r"torch\.nn\.functional\.silu") as error:
            attribute(net, x, 0, method)
        assert error.value.code is Code.UNSUPPORTED_OPERATOR
    assert bool(attribute(net, x, 0, "gradient").any())


@pytest.mark.data
def test_on_real_films_the_trained_model_gives_finite_maps_and_balanced_books(data_root: Path) -> None:
    from xrayinterp.datasets.films import load_films
    from xrayinterp.imaging.reader import read
    from xrayinterp.models.zoo import load_model
    from xrayinterp.operators.relevance_rules import Z_PLUS, Composite, Epsilon, SameSign

    model = load_model("compact")
    films = load_films("nih", root=data_root, splits=["test"])[:2]
    x = torch.cat([model.prepare(read(film.path, view="PA")) for film in films])
    target = Target(model.logits(x)[0].argmax().item())
    maps = attribute_many(model, x, [target], [*LRP, "guided_backprop", "deconvnet", "rectgrad", "rectgrad_abs"])
    for method, found in maps.items():
        assert bool(torch.isfinite(found).all()), method
        assert all(bool(film.any()) for film in found[0]), method
    graph = Forward(model, x).relevance()
    assert torch.equal(graph.logits, model.logits(x))
    found = graph.propagate(target.score, Composite(Epsilon(), Z_PLUS, sums=SameSign()), account=True)
    assert found.lost is not None
    total = found.input.sum((1, 2, 3)) + found.lost.biases + found.lost.denominators
    torch.testing.assert_close(total, found.output, rtol=1e-3, atol=1e-3)
    assert float((found.lost.denominators / found.output).abs().max()) < 0.05
