"""Class activation maps: the toy computed by hand, identities of pooled heads, and where the peers stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from helpers.closed_form import A, Biasless, CamToy, Squeeze, film_batch, frozen, random_densenet
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, attribute, native_map
from xrayinterp.attribution.cams import POLE
from xrayinterp.operators import rules

SEEDS = st.integers(0, 2**16)
CAMS = [name for name, method in METHODS.items() if method.family == "cam"]
TOY = {  # g = (1/2, -1/4), S = (1, 2), alpha = (2/5, 2/3)
    "gradcam_signed": ([[0.5, 0], [0, -0.5]], [[-0.5, 0], [0, 0.5]]),
    "gradcam": ([[0.5, 0], [0, 0]], [[0, 0], [0, 0.5]]),
    "gradcam_positive": ([[0.5, 0], [0, 0]], [[0, 0], [0, 0.5]]),
    "gradcam_abs": ([[0.5, 0], [0, 0.5]], [[0.5, 0], [0, 0.5]]),
    "gradcampp": ([[0.8, 0], [0, 0]], [[0, 0], [0, 0.8]]),
    "gradcampp_signed": ([[0.8, 0], [0, -4 / 3]], [[-4 / 3, 0], [0, 0.8]]),
    "hirescam": ([[0.5, 0], [0, -0.5]], [[-0.5, 0], [0, 0.5]]),
    "hirescam_positive": ([[0.5, 0], [0, 0]], [[0, 0], [0, 0.5]]),
    "hirescam_abs": ([[0.5, 0], [0, 0.5]], [[0.5, 0], [0, 0.5]]),
}


class Pole(nn.Module):
    """One unit of map x whose S g is `slope`, exactly, for a film that sums to 1."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        nn.init.constant_(self.head.weight, slope * 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(F.relu(x + 0).mean((2, 3)))
        return logits


@pytest.mark.parametrize("method", TOY)
@pytest.mark.parametrize("target", [0, 1])
def test_the_toy_is_as_computed_by_hand(method: str, target: int) -> None:
    got = native_map(Forward(frozen(CamToy()), A[None].double()), target, method)[0, 0]
    torch.testing.assert_close(got, torch.tensor(TOY[method][target], dtype=torch.float64), rtol=1e-12, atol=0)


def test_every_cam_is_judged_by_the_toy() -> None:
    assert set(CAMS) == {*TOY, "guided_gradcam"}


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_a_pooled_linear_head_makes_the_signed_maps_class_activation_maps(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed)
    maps, w = F.relu(net.features(x)), net.classifier.weight[3]
    pooled, Z = Forward(net, x), maps[0, 0].numel()
    expected = {
        "gradcam_signed": w,
        "hirescam": w,
        "gradcam_positive": w.clamp(min=0),
        "hirescam_positive": w.clamp(min=0),
        "gradcam_abs": w.abs(),
        "hirescam_abs": w.abs(),
    }
    for method, weights in expected.items():
        cam = torch.einsum("k,nkhw->nhw", weights / Z, maps)[:, None]
        torch.testing.assert_close(native_map(pooled, 3, method), cam, rtol=1e-10, atol=1e-12, msg=method)
    g, S = w / Z, maps.sum((2, 3))
    weights = Z * g.clamp(min=0) / (2 + S * g)
    cam = torch.einsum("nk,nkhw->nhw", weights, maps)[:, None]
    torch.testing.assert_close(native_map(pooled, 3, "gradcampp"), cam, rtol=1e-10, atol=1e-12)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_parts_of_the_map_add_up_under_any_head(seed: int) -> None:
    net, x = frozen(Squeeze()), film_batch(seed)
    forward = Forward(net, x)
    signed, positive, total = (native_map(forward, 1, f"hirescam{kind}") for kind in ("", "_positive", "_abs"))
    torch.testing.assert_close(2 * positive, total + signed)
    assert bool((positive >= signed).all() and (total >= positive).all() and (positive >= 0).all())


def test_a_head_that_looks_at_positions_tells_hirescam_from_gradcam() -> None:
    torch.manual_seed(0)
    net = frozen(nn.Sequential(nn.Conv2d(1, 4, 3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 256, 2)))
    x = film_batch(1)
    forward = Forward(net, x)
    total = native_map(forward, 0, "hirescam").sum((1, 2, 3)) + net[3].bias[0]
    torch.testing.assert_close(total, net(x)[:, 0])
    assert not torch.allclose(native_map(forward, 0, "gradcam_signed"), native_map(forward, 0, "hirescam"), rtol=0.1)


@pytest.mark.parametrize("slope", [-2.0, -2 - POLE / 2, -2 + POLE / 2, -2 - 1e-12])
def test_gradcampp_signed_is_finite_at_its_pole(slope: float) -> None:
    x = torch.full((1, 1, 2, 2), 0.25).double()
    cam = native_map(Forward(frozen(Pole(slope)), x), 0, "gradcampp_signed")
    sign = 1 if slope >= -2 else -1
    torch.testing.assert_close(cam, torch.full_like(cam, 4 * sign / POLE * slope * 0.25), rtol=1e-9, atol=0)


def test_units_without_gradient_have_no_weight() -> None:
    x = torch.full((1, 1, 2, 2), 0.25).double()
    for method in TOY:
        assert not bool(native_map(Forward(frozen(Pole(0.0)), x), 0, method).any()), method


def test_guided_gradcam_is_the_product_on_the_films_grid() -> None:
    net, x = random_densenet(2), film_batch(2)
    guided = Forward(net, x).input_gradient(_target(1), rules.guided)
    expected = attribute(net, x, 1, "gradcam") * guided
    torch.testing.assert_close(attribute(net, x, 1, "guided_gradcam"), expected)
    assert float(expected.abs().max()) > 0


@pytest.mark.parametrize("method", TOY)
def test_all_read_a_named_layer(method: str) -> None:
    forward = Forward(random_densenet(3), film_batch(3))
    last = native_map(forward, 0, method)
    third = native_map(forward, 0, method, layer="features.transition3.relu")
    assert third.shape[-1] == 2 * last.shape[-1]
    assert bool(torch.isfinite(third).all())


def test_one_cut_serves_the_family() -> None:
    class Counting(Biasless):
        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            return super().forward(x)

    net = frozen(Counting(0))
    shared = Forward(net, film_batch(4))
    for method in TOY:
        native_map(shared, 1, method)
    assert net.runs == 1


def test_captum_agrees_where_the_rectified_map_is_a_modules_output() -> None:
    net, x = frozen(Biasless(5)), film_batch(5)
    theirs = LayerGradCam(net, net.body).attribute(x, 1)
    torch.testing.assert_close(native_map(Forward(net, x), 1, "gradcam_signed"), theirs.detach())


def test_captum_takes_the_map_before_a_functional_relu() -> None:
    net, x = random_densenet(6), film_batch(6)
    theirs = LayerGradCam(net, net.features.norm5).attribute(x, 1).detach()
    before = net.features(x)
    g = net.classifier.weight[1] / before[0, 0].numel() * (before > 0).double().mean((2, 3))
    torch.testing.assert_close(theirs, torch.einsum("nk,nkhw->nhw", g, before)[:, None])
    assert not torch.allclose(theirs, native_map(Forward(net, x), 1, "gradcam_signed"), rtol=0.1)


def test_grad_cam_agrees_once_ours_is_rescaled_as_theirs_is() -> None:
    net, x = frozen(Biasless(7), torch.float32), film_batch(7).float()
    for theirs, ours in ((GradCAM, "gradcam_signed"), (HiResCAM, "hirescam")):
        cam = native_map(Forward(net, x), 2, ours).clamp(min=0)
        scaled = (cam - cam.amin((2, 3), True)) / (cam.amax((2, 3), True) - cam.amin((2, 3), True))
        full = F.interpolate(scaled, x.shape[-2:], mode="bilinear", align_corners=False)
        expected = (full - full.amin((2, 3), True)) / (full.amax((2, 3), True) - full.amin((2, 3), True))
        np.testing.assert_allclose(_peer(theirs, net, net.body, x, 2), expected[:, 0], atol=1e-5)


def test_grad_cam_clips_twice_so_that_what_speaks_against_is_lost() -> None:
    toy, x = frozen(CamToy(), torch.float32), A[None]
    for theirs in (GradCAM, HiResCAM):
        against = _peer(theirs, toy, toy.same, x, 1)[0]
        assert against[0, 0] == 0  # -0.5 by hand
        np.testing.assert_allclose(against[1, 1], 1, rtol=1e-5)  # 0.5 by hand: rescaled as well


def test_grad_cam_distorts_the_weights_of_gradcampp_for_gradients_of_ordinary_size() -> None:
    g = torch.tensor([0.03 / 49, 0.3 / 49])[None, :, None, None].expand(1, 2, 7, 7).numpy()
    maps = np.full((1, 2, 7, 7), 0.5, np.float32)
    exact = (g / (2 + maps.sum((2, 3), keepdims=True) * g)).sum((2, 3))[0]
    theirs = GradCAMPlusPlus.get_cam_weights(None, None, None, None, maps, g)[0]
    assert abs(theirs[1] / exact[1] - 1) < 0.03
    assert theirs[0] / exact[0] < 0.5  # their 1e-6 under the fraction is larger than the squared gradient


def _target(index: int) -> Any:
    from xrayinterp.attribution import Target

    return Target(index)


def _peer(kind: Any, net: nn.Module, layer: nn.Module, x: Tensor, target: int) -> Any:
    leaf = x.clone().requires_grad_()
    with kind(model=net, target_layers=[layer]) as method:
        return method(input_tensor=leaf, targets=[ClassifierOutputTarget(target)] * len(x))
