"""captum, zennit and pytorch-grad-cam: agreement where they are right, and each place where they are not.

DenseNet as torchvision publishes it has its last ReLU as a function; the twin has it, and the pooling, as modules.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from helpers.closed_form import SMALL, film_batch, frozen, random_densenet, snapshot
from torch import Tensor, nn
from torchvision.models import DenseNet as Published

from xrayinterp.attribution import Forward, Target, attribute
from xrayinterp.operators import rules
from xrayinterp.operators.relevance_rules import Z_PLUS, AlphaBeta, Composite, Epsilon
from xrayinterp.operators.tape import ReluRule, plain, record

OUTPUTS, TARGET = 5, 3
SITES = 1 + 2 * sum(SMALL.blocks) + 3 + 1


@pytest.fixture(autouse=True)
def _their_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def published() -> nn.Module:
    """torchvision's DenseNet with random weights and statistics; float32, one grey channel."""
    net = Published(SMALL.growth, SMALL.blocks, SMALL.stem, num_classes=OUTPUTS)
    net.features.conv0 = nn.Conv2d(1, SMALL.stem, 7, 2, 3, bias=False)
    net.load_state_dict(random_densenet(0, outputs=OUTPUTS).float().state_dict())
    return frozen(net, torch.float32)


def twin() -> nn.Module:
    """The same network of modules only, none in place."""
    net = published()
    whole = nn.Sequential(net.features, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier)
    for part in whole.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return whole.eval()


def film() -> Tensor:
    return film_batch(0, samples=1).float()


def arriving(net: nn.Module, rule: ReluRule) -> Tensor:
    return Forward(net, film()).input_gradient(Target(TARGET), rule)


def all_but_the_last(rule: ReluRule) -> ReluRule:
    """What a library does that never sees the functional ReLU: the gradient there, the rule elsewhere."""
    return lambda site, a, R: (plain if site == SITES - 1 else rule)(site, a, R)


def captum_guided(net: nn.Module) -> Tensor:
    from captum.attr import GuidedBackprop

    return GuidedBackprop(net).attribute(film().requires_grad_(), target=TARGET)


def captum_deconvolution(net: nn.Module) -> Tensor:
    from captum.attr import Deconvolution

    return Deconvolution(net).attribute(film().requires_grad_(), target=TARGET)


def zennit_map(net: nn.Module, composite: object, start: Callable[[Tensor], Tensor]) -> Tensor:
    from zennit.attribution import Gradient

    with Gradient(net, composite) as attributor:
        _, found = attributor(film(), start)
    return found


def one_hot(logits: Tensor) -> Tensor:
    return torch.eye(OUTPUTS)[[TARGET]].expand_as(logits)


def zennit_guided(net: nn.Module) -> Tensor:
    from zennit.composites import GuidedBackprop

    return zennit_map(net, GuidedBackprop(), one_hot)


def gradcam_guided(net: nn.Module) -> Tensor:
    from pytorch_grad_cam import GuidedBackpropReLUModel

    found = GuidedBackpropReLUModel(model=net, device="cpu")(film(), target_category=TARGET)
    return torch.as_tensor(found).reshape(film().shape)


PEERS: dict[str, tuple[Callable[[nn.Module], Tensor], ReluRule]] = {
    "captum guided": (captum_guided, rules.guided),
    "captum deconvolution": (captum_deconvolution, rules.deconvnet),
    "zennit guided": (zennit_guided, rules.guided),
    "pytorch-grad-cam guided": (gradcam_guided, rules.guided),
}


def test_the_published_net_and_its_twin_are_one_function_to_us() -> None:
    assert len(record(published(), film()).activations) == len(record(twin(), film()).activations) == SITES
    for rule in (plain, rules.guided, rules.deconvnet, rules.rectgrad(0.9)):
        torch.testing.assert_close(arriving(published(), rule), arriving(twin(), rule), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("peer", PEERS)
def test_on_modules_alone_they_agree_with_us(peer: str) -> None:
    run, rule = PEERS[peer]
    torch.testing.assert_close(run(twin()), arriving(twin(), rule), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("peer", PEERS)
def test_on_densenet_as_published_they_miss_its_functional_relu_without_a_word(peer: str) -> None:
    run, rule = PEERS[peer]
    theirs, ours = run(published()), arriving(published(), rule)
    torch.testing.assert_close(theirs, arriving(published(), all_but_the_last(rule)), rtol=1e-4, atol=1e-6)
    assert float((theirs - ours).abs().max() / ours.abs().max()) > 0.01


def test_zennit_epsilon_plus_and_alpha_beta_agree_on_modules_where_batch_norm_is_passed() -> None:
    from zennit.composites import EpsilonAlpha2Beta1, EpsilonPlus

    graph = Forward(twin(), film()).relevance()
    same = Epsilon(1e-6)
    for theirs, convolution in ((EpsilonPlus(), Z_PLUS), (EpsilonAlpha2Beta1(), AlphaBeta(2.0, 1.0))):
        found = graph.propagate(Target(TARGET).score, Composite(same, convolution, sums=same)).input
        expected = zennit_map(twin(), theirs, lambda logits: one_hot(logits) * logits)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_zennit_epsilon_plus_is_ours_where_every_average_is_of_rectified_maps() -> None:
    from zennit.composites import EpsilonPlus

    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(800, 20), nn.ReLU(), nn.Linear(20, OUTPUTS))
    expected = zennit_map(net.eval(), EpsilonPlus(), lambda logits: one_hot(logits) * logits)
    found = attribute(net, film(), TARGET, "lrp_epsilon_plus")
    torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_zennit_does_not_share_by_size_in_a_functional_average() -> None:
    from zennit.composites import EpsilonPlus

    theirs = zennit_map(published(), EpsilonPlus(), lambda logits: one_hot(logits) * logits)
    on_twin = zennit_map(twin(), EpsilonPlus(), lambda logits: one_hot(logits) * logits)
    assert float((theirs - on_twin).abs().max() / on_twin.abs().max()) > 0.01
    ours = (attribute(net, film(), TARGET, "lrp_epsilon_plus") for net in (published(), twin()))
    torch.testing.assert_close(*ours, rtol=1e-4, atol=1e-5)


def test_zennit_cannot_merge_the_batch_norm_of_a_densenet() -> None:
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import EpsilonPlus

    with pytest.raises(RuntimeError, match="must match the size"):
        zennit_map(published(), EpsilonPlus(canonizers=[SequentialMergeBatchNorm()]), one_hot)


class Flattened(nn.Module):
    """The twin but for its flattening, a function."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = twin()[:3], twin()[4]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).flatten(1))
        return logits


def test_captum_knows_no_relevance_through_a_flatten_module_and_its_maps_depend_on_how_a_net_is_written() -> None:
    from captum.attr import LRP

    def theirs(net: nn.Module) -> Tensor:
        found: Tensor = LRP(net).attribute(film().requires_grad_(), target=TARGET).detach()
        return found

    with pytest.raises(TypeError, match="Flatten"):
        theirs(twin())
    first, second = theirs(published()), theirs(Flattened().eval())
    assert float((first - second).abs().max() / second.abs().max()) > 0.01
    ours = [attribute(net, film(), TARGET, "lrp_epsilon") for net in (published(), twin(), Flattened().eval())]
    torch.testing.assert_close(ours[0], ours[1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ours[0], ours[2], rtol=1e-3, atol=1e-5)


def test_grad_cam_leaves_the_model_changed_and_we_do_not() -> None:
    net = published()
    before = snapshot(net)
    for method in ("guided_backprop", "rectgrad", "lrp_epsilon_plus"):
        attribute(net, film(), TARGET, method)
    assert snapshot(net) == before
    gradcam_guided(net)
    after = snapshot(net)
    assert after["bytes"] == before["bytes"]
    assert any(inplace for _, inplace in before["flags"].values())  # type: ignore[attr-defined]
    assert not any(inplace for _, inplace in after["flags"].values())  # type: ignore[attr-defined]
