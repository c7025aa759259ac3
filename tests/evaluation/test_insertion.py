"""What putting a shortcut on a film does to a model's logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.tiny_model import tiny_model
from torch import Tensor, nn

from xrayinterp.concepts.probes import ProbeFilm
from xrayinterp.concepts.shortcuts import paste
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.insertion import insertion_effect
from xrayinterp.models.chest_model import ChestModel, OperatingPoint

SIDE = 64


class Still:
    """A grey film in memory."""

    def __init__(self, seed: int) -> None:
        noise = np.random.default_rng(seed).normal(0, 0.02, (SIDE, SIDE))
        self._film = np.clip(0.4 + 0.01 * seed + noise, 0, 1).astype(np.float32)

    def pixels(self) -> np.ndarray:
        return self._film

    def masks(self, names: tuple[str, ...], /) -> np.ndarray:
        return np.zeros((len(names), SIDE, SIDE), dtype=bool)


class Brightness(nn.Module):
    """Two logits: a hundred times the film's mean, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(100.0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3))
        return torch.cat([self.scale * mean, 0 * mean + 3], 1)


def model() -> ChestModel:
    points = {"Bright": OperatingPoint(-18.0)}
    return tiny_model(
        module=Brightness().eval(), findings=("Bright", "Still"), size=SIDE, operating_points=points, layers={}
    )


@pytest.fixture
def films() -> list[ProbeFilm]:
    return [ProbeFilm(f"f{i}", f"p{i // 2}", "val", "made", frozenset(), Still(i)) for i in range(8)]


def test_the_change_is_that_of_each_film_against_itself(films: list[ProbeFilm]) -> None:
    rows = {(row.shortcut, row.finding): row for row in insertion_effect(model(), films, seed=5)}
    rises = [
        200 * (paste("text", film.pixels(), 5 + i).pixels.mean() - film.pixels().mean()) for i, film in enumerate(films)
    ]
    assert rows["text", "Bright"].change.value == pytest.approx(np.mean(rises), rel=1e-3)
    assert (rows["text", "Bright"].films, rows["text", "Bright"].patients) == (8, 4)
    assert rows["text", "Bright"].change.low > 0 > rows["collimation", "Bright"].change.high
    before = np.array([100 * (2 * film.pixels().mean() - 1) for film in films])
    assert rows["marker", "Bright"].spread == pytest.approx(before.std(), rel=1e-3)
    for name in ("marker", "lead", "collimation", "text"):
        still = rows[name, "Still"]
        assert (still.change.value, still.spread, still.flagged) == (0, 0, None)


def test_films_that_cross_the_operating_point_are_counted_both_ways(films: list[ProbeFilm]) -> None:
    threshold = -18.0
    (up,) = [row for row in insertion_effect(model(), films, shortcuts=["text"]) if row.finding == "Bright"]
    before = np.array([100 * (2 * film.pixels().mean() - 1) for film in films])
    after = np.array([100 * (2 * paste("text", f.pixels(), i).pixels.mean() - 1) for i, f in enumerate(films)])
    assert up.flagged == ((before < threshold) & (after >= threshold)).mean() > 0
    assert up.unflagged == 0
    (down,) = [row for row in insertion_effect(model(), films, shortcuts=["collimation"]) if row.finding == "Bright"]
    assert down.flagged == 0 and down.unflagged is not None and down.unflagged > 0


def test_nothing_to_put_it_on_and_nothing_to_put_are_refused(films: list[ProbeFilm]) -> None:
    with pytest.raises(XrayInterpError) as caught:
        insertion_effect(model(), [])
    assert caught.value.code is Code.DATA_MISSING
    with pytest.raises(XrayInterpError) as caught:
        insertion_effect(model(), films, shortcuts=["tie"])
    assert caught.value.code is Code.BAD_OPTION
