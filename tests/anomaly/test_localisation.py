"""Maps: closed forms, both paths, absolute scale, and what is done to maps afterwards."""

from __future__ import annotations

import pytest
import torch
from helpers.anomaly import Capped, Tupled, frozen_expert, linear_relu, tiny_expert, waves, with_disc
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from xrayinterp.anomaly.discrepancy import weights_of
from xrayinterp.anomaly.distillation import DistillationDetector
from xrayinterp.anomaly.experts import cloner_of
from xrayinterp.anomaly.fitting import Learned, Settings
from xrayinterp.anomaly.localisation import METHODS, Localisation, blurred, finished, localise, opened
from xrayinterp.anomaly.pair import Pair
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.training.measure import auroc

VALUE = weights_of("value", 1.0, 1)
SHARP = Localisation(blur=0)


def capped_pair() -> Pair:
    return Pair(frozen_expert(nn.Sequential(nn.Identity()), ["0"]), Capped(), [0])


def test_gradient_marks_exactly_what_the_cloner_cannot_follow() -> None:
    x = torch.rand(2, 1, 6, 6, dtype=torch.float64) * 2
    found = localise(capped_pair(), VALUE, x, SHARP)
    expected = torch.where(x > 1, 2 * (x - 1) / 36, 0)
    assert torch.allclose(found, expected, atol=1e-15)
    perfect = auroc((x > 1).double().flatten().numpy(), found.flatten().numpy())
    assert perfect.item() == 1
    assert auroc((x > 1).double().flatten().numpy(), torch.ones(72).numpy()).item() == 0.5


def test_guided_backpropagation_rules_both_paths() -> None:
    expert, cloner = linear_relu([[2, 1], [2, -1]]), linear_relu([[1, 0], [3, 1]])
    pair = Pair(frozen_expert(expert, ["1"]), Tupled(cloner), [0])
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)  # S = (3, 1), C = (1, 4): dL/dS = (2, -3), dL/dC = (-2, 3)
    plain = localise(pair, VALUE, x, SHARP)
    guided = localise(pair, VALUE, x, Localisation(method="guided", blur=0))
    assert plain.flatten().tolist() == [5, 8]  # A' (2, -3) + B' (-2, 3)
    assert guided.flatten().tolist() == [13, 5]  # A' (2, 0) + B' (0, 3); on the cloner alone it would be (7, 8)


def test_smoothgrad_is_the_mean_gradient_in_noise_that_follows_the_image_range() -> None:
    x = torch.linspace(0.8, 2, 16, dtype=torch.float64).view(1, 1, 4, 4)
    found = localise(capped_pair(), VALUE, x, Localisation(method="smoothgrad", blur=0, samples=3, noise=0.1, seed=5))
    draws = torch.Generator().manual_seed(5)
    noisy = [x + 0.12 * torch.randn((1, 4, 4), generator=draws).to(x) for _ in range(3)]
    mean = sum(torch.where(z > 1, 2 * (z - 1) / 16, 0) for z in noisy) / 3
    assert torch.allclose(found, mean, atol=1e-12)
    still = localise(capped_pair(), VALUE, x, Localisation(method="smoothgrad", blur=0, samples=2, noise=0))
    assert torch.allclose(still, localise(capped_pair(), VALUE, x, SHARP), atol=1e-15)


def test_difference_is_the_squared_one_of_the_features() -> None:
    x = torch.rand(1, 1, 5, 5, dtype=torch.float64) * 2
    found = localise(capped_pair(), VALUE, x, Localisation(method="difference", blur=0))
    assert torch.allclose(found, (x - x.clamp(max=1)) ** 2)


def fitted(seed: int = 0) -> DistillationDetector:
    expert = tiny_expert(seed)
    learned = Learned(cloner_of(expert).eval().requires_grad_(False), 1.0)
    return DistillationDetector(expert, Settings(), learned=learned, weights=weights_of("both", 0.5, 3))


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_absolute(method: str) -> None:
    detector, images = fitted(), waves(3)
    options = {"method": method, "samples": 2}
    together = detector.maps(images, **options)
    alone = torch.cat([detector.maps(image[None], **options) for image in images])
    assert together.shape == images.shape
    assert bool((together >= 0).all())
    assert torch.allclose(together, alone, rtol=1e-3, atol=1e-7)
    assert torch.allclose(detector.scores(images)[1:2], detector.scores(images[1:2]), rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_expert_cloner_or_image(method: str) -> None:
    detector, images = fitted(), waves(2)
    assert detector.learned is not None
    modules = (detector.expert.module, detector.learned.cloner)
    before = [{k: v.clone() for k, v in module.state_dict().items()} for module in modules]
    kept = images.clone()
    detector.maps(images, method=method, samples=2)
    for module, state in zip(modules, before, strict=True):
        assert all(torch.equal(state[name], tensor) for name, tensor in module.state_dict().items())
        assert not any(p.requires_grad or p.grad is not None for p in module.parameters())
        assert not any(part._forward_hooks or part._backward_hooks for part in module.modules())
    assert torch.equal(images, kept)
    assert not images.requires_grad


def test_a_difference_has_the_weights_of_the_score() -> None:
    pair = Pair(frozen_expert(nn.Sequential(nn.Identity()), ["0"]), Capped(), [0])
    x = torch.rand(1, 1, 5, 5, dtype=torch.float64) * 2
    how = Localisation(method="difference", blur=0)
    with pytest.raises(XrayInterpError, match="has no difference at a position") as caught:
        localise(pair, weights_of("direction", 1.0, 1), x, how)
    assert caught.value.code is Code.BAD_OPTION
    pair.direction = "position"  # of one channel: all directions agree but where one is zero
    assert localise(pair, weights_of("direction", 1.0, 1), x, how).abs().max() < 1e-12
    found = localise(pair, weights_of("both", 2.0, 1), x, how)
    assert torch.allclose(found, 2 * (x - x.clamp(max=1)) ** 2)


@pytest.mark.parametrize("method", METHODS)
def test_no_image_has_no_map(method: str) -> None:
    assert fitted().maps(waves(2)[:0], method=method).shape == (0, 1, 64, 64)


def test_an_unknown_option_of_a_map_names_those_there_are() -> None:
    with pytest.raises(XrayInterpError, match="no option 'sigma'") as caught:
        fitted().maps(waves(1), sigma=2.0)
    assert caught.value.code is Code.BAD_OPTION
    assert "blur" in caught.value.hint


def test_a_double_score_has_a_double_map() -> None:
    detector = fitted()
    one = detector.maps(waves(1), blur=2.0)
    detector.weights = weights_of("both", 1.0, 3)
    assert detector.weights is not None
    detector.weights = type(detector.weights)(value=(1.0,) * 3, direction=(2.0,) * 3)
    assert torch.allclose(detector.maps(waves(1), blur=2.0), 2 * one, rtol=1e-4, atol=1e-9)


def test_opening_by_the_plus() -> None:
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., 1, 1] = True  # a single pixel
    mask[..., 4:7, 4:7] = True  # an isolated square of 3 x 3
    left = opened(mask)
    plus = torch.zeros_like(mask)
    plus[..., 5, 4:7] = plus[..., 4:7, 5] = True
    assert torch.equal(left, plus)
    assert torch.equal(opened(left), left)


@given(seed=st.integers(0, 300))
def test_opening_removes_only_and_once(seed: int) -> None:
    mask = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(seed)) > 0.3
    left = opened(mask)
    assert not bool((left & ~mask).any())
    assert torch.equal(opened(left), left)


def test_blur_keeps_constants_and_mass() -> None:
    assert torch.allclose(blurred(torch.full((1, 1, 9, 9), 3.0), 2.0), torch.full((1, 1, 9, 9), 3.0), atol=1e-5)
    spot = torch.zeros(1, 1, 41, 41)
    spot[..., 20, 20] = 1
    soft = blurred(spot, 2.0)
    assert soft.sum().item() == pytest.approx(1, abs=1e-5)
    assert soft[0, 0, 20, 20].item() == pytest.approx(1 / (2 * torch.pi * 4), rel=0.01)


def test_threshold_cuts_and_keeps_the_scale() -> None:
    maps = torch.tensor([[[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]]])
    cut = finished(maps, Localisation(blur=0, threshold=0.5))
    assert torch.equal(cut, torch.where(maps >= 0.5, maps, 0))
    gone = finished(maps, Localisation(blur=0, threshold=0.5, opening=True))
    assert gone.abs().max() == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"method": "gradcam"}, Code.UNKNOWN_METHOD),
        ({"blur": -1.0}, Code.BAD_OPTION),
        ({"opening": True}, Code.BAD_OPTION),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], code: Code) -> None:
    with pytest.raises(XrayInterpError) as caught:
        Localisation(**options)  # type: ignore[arg-type]
    assert caught.value.code is code


def test_a_disc_among_stripes_is_found() -> None:
    normals = waves(96)
    detector = DistillationDetector(tiny_expert(), Settings(epochs=12, batch=16, rate=5e-3)).fit(normals)
    odd, mask = with_disc(waves(6, seed=9))
    assert detector.scores(odd).min() > detector.scores(waves(6, seed=9)).max()
    for method in ("gradient", "difference"):
        found = detector.maps(odd, method=method, blur=2.0)
        truth = mask.expand_as(found).double().flatten().numpy()
        assert auroc(truth, found.flatten().numpy()).item() > 0.8, method


@pytest.mark.parametrize("option", [{"blur": float("nan")}, {"threshold": float("nan")}, {"samples": 2.5}])
def test_an_option_that_is_no_proper_number_is_refused(option: dict[str, float]) -> None:
    with pytest.raises(XrayInterpError) as caught:
        Localisation.of(**option)
    assert caught.value.code is Code.BAD_OPTION
