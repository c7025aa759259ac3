"""FullGrad: every term of the logit in float64, the published map done slowly, and what grad-cam's map leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import SMALL, TWIN_RELUS, Biasless, Twin, film_batch, frozen, random_densenet
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import FullGrad
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from xrayinterp.attribution import Forward, Target, attribute
from xrayinterp.attribution.fullgrad import _rescaled_sum, completeness
from xrayinterp.imaging.reader import read
from xrayinterp.models.architectures import DenseNetShape
from xrayinterp.models.zoo import load_model
from xrayinterp.operators.tape import record

SEEDS = st.integers(0, 2**16)
DEEP = DenseNetShape(growth=4, blocks=(6, 12, 24, 16), stem=8)
"""DenseNet-121's layers, narrow."""

PSI = {"fullgrad": torch.abs, "fullgrad_positive": torch.relu}


def test_the_logit_is_the_input_and_121_norms_and_the_classifier() -> None:
    net, x = random_densenet(0, shape=DEEP), film_batch(0, size=224)
    terms = completeness(Forward(net, x), Target(2))
    assert terms.biases.shape == (122, 2)
    torch.testing.assert_close(terms.score, net(x)[:, 2])
    assert float(terms.residual.abs().max()) < 1e-10
    assert float(terms.biases[:-1].abs().sum(0).min()) > 0.1
    torch.testing.assert_close(terms.biases[-1], net.classifier.bias[2].expand(2))


def test_a_norms_running_mean_is_a_bias_too() -> None:
    net, x = random_densenet(1, shape=DEEP), film_batch(1)
    tape = record(net, x, biases=True)
    g_x, *rest = tape.gradients(Target(2).score, at=[tape.x, *(site.z for site in tape.biased)])
    betas = [m.bias for m in net.modules() if isinstance(m, nn.BatchNorm2d)] + [net.classifier.bias]
    total = (x * g_x).sum() + sum((torch.einsum("nk...,k->", g, b) for g, b in zip(rest, betas, strict=True)), 0)
    assert abs(float(total - net(x)[:, 2].sum())) > 0.1
    assert float(completeness(Forward(net, x), Target(2)).residual.abs().max()) < 1e-10


@given(SEEDS, st.sampled_from([1, -1]))
@settings(max_examples=8, deadline=None)
def test_terms_sum_to_the_signed_logit(seed: int, sign: Any) -> None:
    net, x = random_densenet(seed), film_batch(seed, samples=3)
    terms = completeness(Forward(net, x), Target(torch.tensor([4, 0, 2]), sign))
    torch.testing.assert_close(terms.score, sign * net(x)[[0, 1, 2], [4, 0, 2]])
    assert float(terms.residual.abs().max()) < 1e-11


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_the_signed_map_sums_to_the_logit_less_the_dense_bias(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed)
    total = attribute(net, x, 3, "fullgrad_signed").sum((1, 2, 3))
    torch.testing.assert_close(total + net.classifier.bias[3], net(x)[:, 3], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("relu", TWIN_RELUS)
def test_biases_of_convolutions_norms_and_linear_maps_are_all_seen(relu: str) -> None:
    net, x = frozen(Twin(relu)), film_batch(2)
    terms = completeness(Forward(net, x), Target(1))
    assert terms.biases.shape == (4, 2)
    assert float(terms.residual.abs().max()) < 1e-13


def test_a_net_without_biases_is_its_input_alone() -> None:
    net, x = frozen(Biasless(3)), film_batch(3)
    terms = completeness(Forward(net, x), Target(1))
    assert terms.biases.shape == (0, 2)
    assert float(terms.residual.abs().max()) < 1e-13
    product = attribute(net, x, 1, "input_x_gradient")
    torch.testing.assert_close(attribute(net, x, 1, "fullgrad_signed"), product)
    low, high = (f(product.abs(), (2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    torch.testing.assert_close(attribute(net, x, 1, "fullgrad"), (product.abs() - low) / (high - low))


def test_a_bias_that_is_added_by_hand_shows_as_residual() -> None:
    class Shifted(Biasless):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.75

    residual = completeness(Forward(frozen(Shifted(4)), film_batch(4)), Target(0)).residual
    torch.testing.assert_close(residual, torch.full_like(residual, 0.75))


def _slowly(net: nn.Module, x: Tensor, target: int, psi: Any, corners: bool, rescale: bool) -> Tensor:
    """Every unit drawn up by itself and added, in the order of the publication's code."""
    tape = record(net, x, biases=True)
    spatial = [site for site in tape.biased if site.z.ndim == 4]
    g_x, *rest = tape.gradients(Target(target).score, at=[tape.x, *(site.z for site in spatial)])
    shares = [x * g_x, *(g * site.b[:, None, None] for site, g in zip(spatial, rest, strict=True))]
    total = torch.zeros(len(x), 1, *x.shape[-2:], dtype=x.dtype)
    for share in shares:
        for film, values in enumerate(psi(share)):
            if rescale:
                values = values - values.min()
                values = values / values.max()
            area = 1 if rescale else values[0].numel() / x[0, 0].numel()
            for unit in values:
                total[film] += (
                    area * F.interpolate(unit[None, None], x.shape[-2:], mode="bilinear", align_corners=corners)[0]
                )
    return total


@pytest.mark.parametrize("corners", ["no", "yes"])
@pytest.mark.parametrize("rescale", ["layer", "none"])
@pytest.mark.parametrize("method", PSI)
def test_units_summed_first_give_the_map_of_units_drawn_up_one_by_one(method: str, rescale: str, corners: str) -> None:
    net, x = random_densenet(5), film_batch(5)
    slow = _slowly(net, x, 2, PSI[method], corners == "yes", rescale == "layer")
    fast = attribute(net, x, 2, method, rescale=rescale, align_corners=corners)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-11)


def test_rescaling_the_signed_map_keeps_its_signs() -> None:
    net, x = random_densenet(6), film_batch(6)
    assert float(attribute(net, x, 2, "fullgrad_signed", rescale="layer").min()) < 0
    flipped = attribute(net, x, Target(2, sign=-1), "fullgrad_signed", rescale="layer")
    torch.testing.assert_close(flipped, -attribute(net, x, 2, "fullgrad_signed", rescale="layer"))


def test_a_film_that_moves_nothing_has_an_even_map_without_nans() -> None:
    net = frozen(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1)))
    nn.init.zeros_(net[4].weight)
    for method in (*PSI, "fullgrad_signed"):
        assert not bool(attribute(net, film_batch(7), 0, method, rescale="layer").any())


def test_grad_cam_rescales_each_unit_by_itself_so_that_the_size_of_biases_is_lost() -> None:
    net, x = random_densenet(8).float(), film_batch(8, samples=1).float()
    scales = np.random.default_rng(0)
    with FullGrad(net, []) as method:
        targets = [ClassifierOutputTarget(1)]
        first = method(input_tensor=x.clone(), targets=targets)
        method.bias_data = [b * 10 ** scales.uniform(1, 3, b.shape).astype(b.dtype) for b in method.bias_data]
        second = method(input_tensor=x.clone(), targets=targets)
    np.testing.assert_allclose(first, second, atol=2e-3)  # any biases at all give this map
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        assert norm.bias.shape[0] >= SMALL.growth
    ours = attribute(net, x, 1, "fullgrad")[0, 0].numpy()
    assert np.corrcoef(first[0].ravel(), ours.ravel())[0, 1] < 0.999


@pytest.mark.data
def test_a_real_film_is_explained_completely(data_root: Path) -> None:
    model = load_model("compact")
    x = model.prepare(read(next((data_root / "nih").rglob("*.png"))))
    index = int(model.logits(x).argmax())
    terms = completeness(Forward(model, x), Target(index))
    scale = terms.biases.abs().sum(0) + terms.input.abs()
    assert float((terms.residual / scale).abs().max()) < 1e-5
    dense = model.module.get_parameter("classifier.bias")[index]
    total = attribute(model, x, index, "fullgrad_signed").sum() + dense
    torch.testing.assert_close(total, model.logits(x)[0, index], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_signed_layer_of_one_sign_is_only_divided(sign: float) -> None:
    values = sign * torch.tensor([[[[1.0, 2.0]]]])
    assert _rescaled_sum(values, signed=True).tolist() == [[[[sign * 0.5, sign * 1.0]]]]
    assert _rescaled_sum(values.abs(), signed=False).tolist() == [[[[0.0, 1.0]]]]
