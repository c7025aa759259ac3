"""Probe sets: the films and masks that the manifests promise, on the grid that dissection counts on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.concepts.manifests import ProbeManifest, load_probe_manifest
from xrayinterp.concepts.probes import ProbeFilm, ProbeSet, load_probe_set, mask_grid, normal_films, probe_names
from xrayinterp.datasets.films import load_manifest
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.geometry import cut, frame


@dataclass(frozen=True)
class Picture:
    """A film in memory with one mask, "thing"."""

    thing: np.ndarray

    def pixels(self) -> np.ndarray:
        return self.thing.astype(np.float32)

    def masks(self, names: tuple[str, ...], /) -> np.ndarray:
        return np.stack([self.thing for _ in names])


def probe(thing: np.ndarray, **options: object) -> ProbeFilm:
    return ProbeFilm("f", "p", "val", "made", frozenset({"thing"}), Picture(thing), **options)  # type: ignore[arg-type]


MASKS = st.tuples(st.integers(3, 40), st.integers(3, 40), st.integers(0, 2**31)).map(
    lambda p: np.random.default_rng(p[2]).random(p[:2]) < 0.5
)


@given(MASKS, st.integers(1, 60), st.sampled_from(["crop", "pad"]))
def test_grid_is_nearest_neighbour_as_torch_has_it(thing: np.ndarray, size: int, fit: str) -> None:
    grid = mask_grid(probe(thing), ("thing",), fit, size)  # type: ignore[arg-type]
    square = torch.from_numpy(cut(thing, frame(*thing.shape, fit)).astype(np.float32))[None, None]  # type: ignore[arg-type]
    expected = torch.nn.functional.interpolate(square.double(), (size, size), mode="nearest-exact")[0].numpy() > 0
    side = square.shape[-1]
    tied = ((2 * np.arange(size) + 1) * side) % (2 * size) == 0  # a centre on a pixel's edge: either side is nearest
    assert (grid == expected)[:, ~tied][:, :, ~tied].all()
    assert grid.dtype == bool
    assert grid.shape == (1, size, size)


@given(MASKS)
def test_grid_of_the_films_own_size_is_the_mask(thing: np.ndarray) -> None:
    side = min(thing.shape)
    assert (mask_grid(probe(thing), ("thing",), "crop", side)[0] == cut(thing, frame(*thing.shape))).all()


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**31))
def test_area_survives_whole_factors(side: int, factor: int, seed: int) -> None:
    thing = np.random.default_rng(seed).random((side, side)) < 0.3
    assert mask_grid(probe(thing), ("thing",), "crop", side * factor).mean() == pytest.approx(thing.mean())


def test_padding_holds_no_concept() -> None:
    grid = mask_grid(probe(np.ones((10, 20), dtype=bool)), ("thing",), "pad", 20)[0]
    assert grid[5:15].all()
    assert not grid[:5].any()
    assert not grid[15:].any()


def test_what_nobody_looked_for_is_empty_and_said_so() -> None:
    film = probe(np.ones((4, 4), dtype=bool))
    assert film.has_mask("thing")
    assert not film.has_mask("other")
    assert film.masks(("other", "thing", "other")).any(axis=(1, 2)).tolist() == [False, True, False]
    assert film.mask("other").shape == (4, 4)


def test_a_film_is_cut_to_where_its_masks_are_known() -> None:
    thing = np.zeros((6, 8), dtype=bool)
    thing[2, 5] = True
    film = probe(thing, box=(3, 1, 4, 4))
    assert film.pixels().shape == film.mask("thing").shape == (4, 4)
    assert np.argwhere(film.mask("thing")).tolist() == [[1, 2]]


def test_seen_is_yes_no_or_unknown_by_split() -> None:
    films = (probe(np.ones((2, 2), dtype=bool)),)
    probes = ProbeSet("made", ("thing",), films, seen={"a": ("train",), "b": ("val", "train"), "*": ()})
    assert [probes.seen_by(model) for model in ("a", "b", "c")] == ["no", "yes", "no"]
    assert probes.seen_by("b", splits=["test"]) == "no"
    assert ProbeSet("made", ("thing",), films).seen_by("a") == "unknown"


def test_counts_are_of_films_and_of_patients() -> None:
    films = [probe(np.full((2, 2), shown)) for shown in (True, True, False)]
    probes = ProbeSet("made", ("thing", "other"), tuple(films))
    assert (probes.counts["thing"].films, probes.counts["thing"].patients, probes.counts["thing"].looked_for) == (
        2,
        1,
        3,
    )
    assert (probes.counts["other"].films, probes.counts["other"].looked_for) == (0, 0)


def test_the_four_sets_are_there_and_every_manifest_is_read() -> None:
    assert set(probe_names()) >= {"chestx-det", "covid-segmentation", "lungs", "phantom"}
    for name in probe_names():
        manifest = load_probe_manifest(name)
        assert manifest.name == name
        assert manifest.licence
        for part in manifest.parts:
            source = load_manifest(part["dataset"])
            assert part["annotation"] in source.annotations
            assert set(manifest.concepts) <= set(source.masks)


def test_unknown_set_lists_the_known() -> None:
    with pytest.raises(XrayInterpError, match="Known: chestx-det, ") as caught:
        load_probe_set("chest-det")
    assert caught.value.code is Code.UNKNOWN_PROBES


def test_missing_data_is_a_typed_error(tmp_path: Path) -> None:
    for call in (lambda: load_probe_set("chestx-det", root=tmp_path), lambda: normal_films(tmp_path)):
        with pytest.raises(XrayInterpError) as caught:
            call()
        assert caught.value.code is Code.DATA_MISSING


def test_an_empty_wish_is_refused() -> None:
    with pytest.raises(XrayInterpError) as caught:
        load_probe_set("phantom", limit=0)
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("wrong", [{"anatomy": ("liver",)}, {"parts": ()}, {"phantom": {"films": 2}}])
def test_contradictory_manifests_are_refused(wrong: dict[str, object]) -> None:
    good = {"parts": ({"dataset": "nih", "annotation": "ChestX-Det"},), "concepts": ("Mass",)}
    texts = dict.fromkeys(("name", "title", "source", "licence", "citation"), "x")
    with pytest.raises(XrayInterpError) as caught:
        ProbeManifest(**{**texts, **good, **wrong})  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_MANIFEST


def test_broken_yaml_is_a_bad_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "probes").mkdir()
    for name, text in {"empty": "", "odd": "name: odd\ncolour: red\n", "torn": "name: [\n"}.items():
        (tmp_path / "probes" / f"{name}.yaml").write_text(text)
    monkeypatch.setattr("xrayinterp.concepts.manifests.manifest_dir", lambda: tmp_path)
    for name in ("empty", "odd", "torn"):
        with pytest.raises(XrayInterpError) as caught:
            load_probe_manifest(name)
        assert caught.value.code is Code.BAD_MANIFEST


def test_phantom_set_needs_no_data_and_plants_what_it_says() -> None:
    probes = load_probe_set("phantom", limit=5, seed=1)
    assert len(probes.films) == len({film.patient for film in probes.films}) == 5
    assert probes.seen_by("any model") == "no"
    film = next(film for film in probes.films if any(film.picture.findings))  # type: ignore[attr-defined]
    for finding in film.picture.findings:  # type: ignore[attr-defined]
        assert film.mask(finding).any()
    assert film.mask("Left Lung").any()
    assert mask_grid(film, probes.concepts, "crop", 56).shape == (len(probes.concepts), 56, 56)


def test_limit_draws_by_seed_in_the_usual_order() -> None:
    every = [film.id for film in load_probe_set("phantom").films]
    some, again, other = ([f.id for f in load_probe_set("phantom", limit=9, seed=s).films] for s in (3, 3, 4))
    assert some == again != other
    assert some == [i for i in every if i in some]
    assert len(every) == 240


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "films", "patients", "concept", "count"),
    [
        ("chestx-det", 1245, 566, "Effusion", (550, 245)),
        ("covid-segmentation", 76, 58, "Airways", (76, 58)),
        ("lungs", 230, 145, "Lungs", (230, 145)),
    ],
)
def test_real_sets_have_the_published_counts(
    data_root: Path, name: str, films: int, patients: int, concept: str, count: tuple[int, int]
) -> None:
    probes = load_probe_set(name, root=data_root)
    assert (len(probes.films), len({film.patient for film in probes.films})) == (films, patients)
    assert (probes.counts[concept].films, probes.counts[concept].patients) == count


@pytest.mark.data
def test_compact_has_seen_the_training_films_only(data_root: Path) -> None:
    probes = load_probe_set("chestx-det", root=data_root)
    assert (probes.seen_by("compact"), probes.seen_by("compact", ["probe", "val", "test"])) == ("yes", "no")
    assert load_probe_set("chestx-det", root=data_root, splits=["probe"]).seen_by("compact") == "no"
    assert (probes.seen_by("nih"), probes.seen_by("somebody's model")) == ("yes", "unknown")


@pytest.mark.data
def test_concepts_overlap_on_separate_channels(data_root: Path) -> None:
    probes = load_probe_set("covid-segmentation", root=data_root)
    both = sum((film.mask("Right Lung") & film.mask("Ground Glass Opacities")).any() for film in probes.films[:30])
    assert both > 10


@pytest.mark.data
def test_hannover_films_are_the_square_in_which_lungs_are_known(data_root: Path) -> None:
    films = [film for film in load_probe_set("lungs", root=data_root).films if film.dataset == "hannover"]
    assert len(films) == 54
    for film in films:
        height, width = film.pixels().shape
        assert height == width
        assert 0.1 < film.mask("Lungs").mean() < 0.8


@pytest.mark.data
def test_normal_films_are_no_finding_of_val(data_root: Path) -> None:
    films = normal_films(data_root)
    assert len(films) == 729
    assert {film.split for film in films} == {"val"}
    assert len(normal_films(data_root, limit=20)) == 20
    assert films[0].pixels().shape[0] >= 128
