"""Every method against numbers known by hand, against autograd written out, and against its own identities."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import (
    SMALL,
    TWIN_POOLS,
    TWIN_RELUS,
    A,
    Biasless,
    CamToy,
    Squeeze,
    Twin,
    film_batch,
    frozen,
    random_densenet,
)
from helpers.methods import EXPLAINING, quick
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Target, attribute, native_map
from xrayinterp.models.xrv import adapt, torchxrayvision

SEEDS = st.integers(0, 2**16)


def test_gradcam_of_the_toy_is_as_computed_by_hand() -> None:
    toy, x = frozen(CamToy()), A[None].double()
    assert toy(x).tolist() == [[0.0, 0.0]]
    assert native_map(Forward(toy, x), 0, "gradcam_signed").tolist() == [[[[0.5, 0.0], [0.0, -0.5]]]]
    assert native_map(Forward(toy, x), 0, "gradcam").tolist() == [[[[0.5, 0.0], [0.0, 0.0]]]]
    assert native_map(Forward(toy, x), 1, "gradcam_signed").tolist() == [[[[-0.5, 0.0], [0.0, 0.5]]]]


def test_minus_a_logit_is_the_opposite_logit() -> None:
    toy, x = frozen(CamToy()), A[None].double()
    for method in EXPLAINING:
        if METHODS[method].family == "pathway":  # nine of ten of the toy's eight neurons leave no path
            continue
        minus = attribute(toy, x, -Target(0), method, **quick(method))
        assert torch.equal(minus, attribute(toy, x, Target(0, sign=-1), method, **quick(method)))
        assert torch.equal(minus, attribute(toy, x, 1, method, **quick(method))), method


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_gradcam_is_the_class_activation_map_of_an_average_pooled_head(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed)
    maps = F.relu(net.features(x))
    expected = torch.einsum("k,nkhw->nhw", net.classifier.weight[3], maps)[:, None] / maps[0, 0].numel()
    cam = native_map(Forward(net, x), 3, "gradcam_signed")
    torch.testing.assert_close(cam, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(cam.sum((1, 2, 3)) + net.classifier.bias[3], net(x)[:, 3], rtol=1e-10, atol=1e-12)


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_input_x_gradient_of_a_net_without_biases_sums_to_the_logit(seed: int) -> None:
    net, x = frozen(Biasless(seed)), film_batch(seed, samples=3)
    total = attribute(net, x, 1, "input_x_gradient").sum((1, 2, 3))
    torch.testing.assert_close(total, net(x)[:, 1], rtol=1e-10, atol=1e-12)


def test_gradient_predicts_a_small_change_of_the_logit() -> None:
    net, x = random_densenet(1), film_batch(1, samples=1)
    step = 1e-7 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    predicted = (attribute(net, x, 2, "gradient") * step).sum()
    torch.testing.assert_close((net(x + step) - net(x))[0, 2], predicted, rtol=1e-4, atol=1e-14)


def _by_hand(net: Biasless, x: Tensor, target: int) -> dict[str, Tensor]:
    """The plainest methods of a three-channel input, written out with autograd."""
    x = x.clone().requires_grad_()
    maps = net.body(x)
    score = net.head(maps.mean((2, 3)))[:, target].sum()
    g, g_maps = torch.autograd.grad(score, [x, maps])
    largest = torch.where(g.amax(1, keepdim=True) >= -g.amin(1, keepdim=True), g.amax(1, True), g.amin(1, True))
    cam = (g_maps.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
    return {
        "gradient": largest,
        "input_x_gradient": (x * g).sum(1, keepdim=True),
        "gradcam_signed": F.interpolate(cam, x.shape[-2:], mode="bilinear", align_corners=False),
        "gradcam": F.interpolate(cam.relu(), x.shape[-2:], mode="bilinear", align_corners=False),
    }


def test_the_plain_methods_equal_autograd_written_out_for_three_channels() -> None:
    net, x = frozen(Biasless(4, channels=3)), film_batch(4, channels=3)
    expected = _by_hand(net, x, 2)
    for method in expected:
        torch.testing.assert_close(attribute(net, x, 2, method), expected[method].detach(), msg=method)


@pytest.mark.parametrize("method", METHODS)
def test_how_relu_and_pooling_are_written_makes_no_difference(method: str) -> None:
    x = film_batch(5)
    reference = attribute(frozen(Twin()), x, 1, method, **quick(method))
    assert float(reference.abs().max()) > 0
    for relu in TWIN_RELUS:
        assert torch.equal(attribute(frozen(Twin(relu=relu)), x, 1, method, **quick(method)), reference), relu
    for pool in TWIN_POOLS:
        torch.testing.assert_close(
            attribute(frozen(Twin(pool=pool)), x, 1, method, **quick(method)), reference, msg=pool
        )


def test_torchvision_densenet_with_its_in_place_relus_has_the_maps_of_its_copy_without() -> None:
    from torchvision.models import DenseNet

    torch.manual_seed(0)
    theirs = frozen(DenseNet(SMALL.growth, SMALL.blocks, SMALL.stem, num_classes=5))
    ours = random_densenet(0)
    theirs.features.conv0 = nn.Conv2d(1, SMALL.stem, 7, 2, 3, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    frozen(theirs)
    x = film_batch(6)
    for method in METHODS:
        maps = (attribute(net, x, 4, method, **quick(method)) for net in (theirs, ours))
        torch.testing.assert_close(*maps, msg=method)


def test_the_last_map_is_found_past_a_squeeze_and_under_two_poolings() -> None:
    net, x = frozen(Squeeze()), film_batch(8)
    maps = net.maps(x).requires_grad_()
    (g,) = torch.autograd.grad(net.top(maps)[:, 1].sum(), [maps])
    expected = (g.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
    torch.testing.assert_close(native_map(Forward(net, x), 1, "gradcam_signed"), expected.detach())


def test_a_named_layer_gives_the_map_after_its_relu() -> None:
    net, x = random_densenet(9), film_batch(9)
    last = native_map(Forward(net, x), 0, "gradcam_signed")
    named = native_map(Forward(net, x), 0, "gradcam_signed", layer="features.norm5")
    torch.testing.assert_close(named, last)
    third = native_map(Forward(net, x), 0, "gradcam_signed", layer="features.transition3.relu")
    assert third.shape[-1] == 2 * last.shape[-1]


def test_coarse_maps_are_drawn_up_bilinearly_with_clamped_borders() -> None:
    net, x = random_densenet(10), film_batch(10)
    full, native = (f(net, x) for f in (_full, _native))
    assert torch.equal(full, F.interpolate(native, x.shape[-2:], mode="bilinear", align_corners=False))
    assert torch.equal(full[..., 0, 0], native[..., 0, 0])


def _full(net: nn.Module, x: Tensor) -> Tensor:
    return attribute(net, x, 0, "gradcam_signed")


def _native(net: nn.Module, x: Tensor) -> Tensor:
    return native_map(Forward(net, x), 0, "gradcam_signed")


class WritesFirst(nn.Module):
    """Begins with operators that write into their input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.norm, self.head = nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.norm(self.conv(x.sub_(0.25).relu_()))
        z.relu_()  # as a statement: what it returns is not used
        return self.head(z.mean((2, 3)))


@pytest.mark.parametrize("method", EXPLAINING)
def test_the_callers_film_stays_what_it_was(method: str) -> None:
    net, x = frozen(WritesFirst()), film_batch(6, size=32)
    kept = x.clone()
    forward = Forward(net, x)
    first = native_map(forward, 1, method, **quick(method))
    assert torch.equal(x, kept)
    assert torch.equal(first, native_map(Forward(net, kept), 1, method, **quick(method)))


def test_a_named_layer_is_read_where_its_relu_is_a_statement() -> None:
    net, x = frozen(WritesFirst()), film_batch(6, size=32)
    named = attribute(net, x, 1, "gradcam_signed", layer="norm")
    torch.testing.assert_close(named, attribute(net, x, 1, "gradcam_signed"))


class ChecksItsInput(nn.Module):
    """Looks at the range of its input first, as torchxrayvision's networks do on their first run."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        if x.min() < -1025 or x.max() > 1025:
            raise ValueError("not a normalised film")
        return self.net(x)


@pytest.mark.parametrize("method", [name for name in EXPLAINING if METHODS[name].single])
def test_a_look_at_the_inputs_range_changes_nothing(method: str) -> None:
    net, x = random_densenet(3), film_batch(3)
    looking = frozen(ChecksItsInput(net))
    torch.testing.assert_close(attribute(looking, x, 2, method), attribute(net, x, 2, method), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["gradient", "guided_backprop", "rectgrad", "lrp_epsilon_plus", "fullgrad_signed"])
def test_torchxrayvisions_own_densenet_is_explained_as_it_comes(method: str) -> None:
    torch.manual_seed(0)
    shape = {"growth_rate": 4, "block_config": (2, 2, 2), "num_init_features": 8, "num_classes": 5, "in_channels": 1}
    theirs = torchxrayvision().models.DenseNet(**shape).eval().requires_grad_(False)
    x = 1024 * film_batch(1).float()
    ours, _ = adapt(copy.deepcopy(theirs), ["A", "B", "C", "D", "E"])
    kept = theirs(x)
    torch.testing.assert_close(attribute(theirs, x, 2, method), attribute(ours, x, 2, method))
    assert torch.equal(theirs(x), kept)
