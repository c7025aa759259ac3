"""The command line as a stranger uses it: what it writes, what it says, and how it exits."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.films import film_png
from helpers.http_server import serve
from helpers.small_models import write_small_builtin
from PIL import Image

from xrayinterp.cli import main, options
from xrayinterp.errors import Code
from xrayinterp.models import registry

FINDINGS = ("Effusion", "Mass", "Nodule")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True, scope="module")
def small_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installation with a small built-in model and a cache of its own, also for commands in child processes."""
    folder = tmp_path_factory.mktemp("installation")
    write_small_builtin(folder / "builtin", "compact", FINDINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRAYINTERP_BUILTIN", str(folder / "builtin"))
        patch.setenv("XRAYINTERP_CACHE", str(folder / "cache"))
        yield


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: str | Path) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


# ------------------------------------------------------------------------------------------------------------- help


def test_the_command_lines_model_is_that_of_the_registry() -> None:
    assert options.DEFAULT_MODEL == registry.DEFAULT_MODEL


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, xrayinterp.cli\n"
        "try: xrayinterp.cli.main(['--help'])\n"
        "finally: print(sorted({'torch', 'numpy', 'streamlit', 'pydantic'} & set(sys.modules)), file=sys.stderr)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stderr.strip() == "[]"
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 0.5  # processor time: a busy machine slows the clock on the wall, not this
    for command in ("explain", "predict", "dissect", "formation", "models", "data", "schema", "doctor", "app"):
        assert command in done.stdout


@pytest.mark.parametrize(
    "command", ["explain", "predict", "dissect", "formation", "models", "data", "schema", "doctor", "app"]
)
def test_every_command_has_help(cli: Callable[..., Done], command: str) -> None:
    done = cli(command, "--help")
    assert done.status == 0
    assert "Usage" in done.out


@pytest.mark.parametrize("command", ["explain", "predict", "dissect"])
def test_what_computes_takes_a_device(cli: Callable[..., Done], command: str) -> None:
    assert "--device" in cli(command, "--help").out


def test_version(cli: Callable[..., Done]) -> None:
    assert re.fullmatch(r"xrayinterp \d+\.\d+\.\d+\n", cli("--version").out)


# ---------------------------------------------------------------------------------------------------------- predict


def test_predict_writes_one_row_a_film(cli: Callable[..., Done], tmp_path: Path) -> None:
    films = tmp_path / "films"
    names = [str(film_png(films / f"{seed}.png", seed=seed)) for seed in range(2)]
    done = cli("predict", films, names[0], "--model", "compact", "--csv", tmp_path / "new" / "t.csv", "--view", "pa")
    assert done.status == 0, done.err
    rows = table(tmp_path / "new" / "t.csv")
    assert [row["file"] for row in rows] == [*names, names[0]]
    assert list(rows[0])[:4] == ["file", "sha256", "verdict", "message"]
    assert tuple(rows[0])[4:] == FINDINGS
    assert rows[0]["sha256"] == rows[2]["sha256"] != rows[1]["sha256"]
    for finding in FINDINGS:  # the same film at another place in the batch: equal but for float32 rounding
        assert float(rows[0][finding]) == pytest.approx(float(rows[2][finding]), abs=3e-5)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "t.csv"]


def test_predict_goes_on_after_a_bad_film_and_exits_3(cli: Callable[..., Done], tmp_path: Path) -> None:
    good = film_png(tmp_path / "good.png")
    (tmp_path / "bad.dcm").write_text("no film")
    done = cli("predict", tmp_path / "bad.dcm", good, tmp_path / "absent.png", "--csv", tmp_path / "t.csv")
    assert done.status == 3
    assert [row["verdict"] for row in table(tmp_path / "t.csv")] == ["not-an-image", "warned", "not-found"]
    assert "1 of 3 films read" in done.err


def test_predict_passes_over_its_own_table(cli: Callable[..., Done], tmp_path: Path) -> None:
    film_png(tmp_path / "film.png")
    for _ in range(2):
        done = cli("predict", tmp_path, "--csv", tmp_path / "t.csv")
        assert done.status == 0, done.err
        assert len(table(tmp_path / "t.csv")) == 1


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["--model", "no-such-model"], 2, Code.UNKNOWN_MODEL),
        (["--device", "warp:9"], 2, Code.BAD_OPTION),
        (["--device", "cuda:99"], 2, Code.BAD_OPTION),
    ],
)
def test_predict_wrong_use(cli: Callable[..., Done], tmp_path: Path, words: list[str], status: int, code: Code) -> None:
    done = cli("predict", film_png(tmp_path / "film.png"), "--csv", tmp_path / "t.csv", *words)
    assert done.status == status
    assert done.err.startswith(f"error [{code}]: ")
    assert "Traceback" not in done.err
    assert not (tmp_path / "t.csv").exists()


def test_predict_without_films_is_wrong_use(cli: Callable[..., Done], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cli("predict", "--csv", tmp_path / "t.csv").status == 2
    done = cli("predict", empty, "--csv", tmp_path / "t.csv")
    assert done.status == 2
    assert "error [bad-option]: There are no files in" in done.err


def test_predict_to_a_place_that_cannot_be_written(cli: Callable[..., Done], tmp_path: Path) -> None:
    film = film_png(tmp_path / "film.png")
    done = cli("predict", film, "--csv", film / "t.csv")
    assert done.status == 2
    assert "cannot be written" in done.err


def test_a_missing_model_exits_1(cli: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xrayinterp.errors import XrayInterpError

    def missing(*_: object, **__: object) -> None:
        raise XrayInterpError(Code.WEIGHTS_OFFLINE, "The weights of 'nih' are not here.", "Put nih.pt there.")

    monkeypatch.setattr("xrayinterp.models.zoo.load_model", missing)
    done = cli("predict", film_png(tmp_path / "film.png"), "--model", "nih", "--csv", tmp_path / "t.csv")
    assert done.status == 1
    assert done.err == "error [weights-offline]: The weights of 'nih' are not here. Put nih.pt there.\n"


def test_an_unforeseen_fault_exits_1_without_a_traceback(
    cli: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr("xrayinterp.models.zoo.load_model", broken)
    done = cli("predict", film_png(tmp_path / "film.png"), "--csv", tmp_path / "t.csv")
    assert done.status == 1
    assert done.err.startswith("error [internal]: ZeroDivisionError: unforeseen.")
    assert "Traceback" not in done.err


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_an_interrupt_is_clean_and_keeps_the_rows(tmp_path: Path) -> None:
    film = film_png(tmp_path / "films" / "first.png")
    for number in range(4000):  # enough that the interrupt comes in the middle, however busy the machine
        (tmp_path / "films" / f"{number:04}.png").hardlink_to(film)
    code = "from xrayinterp.cli import main; main()"
    words = ["predict", str(tmp_path / "films"), "--csv", str(tmp_path / "t.csv")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a background shell hands down "ignore"
    )
    part = tmp_path / "t.csv.part"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not (part.exists() and part.stat().st_size > 2000):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "Interrupted" in said
    assert 0 < len(table(part)) < 4000
    assert not (tmp_path / "t.csv").exists()


# ---------------------------------------------------------------------------------------------------------- explain


def test_explain_leaves_json_maps_and_pdf(cli: Callable[..., Done], tmp_path: Path) -> None:
    film = film_png(tmp_path / "film.one.png", height=200)
    done = cli(
        "explain", film, "--out", tmp_path / "out", "--methods", "gradcam_signed,gradient", "--finding", "Effusion",
        "--pdf", "--view", "PA",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "film.one.gradcam_signed.npy", "film.one.gradcam_signed.png", "film.one.gradient.npy", "film.one.gradient.png",
        "film.one.json", "film.one.pdf",
    ]  # fmt: skip
    document = json.loads((tmp_path / "out" / "film.one.json").read_text())
    assert document["finding"] == "Effusion"
    assert document["view"] == "PA"
    assert [entry["path"] for entry in document["maps"]] == ["film.one.gradcam_signed.npy", "film.one.gradient.npy"]
    assert np.load(tmp_path / "out" / "film.one.gradient.npy").dtype == np.float32
    assert Image.open(tmp_path / "out" / "film.one.gradient.png").size == (140, 200)
    assert (tmp_path / "out" / "film.one.pdf").read_bytes().startswith(b"%PDF")
    semantic = document["semantic"]
    whole = sum(c["contribution"] for c in semantic["concepts"]) + semantic["unlabelled"] + semantic["bias"]
    assert whole == pytest.approx(semantic["logit"], rel=1e-4, abs=1e-4)


def test_explain_measures_further_layers_where_asked(cli: Callable[..., Done], tmp_path: Path) -> None:
    film = film_png(tmp_path / "film.png")
    done = cli("explain", film, "--out", tmp_path / "out", "--view", "PA", "--layer", "norm5,denseblock2")
    assert done.status == 0, done.err
    last, early = json.loads((tmp_path / "out" / "film.json").read_text())["layers"]
    assert (last["layer"], early["layer"]) == ("norm5", "denseblock2")
    exact, part = last["measures"][0]["total"], early["measures"][0]["total"]
    assert exact["difference"] == pytest.approx(0, abs=1e-4)
    assert abs(part["difference"]) > 1e-3


def test_explain_writes_exactly_one_json_a_film_whatever_the_names(cli: Callable[..., Done], tmp_path: Path) -> None:
    first, second = film_png(tmp_path / "a" / "film.png", seed=1), film_png(tmp_path / "b" / "film.png", seed=2)
    for _ in range(2):  # a second run replaces, it does not multiply
        assert cli("explain", first, second, first, "--out", tmp_path / "out", "--view", "AP").status == 0
    documents = sorted((tmp_path / "out").glob("*.json"))
    hashes = [json.loads(path.read_text())["source"]["sha256"] for path in documents]
    assert len(set(hashes)) == 2
    assert [path.name for path in documents] == [f"film-{hashes[0][:8]}.json", "film.json"]


def test_explain_goes_on_after_a_bad_film(cli: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no film")
    done = cli("explain", tmp_path / "bad.png", film_png(tmp_path / "good.png"), "--out", tmp_path / "out")
    assert done.status == 3
    assert f"error [not-an-image]: {tmp_path / 'bad.png'}: bad.png is not" in done.err
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["good.json"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--finding", "Plague"], Code.UNKNOWN_FINDING),
        (["--methods", "tealeaves"], Code.UNKNOWN_METHOD),
        (["--layer", "denseblock9"], Code.UNKNOWN_LAYER),
        (["--model", "no-such-model"], Code.UNKNOWN_MODEL),
    ],
)
def test_explain_wrong_use(cli: Callable[..., Done], tmp_path: Path, words: list[str], code: Code) -> None:
    done = cli("explain", film_png(tmp_path / "film.png"), "--out", tmp_path / "out", *words)
    assert done.status == 2
    assert done.err.startswith(f"error [{code}]: ")
    assert not list(tmp_path.glob("out/*"))


def test_explain_answers_with_the_same_numbers_as_predict(cli: Callable[..., Done], tmp_path: Path) -> None:
    film = film_png(tmp_path / "film.png")
    assert cli("predict", film, "--csv", tmp_path / "t.csv", "--view", "PA").status == 0
    assert cli("explain", film, "--out", tmp_path / "out", "--view", "PA").status == 0
    row = table(tmp_path / "t.csv")[0]
    for prediction in json.loads((tmp_path / "out" / "film.json").read_text())["predictions"]:
        assert float(row[prediction["finding"]]) == pytest.approx(prediction["logit"], abs=1e-4)


# ------------------------------------------------------------------------------------------------ models and the rest


def test_models_list_and_show(cli: Callable[..., Done]) -> None:
    listed = cli("models", "list")
    assert listed.status == 0
    for name in ("compact", "brixia", "weak", "nih", "chexpert", "all"):
        assert re.search(rf"^{name}\b", listed.out, re.MULTILINE)
    shown = cli("models", "show", "compact")
    assert shown.status == 0
    assert "Effusion" in shown.out
    assert "Licence" in shown.out
    assert "Mean AUROC: 0.500 (0.400 to 0.600)" in listed.out
    assert "Measured  Mean AUROC: 0.500 (0.400 to 0.600)" in shown.out
    assert cli("models", "show", "no-such-model").status == 2


def test_importing_something_else_than_weights_is_refused(cli: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"not weights")
    done = cli("models", "import", tmp_path / "x.pt", "--name", "nih")
    assert done.status == 1
    assert done.err.startswith("error [weights-")


def test_examples_are_checked_and_their_absence_is_told_kindly(
    cli: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAYINTERP_EXAMPLES_URL", "http://127.0.0.1:9")
    done = cli("data", "examples")
    assert done.status == 1
    assert done.err.startswith("error [offline]: ")
    assert "synthetic" in done.err
    with serve({"00000001_000.png": b"not the film"}) as server:
        monkeypatch.setenv("XRAYINTERP_EXAMPLES_URL", server.url)
        done = cli("data", "examples", "--out", tmp_path / "films")
    assert done.status == 1
    assert done.err.startswith("error [wrong-hash]: ")
    assert not (tmp_path / "films").exists()


def test_schema_is_json_schema(cli: Callable[..., Done]) -> None:
    schema = json.loads(cli("schema").out)
    assert {"predictions", "semantic", "maps", "warnings", "provenance"} <= set(schema["properties"])


def test_doctor_names_decoders_and_folders(cli: Callable[..., Done]) -> None:
    done = cli("doctor")
    assert done.status == 0
    for wanted in ("torch", "JPEG", "threads", "cache", "browser"):
        assert wanted in done.out


def test_dissect_wrong_use(cli: Callable[..., Done], tmp_path: Path) -> None:
    done = cli("dissect", "--probes", "no-such-set", "--out", tmp_path / "a.parquet", "--data", tmp_path)
    assert done.status == 2
    assert done.err.startswith("error [unknown-probes]: ")
    assert cli("dissect", "--probes", "phantom", "--out", tmp_path / "absent" / "a.parquet").status == 2
    done = cli("dissect", "--probes", "phantom", "--splits", "test", "--out", tmp_path / "a.parquet")
    assert done.status == 2
    assert done.err.endswith("has no film in split test. It has: generated.\n")
    done = cli("dissect", "--probes", "phantom,shortcuts", "--out", tmp_path / "a.parquet")
    assert done.status == 2 and "2 probe sets give as many atlases" in done.err


def test_dissect_writes_one_row_a_unit_and_concept(cli: Callable[..., Done], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "atlas.parquet"
    done = cli(
        "dissect",
        "--probes",
        "phantom",
        "--limit",
        "4",
        "--permutations",
        "19",
        "--layer",
        "norm5",
        "--out",
        out,
        "--use",
    )
    assert done.status == 0, done.err
    atlas = pq.read_table(out).to_pydict()
    pairs = list(zip(atlas["layer"], atlas["unit"], atlas["concept"], strict=True))
    assert len(pairs) == len(set(pairs))
    assert len(pairs) == len(set(atlas["unit"])) * len(set(atlas["concept"]))
    assert set(atlas["layer"]) == {"norm5"}
    assert "units are detectors" in done.err
    told = {line.split("  ")[1].strip(): line for line in done.out.splitlines()[1:]}
    assert set(told) == set(atlas["concept"])
    for concept, line in told.items():  # four films do not show every finding
        best = max(c for c, name in zip(atlas["ceiling"], atlas["concept"], strict=True) if name == concept)
        assert ("undetectable with this probe" in line) == (best <= 0.04), line
    assert not np.isnan(np.array(atlas["iou"], dtype=float)).any()
    film = film_png(tmp_path / "film.png")
    assert cli("explain", film, "--out", tmp_path / "out", "--view", "PA").status == 0
    assert json.loads((tmp_path / "out" / "film.json").read_text())["semantic"]["probes"] == ["phantom"]


def test_dissect_over_two_sets_reads_once_and_goes_on_in_its_folder(cli: Callable[..., Done], tmp_path: Path) -> None:
    words = ("dissect", "--probes", "phantom,shortcuts", "--limit", "4", "--permutations", "19", "--out", tmp_path)
    first = cli(*words, "--work", tmp_path / "work", "--shards", "2")
    assert first.status == 0 and "8 films read once" in first.err and "kept on disk" in first.err
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert set(made) == {"compact.phantom.parquet", "compact.shortcuts.parquet"}
    assert cli(*words, "--work", tmp_path / "work", "--shards", "2").status == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")} == made
    other = cli(*words, "--work", tmp_path / "work", "--shards", "3")
    assert other.status == 2 and "another dissection" in other.err


def test_formation_tells_every_checkpoint(cli: Callable[..., Done], tmp_path: Path) -> None:
    assert cli("formation", tmp_path / "absent").status == 2
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert cli("formation", folder, "--probes", "phantom").err.startswith("error [not-found]: ")
    for step in (1, 10, 2):
        write_small_builtin(folder, f"step-{step}", FINDINGS)
    options = ("--probes", "phantom", "--limit", "4", "--permutations", "19")
    done = cli("formation", folder, *options, "--out", tmp_path / "curves.json")
    assert done.status == 0, done.err
    assert re.search(r"CONCEPT +step-1 +step-2 +step-10\n", done.out)
    assert "labelled units" in done.out and "undetectable with this probe" in done.out
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert curves["checkpoints"] == ["step-1", "step-2", "step-10"]
    assert all(len(curve["detectors"]) == 3 for curve in curves["curves"])


def test_app_starts_streamlit_on_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, words: started.append(words))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["app", "--port", "8777"])
    assert ended.value.code == 0
    assert started[0][1:5] == ["-m", "streamlit", "run", "app.py"]
    assert "8777" in started[0]
    assert (Path.cwd() / "app.py").is_file()
