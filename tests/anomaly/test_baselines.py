"""Baselines whose answers are known by hand: patches on a line, Gaussians in closed form, pictures of one grey."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from xrayinterp.anomaly.baselines.centre import Centre
from xrayinterp.anomaly.baselines.features import drawn, patches, usual_blur
from xrayinterp.anomaly.baselines.gaussian import GaussianPerPosition, shrunk_covariance
from xrayinterp.anomaly.baselines.nearest import NearestNeighbour, coreset
from xrayinterp.anomaly.baselines.reconstruction import Reconstruction
from xrayinterp.anomaly.baselines.supervised import Supervised
from xrayinterp.anomaly.detector import Detector

SIZE = 32


def own_features(images: Tensor) -> list[Tensor]:
    """The image itself in means of 8 pixels, and its square in means of 16: two points."""
    pooled = torch.nn.functional.avg_pool2d
    return [pooled(images, 8), pooled(images**2, 16)]


def constant(value: float, count: int = 6) -> Tensor:
    return torch.full((count, 1, SIZE, SIZE), value)


def noisy(seed: int, count: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.1 * torch.randn((count, 1, SIZE, SIZE), generator=generator)).clamp(0, 1)


def small() -> dict[str, Detector]:
    return {
        "nearest": NearestNeighbour(own_features, seed=1),
        "gaussian": GaussianPerPosition(own_features, seed=1),
        "reconstruction": Reconstruction(width=4, code=2, steps=60, seed=1),
    }


@pytest.mark.parametrize("name", small())
def test_every_baseline_is_a_detector(name: str) -> None:
    normals, others = noisy(0), noisy(1, 5)
    others[:, :, 8:24, 8:24] = 1
    made = small()[name].fit(normals)
    scores, maps = made.scores(others), made.maps(others)
    assert scores.shape == (5,)
    assert maps.shape == others.shape
    assert float(maps.min()) >= 0
    assert torch.allclose(scores, small()[name].fit(normals).scores(others))
    assert torch.allclose(made.scores(others[2:3]), scores[2:3], rtol=1e-4, atol=1e-6)
    assert float(scores.min()) > float(made.scores(noisy(2, 20)).median())
    peak = maps[0, 0].argmax()
    assert 6 <= int(peak) // SIZE < 26
    assert 6 <= int(peak) % SIZE < 26


@pytest.mark.parametrize(("pool", "counts"), [(8, {2}), (6, {1, 2}), (2, {0, 1}), (1000, {16})])
def test_the_pool_is_drawn_from_all_images_alike(pool: int, counts: set[int]) -> None:
    """Four images of sixteen patches, each patch its image's grey: none is left out because it comes last."""
    greys = torch.tensor([0.2, 0.4, 0.6, 0.8])
    images = greys.view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE).contiguous()
    made = NearestNeighbour(lambda images: [torch.nn.functional.avg_pool2d(images, 8)], pool=pool, least=64)
    made.fit(images)
    found = [int((made.memory[:, 0] - grey).abs().lt(1e-4).sum()) for grey in greys]
    assert set(found) == counts
    assert sum(found) == min(pool, 64)


def test_training_writes_nothing_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    Reconstruction(width=4, code=2, steps=3).fit(noisy(0))
    assert capsys.readouterr().out == ""


def test_maps_are_smoothed_by_a_32nd_of_the_side() -> None:
    assert [usual_blur(size) for size in (32, 128, 224)] == [1, 4, 7]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
@pytest.mark.parametrize("name", ["nearest", "gaussian"])
def test_scores_are_the_same_on_an_accelerator(name: str) -> None:
    made, moved = small()[name], small()[name]
    moved.device = "cuda"
    assert torch.allclose(made.fit(noisy(0)).scores(noisy(1)), moved.fit(noisy(0)).scores(noisy(1)), rtol=1e-3)


@pytest.mark.parametrize("name", small())
def test_random_states_are_left_alone(name: str) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    small()[name].fit(noisy(0, 8))
    assert torch.equal(before, torch.get_rng_state())


def test_patches_share_the_finest_grid_and_average_over_neighbours() -> None:
    found = patches(own_features, constant(0.5, 2))
    assert found.shape == (2, 2, 4, 4)
    assert torch.allclose(found[:, 0], torch.tensor(0.5))
    assert torch.allclose(found[:, 1], torch.tensor(0.25))
    assert torch.allclose(patches(own_features, constant(0.5, 2), grid=1)[:, 0], found[:, 0].mean((1, 2), keepdim=True))


def test_nearest_is_nought_on_what_was_kept_and_the_distance_elsewhere() -> None:
    made = NearestNeighbour(lambda x: [x[:, :, ::8, ::8]], neighbours=1, least=10).fit(constant(0.25))
    assert float(made.scores(constant(0.25)).max()) == pytest.approx(0, abs=1e-6)
    assert torch.allclose(made.scores(constant(0.75, 3)), torch.tensor(0.5), atol=1e-6)
    assert torch.allclose(made.maps(constant(0.75, 3)), torch.tensor(0.5), atol=1e-6)


def test_a_coreset_takes_the_ends_of_a_line_first() -> None:
    rows = torch.linspace(0, 1, 101)[:, None]
    chosen = rows[coreset(rows, 5, generator=torch.Generator().manual_seed(0)), 0].tolist()
    first = chosen[0]
    far = 1.0 if first <= 0.5 else 0.0
    assert chosen[1] == far
    assert {0.0, 1.0} <= {*chosen}
    assert len({*chosen}) == 5


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 12))
def test_a_coreset_covers_within_twice_the_best(seed: int, count: int) -> None:
    """Gonzalez 1985: each choice is at least as far from those before as any row is from all in the end."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand((60, 3), generator=generator)
    chosen = rows[coreset(rows, count, generator=generator)]
    radius = torch.cdist(rows, chosen).min(1).values.max()
    apart = torch.cdist(chosen, chosen) + 10 * torch.eye(count)
    assert float(apart.min()) >= float(radius) - 1e-5


def test_a_whole_coreset_is_everything() -> None:
    rows = torch.rand((30, 200), generator=torch.Generator().manual_seed(0))
    assert sorted(coreset(rows, 30, generator=torch.Generator().manual_seed(1)).tolist()) == list(range(30))


@given(st.integers(0, 1000), st.integers(3, 60), st.integers(1, 8))
def test_shrinkage_is_that_of_ledoit_and_wolf(seed: int, n: int, k: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, k)) @ np.diag(np.arange(1, k + 1))
    ours = shrunk_covariance(torch.from_numpy(rows)).numpy()
    assert np.allclose(ours, ledoit_wolf(rows)[0], rtol=1e-4, atol=1e-4)


def test_a_gaussian_measures_in_standard_deviations() -> None:
    """One channel, one position: |x - mean| / deviation, but for the shrinkage, which has nothing to do in one."""
    values = torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7])
    normals = values[:, None, None, None].expand(-1, 1, SIZE, SIZE)
    made = GaussianPerPosition(lambda x: [x.mean((2, 3), keepdim=True).expand(-1, 1, 4, 4)]).fit(normals)
    expected = 0.4 / float(values.std(correction=0))
    assert torch.allclose(made.maps(constant(0.9, 1)), torch.tensor(expected), rtol=1e-3)


def test_a_gaussian_of_constant_features_stays_finite() -> None:
    made = GaussianPerPosition(own_features).fit(constant(0.5))
    assert torch.isfinite(made.scores(noisy(0, 3))).all()
    assert float(made.scores(constant(0.5, 1))[0]) < float(made.scores(noisy(0, 1))[0])


def test_channels_are_drawn_by_the_seed() -> None:
    def wide(images: Tensor) -> list[Tensor]:
        return [images[:, :, ::8, ::8].repeat(1, 20, 1, 1) * torch.arange(20.0).view(1, -1, 1, 1)]

    one, two = (GaussianPerPosition(wide, channels=5, seed=seed).fit(noisy(0)) for seed in (0, 1))
    assert one.chosen is not None
    assert two.chosen is not None
    assert len(one.chosen) == 5
    assert set(one.chosen.tolist()) != set(two.chosen.tolist())


def test_an_autoencoder_learns_one_grey_and_scores_the_square_of_the_rest() -> None:
    made = Reconstruction(width=4, code=2, steps=150, lr=1e-2, seed=0).fit(constant(0.4, 8))
    assert float(made.scores(constant(0.4, 2)).max()) < 1e-3
    other = constant(0.8, 2)
    assert torch.allclose(made.scores(other), made._errors(other).mean((1, 2, 3)))
    assert float(made.scores(other).min()) > 50 * float(made.scores(constant(0.4, 1))[0])


def test_smoothing_keeps_a_constant_and_its_size() -> None:
    assert torch.allclose(drawn(torch.full((2, 1, 4, 4), 3.0), 33, blur=2.0), torch.tensor(3.0))
    assert drawn(torch.rand(2, 1, 4, 4), 16).shape == (2, 1, 16, 16)


def test_the_upper_line_is_the_models_own_logit() -> None:
    from xrayinterp.models.prepare import to_input
    from xrayinterp.models.zoo import load_model

    made = Supervised("weak").fit(constant(0.5))
    images = noisy(0, 2)
    model = load_model("weak")
    x = to_input(images, size=model.size, detail=model.detail, scale=model.scale)
    assert torch.allclose(made.scores(images), model.logits(x)[:, 0], atol=1e-5)
    maps = made.maps(images)
    assert maps.shape == images.shape
    assert float(maps.min()) >= 0


def test_the_control_looks_at_no_image() -> None:
    made = Centre().fit(constant(0.5))
    assert made.scores(noisy(0, 3)).tolist() == [0, 0, 0]
    maps = made.maps(noisy(0, 3))
    assert maps.shape == (3, 1, SIZE, SIZE)
    assert torch.equal(maps, made.maps(noisy(1, 3)))
    assert torch.allclose(maps, maps.flip((2, 3)))
    assert float(maps[0, 0, SIZE // 2, SIZE // 2]) > float(maps[0, 0, 0, 0]) > 0
