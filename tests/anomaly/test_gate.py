"""The input gate: closed forms of its Gaussian, what passes and what is stopped, and files that are not whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.gate_pictures import chest_png, noise_png, phantoms, photograph_png
from helpers.small_models import write_small_builtin
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.anomaly import gate, gate_fit, gate_record
from xrayinterp.anomaly.gate import Gate, Judgement, with_warning
from xrayinterp.anomaly.gate_record import WARNING
from xrayinterp.anomaly.kinds import KINDS
from xrayinterp.anomaly.normals import as_images
from xrayinterp.datasets.films import Film, load_films
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.reader import read
from xrayinterp.training.films import squares


@pytest.fixture(scope="module")
def builtin() -> Gate:
    found = gate.load_gate()
    assert found is not None
    return found


def rows(count: int = 200, width: int = 6, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=draws)
    return torch.randn(count, width, generator=draws) @ mixing + 3


# ------------------------------------------------------------------------------------------------------ closed forms


def test_scores_are_mahalanobis_distances_under_the_model_covariance() -> None:
    x = rows()
    found = gate_fit.gaussian_of(x, 2)
    u = found.directions.double()
    covariance = u.T @ torch.diag(found.variances.double()) @ u + found.noise * (torch.eye(6).double() - u.T @ u)
    z = ((x - found.mean) / found.scale).double()
    expected = (z @ torch.linalg.inv(covariance) * z).sum(1) / 6
    torch.testing.assert_close(found.scores(x).double(), expected, rtol=1e-4, atol=1e-5)
    assert float(found.scores(x).mean()) == pytest.approx(1, rel=1e-3)  # the trace of S S^-1 over D
    torch.testing.assert_close(u @ u.T, torch.eye(2).double(), atol=1e-5, rtol=0)


def test_noise_is_the_mean_of_the_variances_left_over() -> None:
    x = rows()
    found = gate_fit.gaussian_of(x, 2)
    z = ((x - found.mean) / found.scale).double()
    total = float((z.square().sum(1)).mean())
    assert found.noise == pytest.approx((total - float(found.variances.sum())) / 4, rel=1e-4)


@given(st.integers(1, 5))
def test_a_weight_counts_as_that_many_copies(times: int) -> None:
    x = rows(40)
    weights = torch.ones(40)
    weights[:7] = times
    weighted = gate_fit.gaussian_of(x, 2, weights)
    copied = gate_fit.gaussian_of(torch.cat([x, *[x[:7]] * (times - 1)]), 2)
    torch.testing.assert_close(weighted.scores(x), copied.scores(x), rtol=1e-4, atol=1e-5)


def test_every_source_counts_for_its_share() -> None:
    counts = gate_fit.counts_of(["nih"] * 190 + ["hannover"] * 10)
    assert counts[:190].tolist() == [1.0] * 190
    assert float(counts[190:].sum()) == pytest.approx(gate_fit.SHARE * 200)


def test_more_directions_than_films_are_refused() -> None:
    with pytest.raises(XrayInterpError) as caught:
        gate_fit.gaussian_of(rows(5), 5)
    assert caught.value.code is Code.BAD_OPTION


def film(i: int, dataset: str = "nih", **changes: object) -> Film:
    told = {
        "id": str(i), "dataset": dataset, "path": Path("none"), "patient": str(i), "split": "val", "view": "PA",
        "sex": "F", "age": 50.0, "native_width": 128, "labels": {"Mass": i % 2}, "normal": i % 2 == 0,
        "mask_path": None, "mask_bits": {}, "scores": {}, "licence": "",
    }  # fmt: skip
    return Film(**{**told, **changes})  # type: ignore[arg-type]


def test_the_threshold_lets_all_and_every_large_subgroup_through() -> None:
    films = [film(i) for i in range(400)] + [film(i, "kermany") for i in range(40)]
    scores = np.arange(440, dtype=np.float64)  # the children are the least like the others
    threshold = gate_fit.threshold_of(scores, films)
    groups = [(np.ones(440, dtype=bool), gate_fit.PASS)]
    groups += [(inside, gate_fit.PASS_EACH) for inside in gate_fit.subgroups(films).values()]
    assert all((scores[inside] <= threshold).mean() >= wanted for inside, wanted in groups)
    assert any((scores[inside] < threshold).mean() < wanted for inside, wanted in groups)  # and not one more
    told = gate_fit.passes(scores, films, threshold)
    assert told["source: nih"]["share"][0] == 1.0
    assert told["source: kermany"]["share"][0] == pytest.approx((threshold - 399) / 40)


def test_a_film_is_in_the_subgroups_its_row_names() -> None:
    found = gate_fit.subgroups([film(1, age=12.0, view="AP"), film(2, age=None), film(3, "kermany")])
    assert {name for name, inside in found.items() if inside[0]} == {
        "source: nih", "view: AP", "sex: F", "age: under 20", "width: 128 px", "finding: Mass",
    }  # fmt: skip
    assert {name for name, inside in found.items() if inside[1]} >= {"finding: No Finding", "age: not stated"}
    assert {name for name, inside in found.items() if inside[2]} == {"source: kermany"}


# --------------------------------------------------------------------------------------------------------- pictures


def test_synthetic_films_pass_and_kinds_made_of_them_are_stopped(builtin: Gate) -> None:
    films = phantoms()
    assert bool((builtin.scores(films) <= builtin.record.threshold).all())
    for kind in KINDS.values():
        stopped = builtin.scores(kind.make(films, 0)) > builtin.record.threshold
        assert bool(stopped.all()), kind.name


def test_scores_do_not_depend_on_who_is_beside(builtin: Gate) -> None:
    films = phantoms()
    alone = torch.cat([builtin.scores(one) for one in films.split(1)])
    torch.testing.assert_close(builtin.scores(films), alone, rtol=1e-4, atol=1e-4)
    assert len(builtin.scores(films[:0])) == 0


def test_a_film_is_judged_from_bytes_and_warned_of_once() -> None:
    chest, photograph, noise = read(chest_png()), read(photograph_png()), read(noise_png())
    for radiograph, stopped in ((chest, False), (photograph, True), (noise, True)):
        judged = gate.judge(radiograph)
        assert judged is not None
        assert judged.stopped is stopped
        warned = with_warning(radiograph, judged)
        assert (WARNING in warned.warnings) is stopped
        assert with_warning(warned, judged).warnings == warned.warnings
    assert with_warning(photograph, None) is photograph


def test_a_score_at_the_threshold_passes() -> None:
    assert not Judgement(2.0, 2.0).stopped
    assert Judgement(np.nextafter(2.0, 3.0), 2.0).stopped


@pytest.mark.data
@pytest.mark.parametrize(
    ("dataset", "splits"), [("nih", ["test"]), ("kermany", ["test"]), ("hannover", ["val", "test"])]
)
def test_unseen_frontal_films_pass(builtin: Gate, data_root: Path, dataset: str, splits: list[str]) -> None:
    films = load_films(dataset, root=data_root, splits=splits)[:: 12 if dataset != "hannover" else 1]
    passed = builtin.scores(as_images(squares(films, 128))) <= builtin.record.threshold
    assert float(passed.float().mean()) >= 0.9


@pytest.mark.data
@pytest.mark.parametrize("name", KINDS)
def test_kinds_made_of_unseen_films_are_stopped(builtin: Gate, data_root: Path, name: str) -> None:
    films = load_films("nih", root=data_root, splits=["test"])[::40]
    made = KINDS[name].make(as_images(squares(films, 128)), 3)
    stopped = builtin.scores(made) > builtin.record.threshold
    assert int((~stopped).sum()) <= 1


# ------------------------------------------------------------------------------------------------------------ files


def test_the_shipped_gate_is_small_and_says_what_it_learnt_from(builtin: Gate) -> None:
    assert gate_record.gate_file().stat().st_size <= 1_000_000
    assert len(builtin.record.learnt) == len(gate_fit.SOURCES)
    assert all("split train" in line for line in builtin.record.learnt)
    card = gate_record.card()
    assert card is not None
    assert "CC BY 4.0" in card.licence and "CC BY 3.0" in card.licence


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder of built-in weights, with the same gate and another network of the same name."""
    shipped = gate_record.gate_file()
    write_small_builtin(tmp_path, "compact", ("Effusion", "Mass"))
    (tmp_path / gate_record.FOLDER).mkdir()
    for suffix in (".safetensors", ".json"):
        path = shipped.with_suffix(suffix)
        (tmp_path / gate_record.FOLDER / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("XRAYINTERP_BUILTIN", str(tmp_path))
    return tmp_path / gate_record.FOLDER / shipped.name


def refused(path: Path) -> Code:
    with pytest.raises(XrayInterpError) as caught:
        gate.load_from(path)
    return caught.value.code


def test_another_network_of_that_name_is_refused(elsewhere: Path) -> None:
    assert refused(elsewhere) is Code.WEIGHTS_HASH


def test_without_a_gate_nothing_is_judged(elsewhere: Path) -> None:
    elsewhere.unlink()
    assert gate.load_gate() is None
    assert gate.judge(read(noise_png())) is None
    assert refused(elsewhere) in (Code.WEIGHTS_MISSING, Code.BAD_MANIFEST)


def test_damaged_files_are_refused(elsewhere: Path) -> None:
    whole = elsewhere.read_bytes()
    elsewhere.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert refused(elsewhere) is Code.WEIGHTS_HASH
    beside = elsewhere.with_suffix(".json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"noise": -1.0}))
    assert refused(elsewhere) is Code.BAD_MANIFEST
    beside.unlink()
    assert refused(elsewhere) is Code.BAD_MANIFEST


def test_tensors_that_do_not_fit_are_refused(builtin: Gate, tmp_path: Path) -> None:
    from xrayinterp.models.storage import write_weights

    kept = gate_fit.as_kept(builtin.gaussian)
    for changed in ({"variances": -kept["variances"]}, {"mean": kept["mean"][:-1]}):
        path = write_weights(tmp_path, "gate", kept | changed, builtin.record)
        assert refused(path) is Code.WEIGHTS_CORRUPT
    kept.pop("scale")
    assert refused(write_weights(tmp_path, "gate", kept, builtin.record)) is Code.WEIGHTS_CORRUPT


def test_a_written_gate_is_the_same_gate(builtin: Gate, tmp_path: Path) -> None:
    from xrayinterp.models.storage import write_weights

    path = write_weights(tmp_path, "gate", gate_fit.as_kept(builtin.gaussian), replace_sha(builtin))
    again = gate.load_from(path)
    assert torch.equal(again.scores(phantoms()), builtin.scores(phantoms()))
    assert again.record == builtin.record


def replace_sha(of: Gate) -> gate_record.GateRecord:
    return replace(of).record.model_copy(update={"sha256": None})
