"""Maps that know nothing of the model, and the fillings that stand for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.closed_form import Biasless, film_batch, frozen, random_densenet
from scipy import ndimage
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Target, attribute, native_map
from xrayinterp.attribution.fills import BLUR, filled
from xrayinterp.imaging.reader import read
from xrayinterp.models.zoo import load_model

BASELINES = [name for name, method in METHODS.items() if method.family == "baseline"]


class Never(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("a baseline ran the model")


def test_the_family_is_complete_and_free() -> None:
    assert BASELINES == ["random", "edges", "centre"]
    assert [(METHODS[name].cost, METHODS[name].signed) for name in BASELINES] == [(0, False)] * 3


@pytest.mark.parametrize("method", BASELINES)
def test_they_are_the_same_for_every_model_and_finding(method: str) -> None:
    x = film_batch(0)
    first = attribute(random_densenet(0), x, 0, method)
    assert torch.equal(first, attribute(random_densenet(1), x, Target(3, sign=-1), method))
    assert torch.equal(first, attribute(Never().eval(), x, 0, method))
    assert bool((first >= 0).all())


def test_edges_are_sobels_by_scipy() -> None:
    x = film_batch(1, channels=3)
    got = attribute(frozen(Biasless(0, channels=3)), x, 0, "edges")[:, 0].numpy()
    for plane, edges in zip(x.sum(1).numpy(), got, strict=True):
        across, down = (ndimage.sobel(plane, axis, mode="nearest") / 8 for axis in (1, 0))
        np.testing.assert_allclose(edges, np.hypot(across, down), atol=1e-12)


def test_a_ramps_edge_is_its_slope_and_a_flat_film_has_none() -> None:
    ramp = 0.25 * torch.arange(8).double().expand(1, 1, 8, 8)
    edges = attribute(Never().eval(), ramp, 0, "edges")
    torch.testing.assert_close(edges[..., 1:-1], torch.full((1, 1, 8, 6), 0.25).double())
    assert float(attribute(Never().eval(), torch.full_like(ramp, 0.7), 0, "edges").max()) < 1e-15


def test_the_centre_is_the_middle_of_any_film() -> None:
    x = torch.zeros(2, 1, 33, 65).double()
    blob = attribute(Never().eval(), x, 0, "centre", width=0.5)
    assert float(blob[0, 0, 16, 32]) == 1
    assert torch.equal(blob, blob.flip(2))
    assert torch.equal(blob, blob.flip(3))
    torch.testing.assert_close(blob[0, 0, 16, 16], torch.tensor(np.exp(-0.5 * (16 / 16.5) ** 2)))


def test_random_blobs_are_uniform_and_depend_on_film_and_seed() -> None:
    films = film_batch(2, samples=60)
    forward = Forward(Never().eval(), films)
    values = native_map(forward, 0, "random")
    assert values.shape == (60, 1, 7, 7)
    assert abs(float(values.mean()) - 0.5) < 0.03
    assert abs(float(values.std()) - 12**-0.5) < 0.02
    assert len({float(v) for v in values.flatten()}) > 2900
    assert torch.equal(values[5:7], native_map(Forward(Never().eval(), films[5:7]), 0, "random"))
    other = native_map(forward, 0, "random", seed=1)
    assert abs(float(np.corrcoef(values.flatten(), other.flatten())[0, 1])) < 0.06
    assert native_map(forward, 0, "random", cells=3).shape == (60, 1, 3, 3)


@pytest.mark.parametrize(("fill", "level"), [("zeros", 0.0), ("black", -0.5), ("mean", 0.125)])
def test_flat_fillings_are_their_level_channel_by_channel(fill: Any, level: float) -> None:
    x = torch.tensor([[-0.5, 0.0], [0.0, 1.0]]).double()[None, None]
    both = torch.cat([x, x + 3], 1)
    got = filled(both, fill)
    shift = 0.0 if fill == "zeros" else 3.0
    assert got[0, 0].unique().tolist() == [level]
    assert got[0, 1].unique().tolist() == [level + shift]


def test_the_blur_is_scipys_gaussian() -> None:
    x = film_batch(3, channels=2)
    sigma = BLUR * 64
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, 12, 12))
    np.testing.assert_allclose(filled(x, "blur"), expected, atol=1e-12)


@pytest.mark.data
def test_baselines_of_a_real_film_stay_on_its_grid(data_root: Path) -> None:
    model = load_model("compact")
    x = model.prepare(read(next((data_root / "nih").rglob("*.png"))))
    maps = {method: attribute(model, x, 0, method) for method in BASELINES}
    assert all(values.shape == x.shape and bool(torch.isfinite(values).all()) for values in maps.values())
    across = maps["edges"][0, 0].numpy().ravel()
    assert abs(float(np.corrcoef(across, maps["centre"][0, 0].numpy().ravel())[0, 1])) < 0.9
