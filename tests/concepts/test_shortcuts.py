"""Pastes: exact masks, pure functions of film and seed, and the probe sets made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from xrayinterp.concepts.manifests import ProbeManifest
from xrayinterp.concepts.pasted import ROUND, PastedFilm, pasted_films
from xrayinterp.concepts.probes import load_probe_set, mask_grid
from xrayinterp.concepts.shortcuts import SHORTCUTS, Pasted, paste
from xrayinterp.datasets.phantom import phantom
from xrayinterp.errors import Code, XrayInterpError

NAMES = tuple(SHORTCUTS)


def grey(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A film of soft noise around mid-grey."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (height, width))
    return np.clip(0.45 + noise, 0, 1).astype(np.float32)


def near(done: Pasted) -> np.ndarray:
    """The mask and what blur can reach."""
    if done.reach == 0:
        return done.mask
    return binary_dilation(done.mask, np.ones((3, 3)), iterations=done.reach)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.integers(32, 150), st.integers(32, 150), st.integers(0, 2**40))
def test_film_differs_on_the_mask_and_nowhere_beyond_its_blur(name: str, height: int, width: int, seed: int) -> None:
    film = grey(height, width)
    done = paste(name, film, seed)
    changed = done.pixels != film
    assert not (changed & ~near(done)).any()
    assert done.pixels.dtype == np.float32 and done.mask.dtype == bool and done.mask.shape == film.shape
    assert done.pixels.min() >= 0 and done.pixels.max() <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_mask_is_where_the_film_changed_and_of_a_plausible_size(name: str, seed: int) -> None:
    film = grey(128, 128)
    done = paste(name, film, seed)
    moved = np.abs(done.pixels - film)
    assert (done.pixels != film)[done.mask].mean() > 0.99
    assert moved[done.mask].mean() > 0.02
    low, high = {"marker": (0.003, 0.02), "lead": (0.002, 0.04), "collimation": (0.03, 0.5), "text": (0.003, 0.05)}[
        name
    ]
    assert low < done.mask.mean() < high


@pytest.mark.parametrize("name", NAMES)
def test_paste_is_a_pure_function_of_film_and_seed(name: str) -> None:
    film = grey(96, 112)
    kept = film.copy()
    first, again = paste(name, film, 7), paste(name, film, 7)
    assert (first.pixels == again.pixels).all() and (first.mask == again.mask).all()
    assert (film == kept).all()
    masks = {paste(name, film, seed).mask.tobytes() for seed in range(12)}
    assert len(masks) >= 11  # place, size or tilt differs from seed to seed


def test_bright_things_brighten_and_the_shutter_darkens() -> None:
    film = grey(128, 128)
    for seed in range(10):
        for name in ("marker", "lead", "text"):
            done = paste(name, film, seed)
            assert (done.pixels - film)[done.mask].mean() > 0.02
        done = paste("collimation", film, seed)
        assert done.pixels[done.mask].max() < 0.45 and np.median(done.pixels[done.mask]) < 0.1


def test_markers_are_at_the_sides_and_the_shutter_at_the_border() -> None:
    film = grey(128, 128)
    sides = set()
    for seed in range(20):
        columns = np.flatnonzero(paste("marker", film, seed).mask.any(0))
        sides.add("left" if columns.max() < 40 else "right" if columns.min() > 88 else "inside")
        shutter = paste("collimation", film, seed).mask
        assert not shutter[40:88, 40:88].any()
        assert shutter[0].all() or shutter[-1].all() or shutter[:, 0].all() or shutter[:, -1].all()
    assert sides == {"left", "right"}


def test_grain_goes_on_over_a_lead_marker_but_not_over_burnt_in_text() -> None:
    film = np.clip(0.3 + np.random.default_rng(1).normal(0, 0.01, (256, 256)), 0, 0.35).astype(np.float32)
    marker, text = paste("marker", film, 3), paste("text", film, 3)
    core = marker.pixels > np.quantile(marker.pixels[marker.mask], 0.9)
    assert marker.pixels[core].std() > 0.001
    ink = text.pixels[text.mask]
    assert (ink == ink.max()).mean() > 0.2  # fully inked pixels are of one value


@pytest.mark.parametrize(
    ("name", "film", "seed"),
    [
        ("tattoo", grey(64, 64), 0),
        ("marker", grey(31, 64), 0),
        ("marker", np.zeros((3, 64, 64), np.float32), 0),
        ("marker", grey(64, 64) * 255, 0),
        ("marker", grey(64, 64), -1),
        ("marker", np.full((64, 64), np.nan, np.float32), 0),
    ],
)
def test_hostile_films_are_refused(name: str, film: np.ndarray, seed: int) -> None:
    with pytest.raises(XrayInterpError) as caught:
        paste(name, film, seed)
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_blank_films_bear_pastes(name: str, level: float) -> None:
    done = paste(name, np.full((64, 64), level, np.float32), 1)
    assert np.isfinite(done.pixels).all() and done.mask.any()


# ------------------------------------------------------------------------------------------------ probe sets


def test_a_pair_is_pasted_one_over_the_other_with_separate_masks() -> None:
    body = phantom(3000, size=96)
    film = PastedFilm(_Still(body.pixels), ("marker", "lead"), 5)
    marker, collimation, lead = film.masks(("marker", "collimation", "lead"))
    assert marker.any() and lead.any() and not collimation.any()
    once = paste("marker", body.pixels, 5)
    assert (film.pixels() == paste("lead", once.pixels, 5).pixels).all()


def test_pastes_go_round() -> None:
    films = pasted_films([_Still(grey(64, 64))] * 14, seed=2)
    assert [film.names for film in films] == [*ROUND, *ROUND]
    assert [film.seed for film in films] == list(range(2, 16))


def test_shortcuts_need_no_data_and_are_where_they_say() -> None:
    probes = load_probe_set("shortcuts", limit=14, seed=1)
    assert set(probes.concepts) == set(SHORTCUTS)
    assert probes.provenance["of"] == 252
    assert probes.seen_by("any model") == "no"
    film = next(film for film in probes.films if film.picture.names == ("marker", "lead"))  # type: ignore[attr-defined]
    assert film.mask("marker").any() and film.mask("lead").any() and not film.mask("text").any()
    assert film.patient == film.id.replace("shortcut", "phantom")
    assert mask_grid(film, probes.concepts, "crop", 56).shape == (4, 56, 56)


def test_every_shortcut_is_on_as_many_films_and_can_be_detected() -> None:
    names = [name for film in pasted_films([_Still(grey(64, 64))] * 252, seed=3000) for name in film.names]
    assert {name: names.count(name) for name in NAMES} == dict.fromkeys(NAMES, 72)
    films = pasted_films([_Still(grey(256, 256))] * 56, seed=3000)
    cover = np.mean([film.masks(NAMES).mean((1, 2)) for film in films], axis=0)
    assert (cover > 0.0004).all() and (cover < 0.25).all()  # else no unit could reach an IoU of .04


def test_a_manifest_has_one_source_of_films() -> None:
    facts = dict.fromkeys(("name", "title", "source", "licence", "citation"), "x")
    with pytest.raises(XrayInterpError, match="one of parts, phantom and pastes"):
        ProbeManifest(**facts, concepts=("marker",), phantom={"films": 2}, pastes={"films": 2})


@pytest.mark.data
def test_shortcuts_on_real_films_are_on_films_without_a_finding(data_root: Path) -> None:
    probes = load_probe_set("shortcuts-nih", root=data_root)
    assert len(probes.films) == 504
    assert {film.split for film in probes.films} == {"val", "test"}
    assert probes.seen_by("compact") == "no"
    for film in probes.films[:14]:
        pixels, masks = film.pixels(), film.masks(probes.concepts)
        plain = film.picture.plain  # type: ignore[attr-defined]
        assert plain.normal
        assert pixels.shape == masks.shape[1:]
        assert masks.any() == (pixels != plain.pixels()).any()


class _Still:
    """A film in memory."""

    def __init__(self, film: np.ndarray) -> None:
        self._film = film

    def pixels(self) -> np.ndarray:
        return self._film
