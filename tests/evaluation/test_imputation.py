"""Noisy linear imputation against a dense solution of the same system."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.evaluation.imputation import fill_mean, impute

WEIGHTS = {(i, j): 1 / 6 if 0 in (i, j) else 1 / 12 for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)}


def dense(film: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The system written out: one row a removed pixel."""
    height, width = film.shape
    number = {tuple(p): n for n, p in enumerate(np.argwhere(removed))}
    a, b = np.zeros((len(number), len(number))), np.zeros(len(number))
    for (r, c), n in number.items():
        for (i, j), w in WEIGHTS.items():
            q = (r + i, c + j)
            if 0 <= q[0] < height and 0 <= q[1] < width:
                a[n, n] += w
                if q in number:
                    a[n, number[q]] -= w
                else:
                    b[n] += w * film[q]
    out = film.copy()
    out[removed] = np.linalg.solve(a, b)
    return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_equals_the_dense_solution(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    films, removed = rng.random((3, 12, 10)), rng.random((3, 12, 10)) < share
    removed[:, 0, 0] = False
    found = impute(torch.from_numpy(films), torch.from_numpy(removed), noise=0, tolerance=1e-9).numpy()
    for film, holes, filled in zip(films, removed, found, strict=True):
        np.testing.assert_allclose(filled, dense(film, holes), atol=1e-6)


def test_ramp_is_continued_through_a_hole() -> None:
    ramp = torch.linspace(0, 1, 20, dtype=torch.float64).expand(1, 20, 20)
    removed = torch.zeros(1, 20, 20, dtype=torch.bool)
    removed[:, 6:12, 6:12] = True
    assert torch.allclose(impute(ramp, removed, noise=0, tolerance=1e-9), ramp, atol=1e-6)


def test_only_removed_pixels_change_and_noise_has_its_size() -> None:
    film = torch.full((4, 32, 32), 0.5)
    removed = torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.5
    found = impute(film, removed, noise=0.02, seed=1)
    assert torch.equal(found[~removed], film[~removed])
    assert abs(float((found - film)[removed].std()) - 0.02) < 0.002
    assert torch.equal(found, impute(film, removed, noise=0.02, seed=1))
    assert not torch.equal(found, impute(film, removed, noise=0.02, seed=2))


def test_film_removed_whole_is_grey_and_one_untouched_stays() -> None:
    films = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    removed = torch.stack([torch.ones(8, 8), torch.zeros(8, 8)]).bool()
    found = impute(films, removed)
    assert (found[0] == 0.5).all()
    assert torch.equal(found[1], films[1])


def test_mean_film_takes_the_place_of_what_is_removed() -> None:
    films, mean = torch.rand(2, 4, 4), torch.rand(4, 4)
    removed = torch.rand(2, 4, 4) < 0.5
    found = fill_mean(films, removed, mean)
    assert torch.equal(found[removed], mean.expand(2, 4, 4)[removed])
    assert torch.equal(found[~removed], films[~removed])
