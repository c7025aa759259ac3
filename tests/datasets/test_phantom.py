"""Synthetic films: anatomy where it belongs, masks that say exactly where a finding is, the same film every time."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xrayinterp.datasets.phantom import EXAMPLES, FINDINGS, STRUCTURES, Phantom, Planted, example_films, phantom
from xrayinterp.errors import Code, XrayInterpError

SEEDS = (0, 5, 12)
SIDES = {"image left": "Right Lung", "image right": "Left Lung"}


@lru_cache(maxsize=64)
def film(seed: int, *findings: str | Planted, view: str = "PA", size: int = 144) -> Phantom:
    return phantom(seed, size=size, findings=findings, view=view)


def width(mask: np.ndarray) -> int:
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[-1] - columns[0] + 1)


def centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


@pytest.mark.parametrize("view", ["PA", "AP"])
def test_pixels_and_masks_have_the_promised_form(view: str) -> None:
    made = film(1, view=view)
    assert made.pixels.shape == (144, 144)
    assert made.pixels.dtype == np.float32
    assert 0 <= made.pixels.min() < 0.1 < 0.9 < made.pixels.max() <= 1
    assert tuple(sorted(made.masks)) == tuple(sorted(STRUCTURES))
    assert all(mask.dtype == bool and mask.shape == (144, 144) and mask.any() for mask in made.masks.values())
    assert made.findings == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_sides_follow_the_radiographic_convention(seed: int) -> None:
    masks = film(seed).masks
    assert not (masks["Left Lung"] & masks["Right Lung"]).any()
    assert centre(masks["Right Lung"])[1] < 60 < 84 < centre(masks["Left Lung"])[1]
    spine = centre(masks["Spine"])[1]
    assert centre(masks["Heart"])[1] > spine + 3  # the heart points to the patient's left
    assert centre(masks["Aortic Arch"])[1] > spine


@pytest.mark.parametrize("seed", SEEDS)
def test_anatomy_lies_as_in_a_chest(seed: int) -> None:
    masks = film(seed).masks
    assert (masks["Lungs"] == (masks["Left Lung"] | masks["Right Lung"])).all()
    assert (masks["Heart"] & ~masks["Cardiomediastinum"]).sum() == 0
    assert centre(masks["Clavicles"])[0] < centre(masks["Lungs"])[0] < centre(masks["Heart"])[0]
    assert centre(masks["Airways"])[0] < centre(masks["Heart"])[0]
    assert 0.38 < width(masks["Heart"]) / width(masks["Lungs"]) < 0.5
    assert 0.2 < masks["Lungs"].mean() < 0.45


def test_right_dome_of_the_diaphragm_is_higher() -> None:
    for seed in SEEDS:
        masks = film(seed).masks
        lowest = [
            int(np.flatnonzero(mask[:, int(centre(mask)[1])])[-1]) for mask in (masks["Right Lung"], masks["Left Lung"])
        ]
        assert lowest[0] < lowest[1]


def test_lungs_are_dark_and_bones_and_heart_bright() -> None:
    made = film(2)
    lungs = made.masks["Lungs"] & ~made.masks["Cardiomediastinum"]
    assert made.pixels[lungs].mean() + 0.3 < made.pixels[made.masks["Heart"]].mean()
    ribs = lungs & made.masks["Ribs"]
    assert made.pixels[ribs].mean() > made.pixels[lungs & ~made.masks["Ribs"]].mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_heart_looks_larger_on_a_bedside_film(seed: int) -> None:
    pa, ap = film(seed, size=256), film(seed, view="AP", size=256)
    ratios = [width(made.masks["Heart"]) / width(made.masks["Lungs"]) for made in (pa, ap)]
    assert ratios[1] > ratios[0]
    widths = [width(made.masks["Heart"]) * made.spacing_mm for made in (pa, ap)]
    assert 1.05 < widths[1] / widths[0] < 1.13  # (1050 / 900) against (1800 / 1690), for a heart in front


@pytest.mark.parametrize("seed", SEEDS)
def test_cardiomegaly_passes_half_of_the_chest(seed: int) -> None:
    masks = film(seed, "Cardiomegaly").masks
    assert (masks["Cardiomegaly"] == masks["Heart"]).all()
    assert width(masks["Heart"]) / width(masks["Lungs"]) > 0.52


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("finding", FINDINGS[:6])
def test_findings_of_the_lung_lie_in_the_lung_of_their_side(finding: str, side: str) -> None:
    for seed in SEEDS[:2]:
        made = film(seed, Planted(finding, side))
        mask = made.masks[finding]
        assert mask.any()
        assert not (mask & ~made.masks[SIDES[side]]).any()


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["Nodule", "Mass"]))
def test_solid_lesions_stay_clear_of_heart_and_diaphragm_and_are_denser(seed: int, finding: str) -> None:
    made, plain = film(seed, finding), film(seed)
    mask = made.masks[finding]
    assert mask.any()
    assert not (mask & (~made.masks["Lungs"] | made.masks["Heart"])).any()
    change = made.attenuation - plain.attenuation
    assert (change[~mask] == 0).all()
    assert change[mask].mean() > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_effusion_fills_the_base_and_climbs_the_chest_wall(seed: int) -> None:
    made = film(seed, Planted("Effusion", "image left"))
    fluid, lung = made.masks["Effusion"], made.masks["Right Lung"]
    assert centre(fluid)[0] > centre(lung)[0] + 15
    top = np.where(fluid.any(axis=0), fluid.argmax(axis=0), 10_000)
    columns = np.flatnonzero(fluid.any(axis=0))
    lateral, middle = top[columns[: len(columns) // 3]].min(), top[columns[len(columns) // 2]]
    assert lateral < middle - 5  # a meniscus: higher at the wall than in the middle
    assert (made.attenuation - film(seed).attenuation)[fluid].mean() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_pneumothorax_is_darker_and_lies_outside_the_lung(seed: int) -> None:
    made = film(seed, Planted("Pneumothorax", "image right"))
    air = made.masks["Pneumothorax"]
    assert centre(air)[0] < centre(made.masks["Left Lung"])[0] + 10
    assert (made.attenuation - film(seed).attenuation)[air].mean() < -0.15
    assert made.pixels[air].mean() < film(seed).pixels[air].mean()


def test_pneumothorax_has_a_visceral_line() -> None:
    made = film(4, Planted("Pneumothorax", "image right"), size=512)
    air = made.masks["Pneumothorax"]
    row = int(centre(air)[0])
    inner = int(np.flatnonzero(air[row])[0])  # the air begins laterally of the line
    profile = made.attenuation[row, inner - 12 : inner + 8]
    assert profile[8:12].max() > profile[14:].mean() + 0.1


def test_tube_ends_above_the_carina_inside_the_windpipe() -> None:
    made = film(3, "Endotracheal Tube", view="AP")
    tube = made.masks["Endotracheal Tube"]
    assert tube[0].any()
    assert not (tube & ~made.masks["Airways"]).any()
    tip = np.flatnonzero(tube.any(axis=1))[-1]
    split = np.flatnonzero(made.masks["Airways"].sum(axis=1) > 2 * made.masks["Airways"][5].sum())[0]
    assert tip < split - 5


def test_opacities_whiten_the_lung() -> None:
    for finding in ("Consolidation", "Ground Glass Opacities"):
        made, plain = film(6, finding), film(6)
        mask = made.masks[finding]
        assert (made.pixels[mask] - plain.pixels[mask]).mean() > 0.03
        change = made.attenuation - plain.attenuation
        assert change[mask].mean() > 5 * change[~mask & made.masks["Lungs"]].mean()


def test_the_same_call_gives_the_same_film() -> None:
    first, second = (phantom(9, size=96, findings=("Consolidation", "Effusion")) for _ in range(2))
    assert (first.pixels == second.pixels).all()
    assert all((first.masks[name] == second.masks[name]).all() for name in first.masks)


def test_findings_leave_the_body_as_it_is() -> None:
    plain, made = film(7), film(7, "Nodule", "Effusion")
    for name in STRUCTURES:
        assert (plain.masks[name] == made.masks[name]).all(), name
    alone = film(7, "Nodule")
    assert (alone.masks["Nodule"] == made.masks["Nodule"]).all()


def test_bodies_differ() -> None:
    assert not (film(0).masks["Lungs"] == film(5).masks["Lungs"]).all()


def test_noise_can_be_left_out() -> None:
    noisy, clean = film(2), phantom(2, size=144, noise=False)
    assert (noisy.attenuation == clean.attenuation).all()
    assert 0.001 < np.abs(noisy.pixels - clean.pixels).mean() < 0.05


def test_sizes_sample_the_same_scene() -> None:
    """At three times the size, every third pixel has the same centre: masks agree but for rounding."""
    small, large = film(8, "Mass", "Effusion", size=96), film(8, "Mass", "Effusion", size=288)
    for name in small.masks:
        differ = small.masks[name] != large.masks[name][1::3, 1::3]
        assert differ.mean() < 2e-3, name
        assert small.masks[name].mean() == pytest.approx(large.masks[name].mean(), rel=0.06, abs=2e-3), name
    assert np.abs(small.attenuation - large.attenuation[1::3, 1::3]).max() < 0.02


def test_both_sides_at_once_make_one_mask() -> None:
    made = film(1, Planted("Effusion", "image left"), Planted("Effusion", "image right"))
    assert made.findings == ("Effusion",)
    assert (made.masks["Effusion"] & made.masks["Left Lung"]).any()
    assert (made.masks["Effusion"] & made.masks["Right Lung"]).any()


def test_masks_cannot_be_replaced() -> None:
    with pytest.raises(TypeError):
        film(0).masks["Heart"] = np.zeros((1, 1), dtype=bool)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"findings": ("Gallstone",)}, Code.UNKNOWN_FINDING),
        ({"findings": (Planted("Cardiomegaly", "image left"),)}, Code.BAD_OPTION),
        ({"findings": (Planted("Nodule", "left"),)}, Code.BAD_OPTION),
        ({"findings": ("Nodule", "Nodule")}, Code.BAD_OPTION),
        ({"findings": ("Nodule", Planted("Nodule", "image left"))}, Code.BAD_OPTION),
        ({"size": 8}, Code.BAD_OPTION),
        ({"size": 100_000}, Code.BAD_OPTION),
        ({"view": "LATERAL"}, Code.BAD_OPTION),
    ],
)
def test_impossible_wishes_are_refused(options: dict[str, object], code: Code) -> None:
    with pytest.raises(XrayInterpError) as caught:
        phantom(0, **options)
    assert caught.value.code is code


def test_negative_seed_is_refused() -> None:
    with pytest.raises(XrayInterpError, match="seed -1"):
        phantom(-1)


def test_examples_open_as_pictures() -> None:
    films = example_films()
    assert list(films) == [example.title for example in EXAMPLES]
    assert next(iter(films)) == "Synthetic film, no finding"
    for data in films.values():
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (768, 768))


def test_example_titles_tell_the_side() -> None:
    effusion = next(example for example in EXAMPLES if "effusion" in example.title)
    masks = film(effusion.seed, *effusion.findings).masks
    assert effusion.title.endswith("(image right)")
    assert centre(masks["Effusion"])[1] > 72
