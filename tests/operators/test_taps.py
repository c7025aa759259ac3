"""Taps read rectified maps exactly, give gradients with respect to them, and leave no trace."""

from __future__ import annotations

import copy
import gc
import threading
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.operators import taps
from xrayinterp.operators.taps import feature_maps

PATHS = ("features.transition3.relu", "features.norm5")


class InPlaceHead(nn.Module):
    """The torchxrayvision layout in miniature: a functional in-place ReLU behind `body`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = F.relu(self.body(x), inplace=True)
        return self.classifier(maps.mean((2, 3)))


@pytest.fixture
def densenet() -> DenseNet:
    torch.manual_seed(0)
    net = DenseNet(DenseNetShape(growth=8, blocks=(2, 2, 2, 2), stem=16), 5).eval().requires_grad_(False)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.bias.normal_()
    return net


def test_maps_are_the_rectified_outputs_and_logits_are_unchanged(densenet: DenseNet) -> None:
    x = torch.randn(2, 1, 64, 64)
    logits, maps = feature_maps(densenet, x, PATHS)
    assert torch.equal(logits, densenet(x))
    assert torch.equal(maps["features.norm5"], F.relu(densenet.features(x)))
    assert maps["features.transition3.relu"].shape == (2, densenet.features.transition3.norm.num_features, 4, 4)
    assert float(densenet.features(x).min()) < 0 <= min(float(m.min()) for m in maps.values())


def test_head_is_exactly_pool_and_linear_of_the_map(densenet: DenseNet) -> None:
    net = copy.deepcopy(densenet).double()
    x = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    logits, maps = feature_maps(net, x, ["features.norm5"])
    contributions = net.classifier.weight[None] * maps["features.norm5"].mean((2, 3))[:, None]
    rebuilt = contributions.sum(-1) + net.classifier.bias
    assert torch.allclose(rebuilt, logits, atol=1e-12, rtol=0)


def test_unit_contributions_are_ablation_differences(densenet: DenseNet) -> None:
    net = copy.deepcopy(densenet).double()
    x = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    logits, maps = feature_maps(net, x, ["features.norm5"])
    pooled = maps["features.norm5"].mean((2, 3))
    for unit in (0, 3, pooled.shape[1] - 1):
        without = pooled.clone()
        without[:, unit] = 0
        contribution = net.classifier.weight[2, unit] * pooled[0, unit]
        assert float(logits[0, 2] - net.classifier(without)[0, 2]) == pytest.approx(float(contribution), abs=1e-12)


@pytest.mark.parametrize("wants_grad", [False, True])
def test_gradient_at_the_last_map_is_spatially_constant_also_where_the_map_is_zero(
    densenet: DenseNet, wants_grad: bool
) -> None:
    x = torch.randn(1, 1, 64, 64, requires_grad=wants_grad)
    logits, maps = feature_maps(densenet, x, PATHS, grad=True)
    last = maps["features.norm5"]
    assert bool((last == 0).any())
    (gradient,) = torch.autograd.grad(logits[0, 1], last, retain_graph=True)
    expected = (densenet.classifier.weight[1] / last[0, 0].numel())[None, :, None, None].expand_as(last)
    assert torch.allclose(gradient, expected, atol=1e-9)
    (earlier,) = torch.autograd.grad(logits[0, 1], maps["features.transition3.relu"])
    assert float(earlier.abs().sum()) > 0
    assert torch.equal(logits, densenet(x))


def test_in_place_functional_relu_does_not_corrupt_the_tap() -> None:
    torch.manual_seed(1)
    net = InPlaceHead().eval().requires_grad_(False)
    x = torch.randn(2, 1, 8, 8)
    logits, maps = feature_maps(net, x, ["body"], grad=True)
    assert torch.equal(maps["body"], F.relu(net.body(x)))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), maps["body"])
    assert torch.allclose(gradient, (net.classifier.weight[0] / 64)[None, :, None, None].expand_as(gradient))
    assert torch.equal(feature_maps(net, x, ["body"])[1]["body"], maps["body"].detach())


def test_container_and_its_last_module_are_the_same_map(densenet: DenseNet) -> None:
    logits, maps = feature_maps(densenet, torch.randn(1, 1, 64, 64), ["features", "features.norm5"], grad=True)
    gradients = torch.autograd.grad(logits[0, 0], list(maps.values()))
    assert torch.equal(gradients[0], gradients[1])


def test_tap_on_an_identity_leaves_the_input_alone() -> None:
    net = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(4, 1))
    x = torch.rand(1, 1, 2, 2)
    logits, maps = feature_maps(net, x, ["0"], grad=True)
    (gradient,) = torch.autograd.grad(logits[0, 0], maps["0"])
    assert torch.equal(gradient.flatten(), net[2].weight[0]) and not x.requires_grad


def test_works_inside_inference_mode(densenet: DenseNet) -> None:
    with torch.inference_mode():
        x = torch.randn(1, 1, 64, 64)
        logits, maps = feature_maps(densenet, x, PATHS, grad=True)
    (gradient,) = torch.autograd.grad(logits[0, 0], maps["features.norm5"])
    assert float(gradient.abs().sum()) > 0


def test_model_is_untouched_also_after_an_error(densenet: DenseNet) -> None:
    before = {k: v.clone() for k, v in densenet.state_dict().items()}
    x = torch.randn(1, 1, 64, 64)
    feature_maps(densenet, x, PATHS, grad=True)
    with pytest.raises(RuntimeError):
        feature_maps(densenet, torch.randn(1, 7, 64, 64), PATHS, grad=True)
    assert all(torch.equal(v, before[k]) for k, v in densenet.state_dict().items())
    assert all(not part._forward_hooks for part in densenet.modules())
    assert not any(p.requires_grad or p.grad is not None for p in densenet.parameters())
    assert not x.requires_grad and not densenet.training
    assert torch.equal(feature_maps(densenet, x, PATHS)[0], densenet(x))


def test_copy_follows_new_weights_and_dies_with_the_model(densenet: DenseNet) -> None:
    x = torch.randn(1, 1, 64, 64)
    feature_maps(densenet, x, PATHS)
    with torch.no_grad():
        densenet.classifier.bias.add_(1)
    assert torch.equal(feature_maps(densenet, x, PATHS)[0], densenet(x))
    densenet.classifier.weight = nn.Parameter(torch.ones_like(densenet.classifier.weight), requires_grad=False)
    densenet.double()
    assert torch.equal(feature_maps(densenet, x.double(), PATHS)[0], densenet(x.double()))
    gone = weakref.ref(net := copy.deepcopy(densenet))
    feature_maps(net, x.double(), PATHS)
    del net
    gc.collect()
    assert gone() is None and densenet in taps._copies


def test_threads_do_not_see_each_other(densenet: DenseNet) -> None:
    inputs = [torch.randn(1, 1, 64, 64) for _ in range(6)]
    expected = [F.relu(densenet.features(x)) for x in inputs]
    found: dict[int, bool] = {}

    def work(i: int) -> None:
        runs = [feature_maps(densenet, inputs[i], PATHS, grad=i % 2 == 0)[1]["features.norm5"] for _ in range(5)]
        found[i] = all(torch.equal(run, expected[i]) for run in runs)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(6), True)


@pytest.mark.parametrize(
    ("path", "grad", "words"),
    [
        ("features.norm9", False, "no layer at 'features.norm9'"),
        ("features.conv0", True, "signed values"),
    ],
)
def test_impossible_layers_are_named(densenet: DenseNet, path: str, grad: bool, words: str) -> None:
    with pytest.raises(XrayInterpError, match=words) as caught:
        feature_maps(densenet, torch.randn(1, 1, 64, 64), [path], grad=grad)
    assert caught.value.code is Code.UNKNOWN_LAYER


def test_unreached_layer_and_layer_without_one_tensor_are_named() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.LSTM(4, 4, batch_first=True), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)[0]

    x = torch.randn(2, 3, 4)
    with pytest.raises(XrayInterpError, match="did not reach 'unused'"):
        feature_maps(Odd(), x, ["unused"])
    with pytest.raises(XrayInterpError, match="tuple, not one tensor"):
        feature_maps(Odd(), x, ["used"])
