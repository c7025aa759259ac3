from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from helpers.small_models import published_logits, published_network
from torch import nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.layout import DenseNetShape, dissection_layers
from xrayinterp.models.xrv import adapt, shape_of

ELEVEN = ("A", "B", "", "C", "D", "", "", "E", "F", "", "G", "", "", "", "H", "I", "J", "K")


@pytest.mark.parametrize("slots", [ELEVEN, tuple("ABCDEFGHIJKLMN") + ("",) * 4, tuple("ABCDEFGHIJKLMNOPQR"), ("", "A")])
@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_logits_equal_torchxrayvisions_bit_by_bit(slots: tuple[str, ...], batch: int) -> None:
    theirs = published_network(DenseNetShape(growth=12, blocks=(2, 3, 2, 2), stem=24), len(slots))
    ours, findings = adapt(theirs, slots)
    trained = [column for column, name in enumerate(slots) if name]
    x = (torch.rand(batch, 1, 96, 96, generator=torch.Generator().manual_seed(batch)) * 2 - 1) * 1024
    assert findings == tuple(name for name in slots if name)
    assert ours.classifier.weight.shape[0] == len(findings)
    assert torch.equal(ours(x), published_logits(theirs, x)[:, trained])


def test_densenet_121_bit_by_bit_with_signed_values_at_norm5() -> None:
    theirs = published_network(DenseNetShape(), 18)
    ours, findings = adapt(theirs, ELEVEN)
    x = (torch.rand(2, 1, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1) * 1024
    trained = [column for column, name in enumerate(ELEVEN) if name]
    assert torch.equal(ours(x), published_logits(theirs, x)[:, trained])
    assert len(findings) == 11
    assert sum(p.numel() for p in theirs.parameters()) == 6_966_034
    seen: list[torch.Tensor] = []
    handle = ours.features.norm5.register_forward_hook(lambda module, inputs, output: seen.append(output))
    ours(x)
    handle.remove()
    assert float(seen[0].min()) < 0  # in theirs a hook sees the values after an in-place ReLU
    layers = dissection_layers(DenseNetShape(), 224)
    assert {name: (layer.units, layer.grid) for name, layer in layers.items()} == {
        "denseblock1": (256, 56),
        "denseblock2": (512, 28),
        "denseblock3": (1024, 14),
        "norm5": (1024, 7),
    }


def test_adapting_changes_nothing_of_theirs(theirs: nn.Module) -> None:
    before = {key: tensor.clone() for key, tensor in theirs.state_dict().items()}
    ours, findings = adapt(theirs, ("A", "B", "", "D", "E", "F"))
    assert all(torch.equal(before[key], tensor) for key, tensor in theirs.state_dict().items())
    assert all(p.requires_grad for p in theirs.parameters())
    assert not any(p.requires_grad for p in ours.parameters())
    pointers = {p.data_ptr() for p in theirs.parameters()}
    assert not pointers & {p.data_ptr() for p in ours.parameters()}
    assert findings == ("A", "B", "D", "E", "F")


def test_gradients_of_trained_outputs_equal_theirs(theirs: nn.Module) -> None:
    ours, _ = adapt(theirs, ("A", "B", "", "D", "E", "F"))
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    (mine,) = torch.autograd.grad(ours(x)[0, 2], x)
    (expected,) = torch.autograd.grad(theirs.classifier(theirs.features2(x))[0, 3], x)
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-7)


def test_the_shape_is_read_off_the_weights(theirs: nn.Module) -> None:
    assert shape_of(theirs.state_dict()) == DenseNetShape(growth=8, blocks=(2, 2, 2, 2), stem=16, bottleneck=4)


def test_another_network_is_refused(theirs: nn.Module) -> None:
    with pytest.raises(XrayInterpError) as caught:
        adapt(nn.Linear(3, 3), ("A", "B", "C"))
    assert caught.value.code is Code.WEIGHTS_CORRUPT
    with pytest.raises(XrayInterpError, match="expected 2 rows"):
        adapt(theirs, ("A", "B"))


def test_importing_torchxrayvision_leaves_no_trace() -> None:
    code = """
import sys, warnings
import torch, torchvision  # what these set is theirs
warnings.simplefilter("default")
filters, path = list(warnings.filters), list(sys.path)
from xrayinterp.models.xrv import torchxrayvision
package = torchxrayvision()
assert package.__name__ == "torchxrayvision", package
assert warnings.filters == filters, set(warnings.filters) - set(filters)
assert sys.path == path, set(sys.path) - set(path)
with warnings.catch_warnings(record=True) as caught:
    warnings.warn("still heard")
assert len(caught) == 1
assert torchxrayvision() is package
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
