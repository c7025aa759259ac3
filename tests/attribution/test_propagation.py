"""Methods that pass something else than the gradient: their maps, and what the third paper says of them."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import SMALL, film_batch, frozen, random_densenet
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Target, attribute, attribute_many
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.architectures import DenseNetShape
from xrayinterp.operators import rules

PROPAGATION = [name for name, method in METHODS.items() if method.family == "propagation"]


def toy() -> nn.Sequential:
    """f(x) = relu(x1 + 2 x2) - relu(3 x1 + x2), on a film of two pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 1.0]]))
        net[3].weight.copy_(torch.tensor([[1.0, -1.0]]))
    return frozen(net)


@pytest.mark.parametrize(
    ("method", "options", "up", "down"),
    [
        ("guided_backprop", {}, [1, 2], [3, 1]),
        ("deconvnet", {}, [1, 2], [3, 1]),
        ("rectgrad", {"quantile": 0.5}, [1, 2], [3, 1]),
        ("rectgrad_abs", {"quantile": 0.5}, [-3, -1], [3, 1]),
        ("rectgrad_prr", {"quantile": 0.5}, [1, 2], [3, 1]),
    ],
)
def test_the_toy_by_hand(method: str, options: dict[str, float], up: list[int], down: list[int]) -> None:
    x = torch.ones(1, 1, 1, 2).double()
    assert attribute(toy(), x, 0, method, **options).flatten().tolist() == up
    assert attribute(toy(), x, -Target(0), method, **options).flatten().tolist() == down


def test_a_gradient_shows_its_strongest_channel_and_a_product_their_sum() -> None:
    torch.manual_seed(0)
    net = frozen(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)))
    x = film_batch(0, size=8, channels=3)
    forward = Forward(net, x)
    R = forward.input_gradient(Target(1), rules.guided)
    strongest = R.gather(1, R.abs().argmax(1, keepdim=True))
    assert torch.equal(attribute(net, x, 1, "guided_backprop"), strongest)
    R = forward.input_gradient(Target(1), rules.rectgrad(0.9))
    assert torch.equal(attribute(net, x, 1, "rectgrad", quantile=0.9), (x * R).sum(1, keepdim=True))


def test_quantile_0_is_input_x_gradient() -> None:
    net, x = random_densenet(1), film_batch(1)
    expected = attribute(net, x, 2, "input_x_gradient")
    for method in ("rectgrad", "rectgrad_abs"):
        assert torch.equal(attribute(net, x, 2, method, quantile=0.0), expected)
    assert not torch.equal(attribute(net, x, 2, "rectgrad_prr", quantile=0.0), expected)


@pytest.mark.parametrize("quantile", [-0.1, 1.1, 98, True])
def test_a_quantile_is_a_fraction(quantile: float) -> None:
    with pytest.raises(XrayInterpError, match="quantile") as error:
        attribute(toy(), torch.ones(1, 1, 1, 2).double(), 0, "rectgrad", quantile=quantile)
    assert error.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("method", PROPAGATION)
def test_a_film_in_a_batch_has_the_map_it_has_alone(method: str) -> None:
    net, x = random_densenet(2), film_batch(2, samples=3) * torch.tensor([0.1, 1.0, 10.0])[:, None, None, None]
    singles = torch.cat([attribute(net, film[None], 1, method) for film in x])
    torch.testing.assert_close(attribute(net, x, 1, method), singles)


def test_many_at_once_are_each_alone() -> None:
    net, x = random_densenet(3), film_batch(3)
    targets = [Target(0), Target(2), -Target(2)]
    for method, maps in attribute_many(net, x, targets, PROPAGATION).items():
        expected = torch.stack([attribute(net, x, target, method) for target in targets])
        assert torch.equal(maps, expected), method


def mean_cosine(maps: Tensor) -> float:
    """Mean cosine between the maps (T, ...) of different targets."""
    pairs = [F.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in combinations(maps, 2)]
    return float(torch.stack(pairs).mean())


def between_targets(nets: list[nn.Module], x: Tensor, method: str, **options: float) -> float:
    """Median over nets of the mean cosine between the maps of the logits, each turned to speak for itself."""
    found = []
    for net in nets:
        targets = [Target(i, 1 if logit >= 0 else -1) for i, logit in enumerate(net(x)[0, :3])]
        found.append(mean_cosine(attribute_many(net, x, targets, {method: options})[method]))
    return float(torch.tensor(found).median())


def perceptron(seed: int) -> nn.Module:
    """Eight hidden layers of 128, random."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(8):
        layers += [nn.Linear(128, 128, bias=False), nn.ReLU()]
        nn.init.kaiming_normal_(layers[-2].weight)
    return frozen(nn.Sequential(*layers, nn.Linear(128, 3, bias=False)))


def test_on_a_deep_random_perceptron_positive_propagation_forgets_the_target() -> None:
    nets, x = [perceptron(seed) for seed in range(15)], film_batch(4, samples=1, size=16)[:, :, :8]
    x = x + 1  # positive, so that what remains of a z+ map is not its input's sign
    assert abs(between_targets(nets, x, "gradient")) < 0.3
    assert between_targets(nets, x, "guided_backprop") > 0.98
    assert between_targets(nets, x, "lrp_zplus") > 0.999


def test_on_a_random_densenet_only_what_keeps_both_signs_knows_the_target() -> None:
    shape = DenseNetShape(growth=SMALL.growth, blocks=(6, 12, 24, 16), stem=SMALL.stem)
    nets, x = [random_densenet(seed, shape=shape) for seed in range(5)], film_batch(5, samples=1)
    assert abs(between_targets(nets, x, "gradient")) < 0.3
    assert between_targets(nets, x, "guided_backprop") > 0.99
    assert between_targets(nets, x, "rectgrad", quantile=0.9) > 0.98
    assert between_targets(nets, x, "gradcam_positive") > 0.99
    assert between_targets(nets, x, "gradcampp") > 0.99
    assert between_targets(nets, x, "gradcam_signed") < 0.95
    assert between_targets(nets, x, "rectgrad_abs", quantile=0.5) < 0.3
