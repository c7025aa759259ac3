"""Many films: which files, what each row says, and that one bad film costs nothing but itself."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.films import film_png
from helpers.tiny_model import tiny_model
from torch import Tensor, nn

from xrayinterp import batch
from xrayinterp.errors import Code

MODEL = tiny_model()


def test_gather_keeps_files_as_given_and_opens_folders_sorted(tmp_path: Path) -> None:
    for name in ("b.png", "a.dcm", "sub/c.jpg", "sub/.hidden.png", ".git/config", "notes"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = f"{tmp_path}/./b.png"
    names = batch.gather([given, str(tmp_path), "absent.png"])
    inside = [str(tmp_path / name) for name in ("a.dcm", "b.png", "notes", "sub/c.jpg")]
    assert names == (given, *inside, "absent.png")


def test_gather_passes_over_results_and_linked_folders(tmp_path: Path) -> None:
    for name in ("film.png", "out/film.map.png", "table.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    names = batch.gather([str(tmp_path)], exclude=[tmp_path / "out", tmp_path / "table.csv"])
    assert names == (str(tmp_path / "film.png"),)


def test_gather_of_an_empty_folder_is_empty(tmp_path: Path) -> None:
    assert batch.gather([str(tmp_path)]) == ()


def test_rows_keep_order_and_equal_single_predictions(tmp_path: Path) -> None:
    files = [str(film_png(tmp_path / f"{seed}.png", seed=seed)) for seed in range(5)]
    rows = list(batch.predict_films(files, MODEL, view="PA", batch=2))
    assert [row.file for row in rows] == files
    for row in rows:
        film = batch.open_film(row.file, view="PA")
        assert film.radiograph is not None
        alone = MODEL.logits(MODEL.prepare(film.radiograph))[0]
        assert row.read
        assert row.sha256 == hashlib.sha256(Path(row.file).read_bytes()).hexdigest()
        assert list(row.logits) == list(MODEL.findings)
        torch.testing.assert_close(torch.tensor(list(row.logits.values())), alone, rtol=1e-5, atol=1e-6)


def test_each_bad_file_gets_its_row(tmp_path: Path) -> None:
    good = film_png(tmp_path / "good.png")
    (tmp_path / "text.txt").write_text("no film")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:400])
    names = ["text.txt", "good.png", "empty.dcm", "cut.png", "absent.png"]
    given = [str(tmp_path / name) for name in names]
    rows = {Path(row.file).name: row for row in batch.predict_films(given, MODEL, view="PA")}
    assert {name: rows[name].verdict for name in names} == {
        "text.txt": "not-an-image",
        "good.png": rows["good.png"].verdict,
        "empty.dcm": "not-an-image",
        "cut.png": "corrupt-pixels",
        "absent.png": "not-found",
    }
    assert rows["good.png"].read
    refused = [row for row in rows.values() if not row.read]
    assert len(refused) == 4
    assert all(row.message and not row.logits for row in refused)
    assert rows["absent.png"].sha256 is None
    assert rows["text.txt"].sha256 == hashlib.sha256(b"no film").hexdigest()


def test_an_unknown_view_is_a_warning_that_a_stated_view_removes(tmp_path: Path) -> None:
    file = str(film_png(tmp_path / "film.png"))
    silent = batch.open_film(file)
    stated = batch.open_film(file, view="AP")
    assert silent.verdict == batch.WARNED
    assert "view-unknown: " in silent.message
    assert "view-unknown" not in stated.message
    assert stated.radiograph is not None
    assert stated.radiograph.view == "AP"


def test_uploads_are_read_from_bytes(tmp_path: Path) -> None:
    data = film_png(tmp_path / "film.png").read_bytes()
    film = batch.open_film("from the browser.png", data, view="PA")
    assert film.file == "from the browser.png"
    assert film.sha256 == hashlib.sha256(data).hexdigest()
    refused = batch.open_film("text.txt", b"no film")
    assert refused.verdict == "not-an-image"
    assert refused.sha256 == hashlib.sha256(b"no film").hexdigest()


class _Picky(nn.Module):
    """Fails on any batch that holds a bright film."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        if bool((x.mean((1, 2, 3)) > 0.9).any()):
            raise ZeroDivisionError("too bright")
        return x.mean((2, 3)).repeat(1, 5) * self.weight


def test_a_fault_of_the_model_on_one_film_is_that_films_row(tmp_path: Path) -> None:
    files = [str(film_png(tmp_path / f"{seed}.png", seed=seed)) for seed in range(4)]
    films = [batch.open_film(file, view="PA") for file in files]
    bright = films[2].radiograph
    assert bright is not None
    pixels = bright.pixels * 0 + 1
    films[2] = replace(films[2], radiograph=replace(bright, pixels=pixels))
    rows = batch.predict_opened(films, replace(MODEL, module=_Picky()))
    assert [row.read for row in rows] == [True, True, False, True]
    assert rows[2].verdict == Code.INTERNAL
    assert "ZeroDivisionError: too bright" in rows[2].message
    assert rows[3].logits["Effusion"] == pytest.approx(float(_mean(films[3])), rel=1e-5)


def _mean(film: batch.Film) -> Tensor:
    assert film.radiograph is not None
    return MODEL.prepare(film.radiograph).mean()


def test_a_fault_of_the_reader_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("xrayinterp.imaging.reader.read", broken)
    rows = list(batch.predict_films([str(film_png(tmp_path / "film.png"))], MODEL))
    assert [(row.verdict, row.logits) for row in rows] == [(Code.INTERNAL, {})]
    assert "RuntimeError: unforeseen" in rows[0].message


def test_table_has_exactly_the_columns_and_survives_odd_names() -> None:
    rows = [
        batch.Row('a "b", c.png', "00ff", "ok", "", {"Effusion": -1.25, "Mass": 2.0000004}),
        batch.Row("line\nbreak.dcm", None, "corrupt-pixels", "Expected 10, found 3.", {}),
    ]
    handle = io.StringIO()
    assert batch.write_csv(rows, ("Effusion", "Mass"), handle) == 1
    table = list(csv.reader(io.StringIO(handle.getvalue())))
    assert table == [
        ["file", "sha256", "verdict", "message", "Effusion", "Mass"],
        ['a "b", c.png', "00ff", "ok", "", "-1.25000", "2.00000"],
        ["line\nbreak.dcm", "", "corrupt-pixels", "Expected 10, found 3.", "", ""],
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    film = batch.open_film(str(tmp_path / "pipe.dcm"))
    assert film.radiograph is None
    assert film.sha256 is None


@pytest.mark.data
def test_real_films_are_all_read(data_root: Path) -> None:
    files = batch.gather([str(data_root / "hannover")])[:8]
    rows = list(batch.predict_films(files, MODEL))
    assert [row.file for row in rows] == list(files)
    assert all(row.verdict == batch.WARNED and "view-unknown" in row.message for row in rows)
    assert len({tuple(row.logits.values()) for row in rows}) == len(rows)
