"""Lean computation gives the gradients of the plain one, and keeps less."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from helpers.closed_form import TWIN_RELUS, Twin, film_batch, frozen, random_densenet, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from xrayinterp.operators.lean import Lean


def _gradient(net: nn.Module, x: Tensor, mode: Callable[[], AbstractContextManager[object]]) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    with mode():
        logits = net(leaf)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), [leaf])
    return logits.detach(), gradient


def _same(net: nn.Module, x: Tensor) -> None:
    for lean, plain in zip(_gradient(net, x, Lean), _gradient(net, x, nullcontext), strict=True):
        torch.testing.assert_close(lean, plain)


@given(st.integers(0, 2**16), st.sampled_from([torch.float32, torch.float64]), st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_logits_and_gradients_are_those_of_the_plain_network(seed: int, dtype: torch.dtype, samples: int) -> None:
    _same(random_densenet(seed).to(dtype), film_batch(seed, samples=samples).to(dtype))


@pytest.mark.parametrize("relu", TWIN_RELUS)
def test_how_relu_is_written_makes_no_difference(relu: str) -> None:
    net = frozen(Twin(relu))
    before = snapshot(net)
    _same(net, film_batch(0))
    assert snapshot(net) == before


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1), (3, 2), (1, "same")])
def test_pointwise_convolutions_of_any_stride_and_padding(stride: int, padding: int | str) -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 6, 1, stride, padding)
    grouped = nn.Conv2d(6, 4, (1, 1), groups=2, bias=False)
    _same(frozen(nn.Sequential(first, nn.ReLU(), grouped, nn.Flatten()), torch.float32), film_batch(1).float())


@pytest.mark.parametrize("affine", [True, False])
def test_norms_of_any_shape(affine: bool) -> None:
    torch.manual_seed(0)
    flat = nn.BatchNorm1d(4, affine=affine, eps=0.3)
    spatial = nn.BatchNorm2d(1, affine=affine, eps=0.2)
    for norm in (flat, spatial):
        nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 2)
    net = nn.Sequential(spatial, nn.AdaptiveAvgPool2d(2), nn.Flatten(), flat)
    _same(net.eval().double(), film_batch(2))


def test_a_norm_that_trains_is_left_alone() -> None:
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten()).double().train()
    _same(net, film_batch(3))
    assert int(net[0].num_batches_tracked) == 2


def test_the_graph_keeps_little_more_than_half() -> None:
    def kept(mode: Callable[[], AbstractContextManager[object]]) -> int:
        bytes_of: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            bytes_of[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            _gradient(random_densenet(0).float(), film_batch(4).float(), mode)
        return sum(bytes_of.values())

    assert kept(Lean) < 0.65 * kept(nullcontext)
