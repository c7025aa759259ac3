"""Normals to learn from and to calibrate on: no film and no patient on both sides, and nothing learnt in vain."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.anomaly import tiny_expert, waves
from helpers.films import film_png
from helpers.small_models import small_network
from helpers.studied_films import studied_root
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.anomaly import making
from xrayinterp.anomaly.choice import expert_named
from xrayinterp.anomaly.experts import Expert, random_expert
from xrayinterp.anomaly.files import as_saved, load_detector, stored_tensors
from xrayinterp.anomaly.fitting import Settings
from xrayinterp.anomaly.making import Normals, from_dataset, from_files, make, parted
from xrayinterp.anomaly.model import load
from xrayinterp.anomaly.normals import NormalSet
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.storage import save_builtin

QUICK = Settings(epochs=1, batch=8)


def stripes(count: int, name: str, patients: tuple[str, ...] | None = None) -> NormalSet:
    return NormalSet(waves(count), tuple(f"{name}{i}" for i in range(count)), patients, "stripes", "made")


def never() -> None:
    raise AssertionError("an epoch was learnt")


# ------------------------------------------------------------------------------------------------------------- dealing


def test_a_film_given_twice_counts_once(tmp_path: Path) -> None:
    files = [film_png(tmp_path / f"{i:02}.png", seed=i) for i in range(12)]
    twins = [Path(shutil.copy(file, tmp_path / f"again-{file.name}")) for file in files]
    normals = from_files([str(file) for file in (*files, *twins, *files)], "blobs")
    assert len(normals.learnt) + len(normals.held_out) == 12
    assert not set(normals.learnt.ids) & set(normals.held_out.ids)
    assert normals.learnt.patients is None
    assert "patients unknown, films dealt out one by one" in normals.held_out.description
    with pytest.raises(XrayInterpError, match="3 different films are too few"):
        from_files([str(file) for file in files[:3]] * 4, "blobs")


def test_films_of_many_folders_are_dealt_out_by_folder(tmp_path: Path) -> None:
    files = [film_png(tmp_path / f"p{i // 3}" / f"{i % 3}.png", seed=i) for i in range(36)]
    normals = from_files([str(file) for file in files], "blobs")
    learnt, held_out = set(normals.learnt.patients or ()), set(normals.held_out.patients or ())
    assert len(learnt) + len(held_out) == 12
    assert not learnt & held_out
    assert len(normals.held_out) == 9  # a fifth is 7.2 films: three folders of three
    assert "taken for one patient's" in normals.learnt.description


def test_studies_of_a_patient_stay_together(tmp_path: Path) -> None:
    places = [tmp_path / f"p{i // 4}" / f"study{i % 4}" / "a.png" for i in range(48)]
    normals = from_files([str(film_png(place, seed=i)) for i, place in enumerate(places)], "blobs")
    learnt, held_out = set(normals.learnt.patients or ()), set(normals.held_out.patients or ())
    assert learnt | held_out == {str(tmp_path / f"p{i}") for i in range(12)}
    assert not learnt & held_out


@pytest.mark.parametrize("seed", range(4))
def test_a_large_folder_is_not_held_out_whole(seed: int) -> None:
    owners = (*("big" for _ in range(60)), *(f"small{i}" for i in range(20)))
    rest, part = parted(stripes(80, "a", owners), 16, seed)
    assert len(part) == 16
    assert "big" not in (part.patients or ())
    assert len(rest) == 64


@given(owners=st.lists(st.integers(0, 9), min_size=4, max_size=40), count=st.integers(1, 4), seed=st.integers(0, 9))
def test_patients_stay_together(owners: list[int], count: int, seed: int) -> None:
    whole = NormalSet(
        torch.arange(len(owners)).view(-1, 1, 1, 1).float(),
        tuple(map(str, range(len(owners)))),
        tuple(map(str, owners)),
        "numbers",
        "made",
    )
    try:
        rest, part = parted(whole, count, seed)
    except XrayInterpError as error:
        assert error.code is Code.BAD_OPTION
        assert max(map(owners.count, owners)) > count
        return
    assert count / 2 <= len(part) <= max(count, 1.5 * count)
    assert not set(rest.patients or ()) & set(part.patients or ())
    assert sorted((*rest.ids, *part.ids), key=int) == list(whole.ids)
    for some in (rest, part):
        assert [str(int(value)) for value in some.images.flatten()] == list(some.ids)


def test_nothing_may_be_on_both_sides() -> None:
    with pytest.raises(XrayInterpError, match="4 films are both learnt from and held out"):
        Normals(stripes(4, "a"), stripes(4, "a"))
    with pytest.raises(XrayInterpError, match="1 patients are both learnt from and held out"):
        Normals(stripes(2, "a", ("1", "2")), stripes(2, "b", ("2", "3")))
    assert len(Normals(stripes(2, "a"), stripes(2, "b")).learnt) == 2


@pytest.fixture
def nih(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    return studied_root(tmp_path / "data")


def rewritten(root: Path, column: str, value: str, rows: range) -> None:
    """Put a value into a column of some rows of the table."""
    with (root / "nih.csv").open(newline="") as handle:
        table = list(csv.DictReader(handle))
    for i in rows:
        table[i][column] = value
    with (root / "nih.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def test_a_data_set_gives_its_films_without_findings(nih: Path) -> None:
    normals = from_dataset("nih", ["train"], ["val"], root=nih, detail=32)
    assert (len(normals.learnt), len(normals.held_out)) == (24, 4)
    assert normals.learnt.images.shape[1:] == (1, 32, 32)
    assert "24 frontal films without findings of 24 patients" in normals.learnt.description
    assert len(from_dataset("nih", ["train"], ["val"], criterion="frontal", root=nih, detail=32).learnt) == 48


def test_films_too_narrow_for_the_detail_are_left_out(nih: Path) -> None:
    rewritten(nih, "native_w", "31", range(10))  # five of them without findings
    assert len(from_dataset("nih", ["train"], ["val"], root=nih, detail=32).learnt) == 19
    assert len(from_dataset("nih", ["train"], ["val"], root=nih, detail=31).learnt) == 24


def test_a_patient_of_both_splits_is_refused(nih: Path) -> None:
    with pytest.raises(XrayInterpError, match="24 films are both"):
        from_dataset("nih", ["train"], ["train"], root=nih, detail=32)
    rewritten(nih, "patient_id", "train0", range(48, 50))  # the first two films of val
    with pytest.raises(XrayInterpError, match="1 patients are both") as caught:
        from_dataset("nih", ["train"], ["val"], root=nih, detail=32)
    assert caught.value.code is Code.BAD_DATA


# -------------------------------------------------------------------------------------------------- refused beforehand


def own_expert(tmp_path: Path) -> Expert:
    measured = {"findings": ["Effusion"], "size": 64, "scale": 1.0, "detail": 64, "task": "findings"}
    return expert_named(str(save_builtin(tmp_path, "own", small_network(1), measured)))


def test_what_could_not_be_written_or_read_is_refused_before_anything_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    normals, out = Normals(stripes(8, "a"), stripes(8, "b")), tmp_path / "x.safetensors"
    few = Settings(epochs=1, batch=8, fusion="standardised")
    for name, expert, settings, said in (
        ("my detector", tiny_expert(), QUICK, "cannot be called 'my detector'"),
        ("x", random_expert(size=64), QUICK, "more than 5000000"),
        ("x", own_expert(tmp_path), QUICK, "The model 'own' has no name of its own here"),
        ("x", tiny_expert(), few, "too few to standardise"),
    ):
        with pytest.raises(XrayInterpError, match=said) as caught:
            make(name, out, expert, normals, settings, tick=never)
        assert caught.value.code is Code.BAD_OPTION
        assert caught.value.hint
    assert not out.exists()


def test_an_imported_expert_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xrayinterp.models.weights import import_weights

    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    own_expert(tmp_path)
    import_weights(tmp_path / "own.safetensors", "mine")
    path = tmp_path / "x.safetensors"
    made, _ = make("x", path, expert_named("mine", size=64), Normals(stripes(8, "a"), stripes(8, "b")), QUICK)
    again, record = load_detector(path)
    assert (record.expert.name, record.expert.label_informed) == ("mine", True)
    assert torch.allclose(again.scores(waves(2)), made.scores(waves(2)), rtol=1e-4)


# ------------------------------------------------------------------------------------------------------- what is made


def test_the_films_that_calibrate_standardise_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(making.DistillationDetector, "standardise", lambda self, images: (seen.append(images), self)[1])
    patients = tuple(str(i // 2) for i in range(24))
    held_out = NormalSet(waves(8, seed=3), tuple("abcdefgh"), None, "stripes", "made")
    normals = Normals(stripes(24, "a", patients), held_out)
    settings = Settings(epochs=1, batch=8, fusion="standardised")
    _, record = make("x", tmp_path / "x.safetensors", tiny_expert(), normals, settings)
    assert seen
    assert all(len(images) == 10 for images in seen)
    held = {image.numpy().tobytes() for image in held_out.images}
    assert not any(image.numpy().tobytes() in held for images in seen for image in images)
    assert record.normals.films == 24
    assert "standardised on 10 of them" in record.normals.description


def test_a_rounded_detector_is_a_copy_whose_expert_has_its_own_hash(tmp_path: Path) -> None:
    expert = tiny_expert()
    before = {name: tensor.clone() for name, tensor in expert.module.state_dict().items()}
    path = tmp_path / "x.safetensors"
    made, record = make("x", path, expert, Normals(stripes(8, "a"), stripes(8, "b")), QUICK)
    assert all(torch.equal(tensor, expert.module.state_dict()[name]) for name, tensor in before.items())
    assert made.expert.module is not expert.module
    assert record.expert.sha256 == made.expert.sha256 != expert.sha256
    assert load_detector(path)[0].expert.sha256 == record.expert.sha256
    twice = as_saved(made)
    assert twice.expert.sha256 == made.expert.sha256
    assert all(torch.equal(t, stored_tensors(made)[name]) for name, t in stored_tensors(twice).items())


def test_only_the_built_in_detector_has_its_text(tmp_path: Path) -> None:
    path = tmp_path / "unusualness.safetensors"
    make("unusualness", path, tiny_expert(), Normals(stripes(8, "a"), stripes(8, "b")), QUICK)
    assert load(path).text is None
    assert load("unusualness").text is not None


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    normals = Normals(stripes(8, "a"), stripes(8, "b"))
    make("x", path, tiny_expert(), normals, QUICK, threshold_share=0.5)
    model = load(path)
    with pytest.raises(XrayInterpError, match="score of nan") as caught:
        model.scores(torch.full((1, 1, 64, 64), torch.nan))
    assert caught.value.code is Code.WEIGHTS_CORRUPT
    stopped = [score.stopped for score in model.scores(normals.held_out.images)]
    assert sum(map(bool, stopped)) == np.sum(model.calibration.scores > (model.record.threshold or 0))
