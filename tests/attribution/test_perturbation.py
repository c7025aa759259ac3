"""Occlusion, RISE and ablation against plain loops, closed forms and captum."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import Occlusion
from helpers.closed_form import TWIN_POOLS, Biasless, Squeeze, Twin, film_batch, frozen, random_densenet, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import AblationCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from xrayinterp.attribution import Forward, Target, attribute, native_map
from xrayinterp.attribution.fills import filled
from xrayinterp.attribution.perturbation import _masks, _windows, unit_drops
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.reader import read
from xrayinterp.models.zoo import load_model

SEEDS = st.integers(0, 2**16)


class Weighted(nn.Module):
    """Logits w x + 3, v x - 1 and their sum, linear in the film."""

    def __init__(self, w: Tensor, v: Tensor) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(w, requires_grad=False), nn.Parameter(v, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = ((x * weight).sum((1, 2, 3)) for weight in (self.w, self.v))
        return torch.stack([a + 3, b - 1, a + b + 2], 1)


def _weighted(side: int = 16) -> Weighted:
    w, v = torch.zeros(side, side).double(), torch.zeros(side, side).double()
    w[3, 4], v[10, 12] = 2.0, -1.5
    return Weighted(w, v).eval()


@pytest.mark.parametrize("fill", ["zeros", "black", "mean", "blur"])
def test_occlusion_is_the_plain_loop(fill: Any) -> None:
    net, x = random_densenet(0), film_batch(0)[..., :40]
    window, stride = 12, 7  # of a shorter side of 40: a round(2.14) by 1.25 ... in 224ths below
    got = attribute(net, x, 3, "occlusion", window=window * 224 / 40, stride=stride * 224 / 40, fill=fill)
    filling, own = filled(x, fill), net(x)[:, 3]
    total, count = torch.zeros_like(x), torch.zeros_like(x)
    for top in (0, 7, 14, 21, 28, 35, 42, 49, 56):
        for left in (0, 7, 14, 21, 28):
            place = (..., slice(top, top + 12), slice(left, left + 12))
            if top - 7 + 12 >= 64:
                continue
            copy = x.clone()
            copy[place] = filling[place]
            total[place] += (own - net(copy)[:, 3])[:, None, None, None]
            count[place] += 1
    torch.testing.assert_close(got, total / count, rtol=1e-8, atol=1e-11)


def test_captums_occlusion_agrees() -> None:
    net, x = frozen(Biasless(1)), film_batch(1)
    theirs = Occlusion(net).attribute(x, (1, 4, 4), strides=(1, 2, 2), target=2, perturbations_per_eval=64)
    torch.testing.assert_close(attribute(net, x, 2, "occlusion"), theirs.double(), rtol=1e-4, atol=1e-7)


def test_the_default_is_784_windows_of_15_pixels_that_cover_the_film() -> None:
    windows = _windows(224, 15, 8, 224)
    assert len(windows) ** 2 == 784
    assert {w.stop - w.start for w in windows[:-1]} == {15}
    assert windows[-1] == slice(216, 224)
    assert _windows(448, 15, 8, 448)[1] == slice(16, 46)
    assert _windows(5, 15, 8, 5) == [slice(i, i + 1) for i in range(5)]


@given(st.integers(1, 300), st.floats(1, 224), st.floats(1, 224))
def test_windows_cover_every_pixel_or_are_refused(side: int, window: float, stride: float) -> None:
    try:
        windows = _windows(side, window, stride, side)
    except XrayInterpError as error:
        assert error.code is Code.BAD_OPTION
        assert stride > window - 1
        return
    assert {i for w in windows for i in range(w.start, w.stop)} == set(range(side))
    assert all(w.stop > w.start for w in windows)


def test_gaps_are_refused_with_the_sizes() -> None:
    with pytest.raises(XrayInterpError, match="4 pixels at steps of 9"):
        attribute(random_densenet(0), film_batch(0), 0, "occlusion", stride=32)


def test_a_film_without_structure_loses_nothing_to_its_own_mean() -> None:
    x = torch.full((1, 1, 64, 64), 0.3).double()
    assert float(attribute(random_densenet(2), x, 0, "occlusion", fill="mean").abs().max()) < 1e-12


def test_rise_is_the_plain_loop() -> None:
    net, x = random_densenet(3), film_batch(3)[..., :40]
    got = attribute(net, x, 1, "rise", masks=19, cells=5, kept=0.4, seed=7, fill="black")
    masks = torch.stack(list(_masks(19, 5, 0.4, (64, 40), 7, x)))
    filling = filled(x, "black")
    for i, film in enumerate(x):
        f = torch.stack([net((film * m + filling[i] * (1 - m))[None])[0, 1] for m in masks])
        expected = ((f - f.mean())[:, None, None, None] * masks).sum(0) / (19 * 0.4)
        torch.testing.assert_close(got[i], expected, rtol=1e-8, atol=1e-11)


@given(st.integers(1, 8), st.sampled_from([(16, 16), (64, 40), (7, 3), (1, 1)]), SEEDS)
@settings(max_examples=20, deadline=None)
def test_masks_lie_between_closed_and_open_and_fit(cells: int, size: tuple[int, int], seed: int) -> None:
    like = torch.zeros(1).double()
    masks = torch.stack(list(_masks(5, cells, 0.5, size, seed, like)))
    assert masks.shape == (5, 1, *size)
    assert bool(((masks >= -1e-12) & (masks <= 1 + 1e-12)).all())
    assert torch.equal(masks, torch.stack(list(_masks(5, cells, 0.5, size, seed, like))))


def test_masks_are_open_as_often_as_asked() -> None:
    masks = torch.stack(list(_masks(2000, 4, 0.3, (16, 16), 0, torch.zeros(1))))
    assert abs(float(masks.mean()) - 0.3) < 0.01
    assert float((masks.mean(0) - 0.3).abs().max()) < 0.05


def test_rise_is_linear_in_the_logit_and_blind_to_its_offset() -> None:
    net, x = _weighted(), torch.ones(1, 1, 16, 16).double()
    a, b, both = (attribute(net, x, target, "rise", masks=200) for target in range(3))
    torch.testing.assert_close(a + b, both)
    torch.testing.assert_close(attribute(net, x, -Target(0), "rise", masks=200), -a)
    kept = attribute(net, x, 0, "rise", masks=200, offset="kept")
    masks = torch.stack(list(_masks(200, 7, 0.5, (16, 16), 0, x)))
    f = torch.stack([net(x * m)[0, 0] for m in masks])
    torch.testing.assert_close(kept - a, f.mean() * masks.mean(0, keepdim=True)[:, :1] / 0.5)


def test_rise_finds_the_pixel_that_matters_with_its_sign() -> None:
    net, x = _weighted(), torch.ones(1, 1, 16, 16).double()
    a, b = (attribute(net, x, target, "rise", masks=3000)[0, 0] for target in range(2))
    assert float((torch.tensor(divmod(int(a.argmax()), 16)) - torch.tensor([3, 4])).abs().max()) <= 1
    assert float((torch.tensor(divmod(int(b.argmin()), 16)) - torch.tensor([10, 12])).abs().max()) <= 1


def test_rise_depends_on_its_seed_alone() -> None:
    net, x = random_densenet(4), film_batch(4)
    first, again, other = (attribute(net, x, 1, "rise", masks=20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    state = torch.get_rng_state()
    attribute(net, x, 1, "rise", masks=4)
    assert torch.equal(torch.get_rng_state(), state)


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_ablation_is_the_contribution_at_the_last_layer(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed, samples=3)
    target = torch.tensor([4, 0, 2])
    drops = unit_drops(Forward(net, x), Target(target))
    contributions = net.classifier.weight[target] * F.relu(net.features(x)).mean((2, 3))
    torch.testing.assert_close(drops, contributions, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(drops.sum(1) + net.classifier.bias[target], net(x)[[0, 1, 2], target])


def _drops_by_hand(top: Callable[[Tensor], Tensor], maps: Tensor, target: int) -> Tensor:
    drops = []
    for unit in range(maps.shape[1]):
        without = maps.clone()
        without[:, unit] = 0
        drops.append((top(maps) - top(without))[:, target])
    return torch.stack(drops, 1)


def test_a_head_with_bends_and_a_gate_below_is_ablated_as_by_hand() -> None:
    net, x = frozen(Squeeze()), film_batch(5)
    maps = net.maps(x)
    drops = _drops_by_hand(net.top, maps, 1)
    torch.testing.assert_close(unit_drops(Forward(net, x), Target(1)), drops)
    cam = torch.einsum("nk,nkhw->nhw", drops, maps)[:, None]
    torch.testing.assert_close(native_map(Forward(net, x), 1, "ablation_cam"), cam)


@pytest.mark.parametrize("pool", TWIN_POOLS)
@pytest.mark.parametrize("relu", ["functional", "in-place function"])
def test_ablation_does_not_care_how_relu_and_pooling_are_written(pool: str, relu: str) -> None:
    x = film_batch(6)
    net = frozen(Twin(relu, pool))
    before = snapshot(net)
    expected = unit_drops(Forward(frozen(Twin()), x), Target(1))
    torch.testing.assert_close(unit_drops(Forward(net, x), Target(1)), expected)
    assert snapshot(net) == before


def test_only_what_lies_above_the_last_map_runs_once_a_unit() -> None:
    class Counting(nn.Module):
        films = 0

        def forward(self, x: Tensor) -> Tensor:
            self.films += len(x)
            return x

    counting = Counting()
    net = frozen(nn.Sequential(counting, Biasless(0)))
    unit_drops(Forward(net, film_batch(7)), Target(0))
    assert counting.films == 4  # two films cut together, then each once with its ablated maps


def test_units_too_many_for_memory_are_ablated_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = random_densenet(8), film_batch(8)
    expected = unit_drops(Forward(net, x), Target(1))
    monkeypatch.setattr("xrayinterp.attribution.perturbation.MEMORY", 100_000)
    torch.testing.assert_close(unit_drops(Forward(net, x), Target(1)), expected)


def test_a_map_that_is_joined_with_others_is_refused() -> None:
    class Joined(Biasless):
        def forward(self, x: Tensor) -> Tensor:
            lower = self.body[:2](x)
            pooled = torch.cat([lower.mean((2, 3))[:, :2], self.body[2:](lower).mean((2, 3))[:, 2:]], 1)
            logits: Tensor = self.head(pooled)
            return logits

    with pytest.raises(XrayInterpError, match="joins its last map") as caught:
        attribute(frozen(Joined(0)), film_batch(9), 0, "ablation_cam")
    assert caught.value.code is Code.UNSUPPORTED_OPERATOR


def test_grad_cam_divides_by_the_logit_and_turns_the_weights_where_it_is_negative() -> None:
    net, x = frozen(Biasless(3), torch.float32), film_batch(10, samples=1).float()
    index = int(net(x).argmin())
    f = float(net(x)[0, index])
    assert f < 0
    maps = net.body(x)
    with AblationCAM(net, [net.body[3]]) as method:
        theirs = method.get_cam_weights(x, net.body[3], [ClassifierOutputTarget(index)], maps.numpy(), None)
    ours = unit_drops(Forward(net, x), Target(index)).numpy()
    np.testing.assert_allclose(theirs, ours / f, rtol=1e-3, atol=1e-5)


@pytest.mark.data
def test_a_real_films_units_are_ablated_exactly(data_root: Path) -> None:
    model = load_model("compact")
    x = model.prepare(read(next((data_root / "nih").rglob("*.png"))))
    index = int(model.logits(x).argmax())
    drops = unit_drops(Forward(model, x), Target(index))
    total = drops.sum() + model.module.get_parameter("classifier.bias")[index]
    torch.testing.assert_close(total, model.logits(x)[0, index], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_further_targets_run_nothing(method: str) -> None:
    net, x = random_densenet(0).float(), film_batch(0, samples=2).float()
    runs: list[int] = []
    net.register_forward_pre_hook(lambda *_: runs.append(1))
    forward = Forward(net, x)
    first = native_map(forward, 1, method)
    before = len(runs)
    second = native_map(forward, Target(torch.tensor([2, 0]), -1), method)
    assert len(runs) == before
    assert torch.equal(first, native_map(Forward(net, x), 1, method))
    assert torch.equal(second, native_map(Forward(net, x), Target(torch.tensor([2, 0]), -1), method))
