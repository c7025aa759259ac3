"""Films reduced once: what is kept, when it is made anew, and how it is cleared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import replicas
from helpers.replicas import grey, picture

from xrayinterp.cli import main
from xrayinterp.datasets import squares
from xrayinterp.datasets.film import Film
from xrayinterp.datasets.films import load_films
from xrayinterp.datasets.squares import clear_cache, kept, square
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.training.films import squares as training_squares


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    yield


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """A film of 96 x 128 random pixels, whose file is many times as large as a square of 16."""
    path = picture(tmp_path / "film.png", grey(1, 96, 128))
    return Film("f", "made", path, "p", "", "PA", "", None, 0, {}, None, None, {}, {}, "")


def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Films decoded from now on."""
    seen: list[str] = []
    plain = Film.pixels

    def pixels(self: Film) -> np.ndarray:
        seen.append(self.id)
        return plain(self)

    monkeypatch.setattr(Film, "pixels", pixels)
    return seen


def test_a_square_is_the_centre_reduced(film: Film) -> None:
    constant = np.full((96, 128), 200, dtype=np.uint8)
    constant[:, :16], constant[:, 112:] = 0, 0  # outside the central square
    picture(film.path, constant)
    assert np.all(square(film, 16) == 200)
    assert np.array_equal(square(film, 96), constant[:, 16:112])


def test_a_film_is_decoded_once(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = decodes(monkeypatch)
    first = square(film, 16)
    assert np.array_equal(square(film, 16), first)
    assert seen == ["f"]
    assert kept()[1] == kept("made")[1] == 1
    assert kept("other")[1] == 0
    square(film, 24)
    assert len(seen) == 2  # another size is another square


def test_what_costs_little_to_read_is_not_kept(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = decodes(monkeypatch)
    assert film.path.stat().st_size <= 4 * 96 * 96
    assert np.array_equal(square(film, 96), square(film, 96))
    assert seen == ["f", "f"]
    assert kept()[1] == 0


def test_a_changed_file_is_read_anew(film: Film) -> None:
    before = square(film, 16)
    picture(film.path, grey(2, 96, 128))
    os.utime(film.path, ns=(1, 1))
    assert not np.array_equal(square(film, 16), before)


def test_films_of_the_same_name_in_other_sets_and_places_stay_apart(film: Film, tmp_path: Path) -> None:
    other = replace(film, path=picture(tmp_path / "other.png", grey(3, 96, 128)))
    for path in (film.path, other.path):
        os.utime(path, ns=(5, 5))
    assert not np.array_equal(square(film, 16), square(other, 16))
    square(replace(film, dataset="../../made"), 16)
    assert all(path.is_relative_to(kept()[0]) for path in kept()[0].rglob("*"))
    assert kept()[1] == 3


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array at all"])
def test_a_damaged_square_is_made_again(film: Film, damage: bytes) -> None:
    before = square(film, 16)
    place = next(kept()[0].rglob("*.npy"))
    place.write_bytes(damage)
    assert np.array_equal(square(film, 16), before)
    assert np.array_equal(np.load(place), before)


def test_a_square_of_another_shape_or_type_is_made_again(film: Film) -> None:
    before = square(film, 16)
    place = next(kept()[0].rglob("*.npy"))
    for wrong in (np.zeros((8, 8), dtype=np.uint8), np.zeros((16, 16), dtype=np.float32)):
        np.save(place, wrong)
        assert np.array_equal(square(film, 16), before)


def test_a_film_without_its_file_is_named(film: Film) -> None:
    square(film, 16)
    film.path.unlink()
    with pytest.raises(XrayInterpError) as caught:
        square(film, 16)
    assert caught.value.code is Code.DATA_MISSING


def test_training_reads_squares_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replicas.rsna(tmp_path / "data")
    films = load_films("rsna", root=tmp_path / "data")
    seen = decodes(monkeypatch)
    first = training_squares(films, 32)
    assert first.shape == (3, 32, 32)
    assert bool((training_squares(films, 32) == first).all())
    assert len(seen) == 3


def test_the_cache_is_shown_and_cleared(film: Film, capsys: pytest.CaptureFixture[str]) -> None:
    square(film, 16)
    square(replace(film, dataset="second"), 16)
    for words, left in ((("cache",), 2), (("cache", "--name", "made", "--clear"), 1), (("cache", "--clear"), 0)):
        with pytest.raises(SystemExit) as ended:
            main(["data", *words])
        assert not ended.value.code
        assert kept()[1] == left
    assert f"{squares.kept()[0]}: 2 films, 0.0 MB" in capsys.readouterr().out
    clear_cache()  # nothing left, and nothing to complain of
