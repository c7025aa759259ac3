"""Head use: contained is not used, sums are the logit's, intervals resample patients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.dissection import BlobNet, blob_model, disc_probes
from helpers.head import cohort_of, planted, read_of
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.dissection.cohort import Cohort, halves
from xrayinterp.dissection.head_use import HeadUse, head_use
from xrayinterp.dissection.pooled import linear_head, pool_units
from xrayinterp.dissection.unit_facts import ConceptUse
from xrayinterp.errors import Code, XrayInterpError

QUICK = {"resamples": 200}


def row(use: HeadUse, finding: str, concept: str) -> ConceptUse:
    (found,) = (r for r in use.concepts if (r.finding, r.concept) == (finding, concept))
    return found


def test_a_concept_can_be_contained_and_not_used() -> None:
    values, shows = planted(units=3)
    weights = np.array([[0.0, 2.0, 0.0]])  # unit 0 fires on the finding as unit 1 does, and weighs nothing
    use = head_use(read_of(values, weights), cohort_of(shows), {("p", "idle"): [0], ("p", "used"): [1]}, **QUICK)
    idle, used = row(use, "f0", "idle"), row(use, "f0", "used")
    assert idle.units == used.units == 1
    assert (idle.mean, idle.contrast.value, idle.contrast.low, idle.contrast.high, idle.share) == (0, 0, 0, 0, 0)
    expected = 2 * (values[shows[:, 0], 1].mean() - values[~shows[:, 0], 1].mean())
    assert used.contrast.value == pytest.approx(expected, rel=1e-12)
    assert used.share == 1 and 0 < used.contrast.low < used.contrast.value < used.contrast.high
    assert used.mean == pytest.approx(2 * values[:, 1].mean(), rel=1e-12)
    assert used.films == used.patients == int(shows.sum())


@given(st.integers(0, 10**6))
def test_units_sum_to_the_logit_and_its_contrast(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, shows = rng.random((30, 6)), rng.random((30, 2)) < 0.5
    shows[0], shows[1] = True, False
    read, cohort = read_of(values, rng.normal(size=(2, 6)), (0.5, -1.0)), cohort_of(shows)
    everything = {("p", "a"): [0, 1, 2], ("p", "b"): [3, 4, 5]}
    use = head_use(read, cohort, everything, resamples=5)
    assert np.allclose(use.units.mean.sum(1) + read.bias, read.logits.mean(0), atol=1e-10)
    for f in range(2):
        gap = read.logits[shows[:, f], f].mean() - read.logits[cohort.normal, f].mean()
        assert use.units.contrast[f].sum() == pytest.approx(gap, abs=1e-10)
        rows = [r for r in use.concepts if r.finding == f"f{f}"]
        assert sum(r.contrast.value for r in rows) == pytest.approx(gap, abs=1e-10)
        assert sum(r.share for r in rows) == pytest.approx(1, abs=1e-10)


def test_intervals_resample_patients_not_films() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 10)  # ten equal films of each patient: ten times the films, the same evidence
    shown = (np.arange(20) % 4 < 2)[:, None]
    per_patient = rng.gamma(2.0, 1.0, (20, 1)) + shown
    weights = np.ones((1, 1))
    few = head_use(read_of(per_patient, weights), cohort_of(shown), {("p", "c"): [0]}, **QUICK)
    names = [f"p{i:03}" for i in people]
    many = head_use(
        read_of(per_patient[people], weights), cohort_of(shown[people], patients=names), {("p", "c"): [0]}, **QUICK
    )
    assert many.concepts[0].contrast.value == pytest.approx(few.concepts[0].contrast.value)
    assert many.concepts[0].contrast.high - many.concepts[0].contrast.low == pytest.approx(
        few.concepts[0].contrast.high - few.concepts[0].contrast.low, rel=1e-6
    )


def test_finding_without_films_has_no_contrast() -> None:
    values, shows = planted(units=3)
    shows = np.concatenate([shows, np.zeros_like(shows)], axis=1)
    use = head_use(read_of(values, np.ones((2, 3))), cohort_of(shows), {("p", "c"): [0]}, **QUICK)
    absent = row(use, "f1", "c")
    assert absent.contrast is None and absent.share is None and absent.films == 0
    assert absent.mean == pytest.approx(values[:, 0].mean()) and np.isnan(use.units.contrast[1]).all()


def test_pooled_units_are_those_of_the_forward() -> None:
    model, films = blob_model(), disc_probes(20).films
    read = pool_units(model, films, "maps", batch=7, progress=False)
    x = torch.stack([torch.from_numpy(film.pixels())[None] * 2 - 1 for film in films])
    net = BlobNet().eval()
    assert read.films == tuple(film.id for film in films) and read.patients[0] == films[0].patient
    assert np.allclose(read.values, torch.relu(net.conv(x) + net.place).mean((2, 3)).detach().numpy(), atol=1e-6)
    assert np.allclose(read.bias + read.values @ read.weights.T, read.logits, atol=1e-6)


def test_a_head_that_is_not_linear_over_the_layer_is_refused() -> None:
    class Bent(BlobNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.relu(self.conv(x) + self.place).amax((2, 3)))

    with pytest.raises(XrayInterpError, match="not a linear function") as caught:
        pool_units(blob_model(Bent()), disc_probes(4).films, "maps", progress=False)
    assert caught.value.code is Code.UNKNOWN_LAYER
    headless = BlobNet()
    headless.classifier = torch.nn.Sequential(torch.nn.Linear(8, 2))
    with pytest.raises(XrayInterpError, match="no linear head over the 8 units"):
        linear_head(blob_model(headless), "maps")
    with pytest.raises(XrayInterpError, match="given no film"):
        pool_units(blob_model(), (), "maps")


def test_halves_are_even_fixed_and_whole_patients() -> None:
    names = [f"p{i}" for i in range(31)]
    made = halves(names, seed=3)
    assert made == halves(list(reversed(names)) * 2, seed=3) != halves(names, seed=4)
    assert sorted(np.bincount(list(made.values()))) == [15, 16]


@pytest.mark.parametrize(
    ("patients", "half", "words"),
    [(("a", "a"), (0, 1), "halves 0 and 1"), (("a", "b"), (0, 2), "halves 2 and 2"), (("a",), (0, 1), "none")],
)
def test_a_patient_is_in_one_half_only(patients: tuple[str, ...], half: tuple[int, ...], words: str) -> None:
    with pytest.raises(XrayInterpError, match=words) as caught:
        Cohort(np.zeros((2, 1), dtype=bool), np.ones(2, dtype=bool), patients, np.array(half))
    assert caught.value.code is Code.BAD_OPTION
