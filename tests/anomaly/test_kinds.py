"""Kinds far out of distribution: the same for a seed, of the films' shape, and spoilt as they say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xrayinterp.anomaly import kinds
from xrayinterp.anomaly.kinds import KINDS


@pytest.fixture
def films() -> Tensor:
    return torch.rand((6, 1, 40, 40), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_keeps_shape_and_range_and_goes_by_its_seed(films: Tensor, name: str, channels: int) -> None:
    given = films.expand(-1, channels, -1, -1)
    kept = given.clone()
    made = KINDS[name].make(given, 1)
    assert made.shape == given.shape
    assert made.dtype == given.dtype
    assert 0 <= float(made.min()) < float(made.max()) <= 1
    assert torch.equal(made, KINDS[name].make(given, 1))
    assert torch.equal(given, kept)
    assert torch.equal(made[:, :1].expand_as(made), made)
    assert len(KINDS[name].make(given[:0], 1)) == 0


@pytest.mark.parametrize("name", ["rotated-90", "one-lung", "noise", "photographs", "slices"])
def test_another_seed_gives_other_pictures(films: Tensor, name: str) -> None:
    assert not torch.equal(KINDS[name].make(films, 1), KINDS[name].make(films, 2))


@pytest.mark.parametrize("name", [kind.name for kind in KINDS.values() if not kind.of_films])
def test_pictures_of_something_else_do_not_depend_on_the_films(films: Tensor, name: str) -> None:
    assert torch.equal(KINDS[name].make(films, 3), KINDS[name].make(torch.zeros_like(films), 3))


def test_turns_and_inversion_are_exact(films: Tensor) -> None:
    assert torch.equal(kinds.rotated_180(kinds.rotated_180(films)), films)
    assert torch.equal(kinds.inverted(films), 1 - films)
    turned = kinds.rotated_90(films, 0)
    ways = [[torch.equal(a, torch.rot90(b, k, (1, 2))) for k in (1, 3)] for a, b in zip(turned, films, strict=True)]
    assert all(sum(way) == 1 for way in ways)
    assert {way.index(True) for way in ways} == {0, 1}


def test_one_lung_is_a_part_of_one_half() -> None:
    ramp = torch.linspace(0, 1, 100).expand(4, 1, 100, 100)
    for film in kinds.one_lung(ramp, 0):
        assert float(film.max() - film.min()) < 0.58
        assert (float(film.min()) < 0.05) != (float(film.max()) > 0.95)


def test_photographs_come_in_turn(films: Tensor) -> None:
    many = kinds.photographs(films[:1].expand(2 * len(kinds.PHOTOGRAPHS), -1, -1, -1), 0)
    assert len(torch.unique(many.flatten(1), dim=0)) == len(many)
