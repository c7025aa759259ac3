"""The same bytes from every engine, number of shards and interruption; every film read once for all that is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.dissection import Drawn, blob_model, disc_probes

from xrayinterp.concepts.probes import ProbeSet
from xrayinterp.dissection import engines, plan
from xrayinterp.dissection.atlas import Atlas
from xrayinterp.dissection.engines import Engine, InProcess, Processes, Ray
from xrayinterp.dissection.io import save_atlas
from xrayinterp.dissection.network import dissect, dissect_sets
from xrayinterp.errors import Code, XrayInterpError

QUICK = {"layers": ("maps",), "permutations": 40, "bootstraps": 50, "progress": False, "reference": ()}
ROOT = Path(__file__).parents[2]


def saved(atlas: Atlas, folder: Path) -> bytes:
    """The bytes of an atlas's file."""
    save_atlas(atlas, folder / "atlas.parquet")
    return (folder / "atlas.parquet").read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(dissect(blob_model(), disc_probes(), **QUICK), tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("shards", [2, 7])
@pytest.mark.parametrize("definition", ["khakzar2021", "bau2017"])
def test_any_number_of_shards_gives_equal_bytes(tmp_path: Path, shards: int, definition: str) -> None:
    whole, parted = (
        dissect(blob_model(), disc_probes(), shards=n, definition=definition, **QUICK) for n in (1, shards)
    )
    assert saved(parted, tmp_path) == saved(whole, tmp_path)


def test_the_order_of_films_changes_no_figure() -> None:
    probes = disc_probes()
    turned = dissect(blob_model(), replace(probes, films=probes.films[::-1]), **QUICK)
    straight = dissect(blob_model(), probes, **QUICK)
    kept = ("unit", "concept", "iou", "threshold", "area", "coverage", "ci_low", "ci_high", "iou_crossfit", "ceiling")
    assert [[getattr(r, k) for k in kept] for r in turned.rows] == [
        [getattr(r, k) for k in kept] for r in straight.rows
    ]


@dataclass(frozen=True)
class Deadly:
    """A film that kills whoever reads it for the first time."""

    film: Drawn
    marker: Path

    def pixels(self) -> np.ndarray:
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.film.pixels()

    def masks(self, names: Sequence[str], /) -> np.ndarray:
        return self.film.masks(names)


def deadly(marker: Path, which: int = 11) -> ProbeSet:
    """The usual films, one of them deadly until `marker` is there."""
    probes = disc_probes()
    killer = replace(probes.films[which], picture=Deadly(probes.films[which].picture, marker))  # type: ignore[arg-type]
    return replace(probes, films=(*probes.films[:which], killer, *probes.films[which + 1 :]))


@pytest.mark.parametrize("engine", [Processes(2), Ray(2)], ids=["processes", "ray"])
def test_other_processes_give_equal_bytes_though_one_is_killed(tmp_path: Path, expected: bytes, engine: Engine) -> None:
    if isinstance(engine, Ray):
        pytest.importorskip("ray")
    marker = tmp_path / "killed"
    made = dissect(blob_model(), deadly(marker), engine=engine, shards=3, **QUICK)
    assert marker.exists() and saved(made, tmp_path) == expected


def test_a_worker_that_dies_each_time_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ATTEMPTS", 1)
    with pytest.raises(XrayInterpError, match="more shards") as caught:
        dissect(blob_model(), deadly(tmp_path / "killed"), engine=Processes(1), **QUICK)
    assert caught.value.code is Code.INTERNAL


def test_an_error_in_a_worker_arrives_whole() -> None:
    probes = disc_probes(8)
    broken = blob_model()
    broken.module.conv.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(XrayInterpError, match="not finite") as caught:
        dissect(broken, probes, engine=Processes(1), **QUICK)
    assert caught.value.code is Code.WEIGHTS_CORRUPT


RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from dissection.test_engines import QUICK, deadly
from helpers.dissection import blob_model
from xrayinterp.dissection.network import dissect
dissect(blob_model(), deadly(Path({marker!r}), 40), shards=3, work=Path({work!r}), **QUICK)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, expected: bytes) -> None:
    marker, work = tmp_path / "killed", tmp_path / "work"
    script = RUN.format(tests=str(ROOT / "tests"), marker=str(marker), work=str(work))
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in work.glob("shard-*/read.npz")}
    time.sleep(0.01)
    made = dissect(blob_model(), deadly(marker, 40), shards=3, work=work, **QUICK)
    assert saved(made, tmp_path) == expected
    assert {path: path.stat().st_mtime_ns for path in done} == done and len(list(work.glob("shard-*/read.npz"))) == 3
    again = dissect(blob_model(), deadly(marker, 40), shards=3, work=work, **QUICK)
    assert saved(again, tmp_path) == expected


def test_many_patients_are_counted_in_groups_and_only_intervals_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = dissect(blob_model(), disc_probes(), **QUICK)
    monkeypatch.setattr(plan, "GROUPS", 8)
    grouped = dissect(blob_model(), disc_probes(), shards=2, **QUICK)
    kept = ("unit", "concept", "iou", "threshold", "null_p", "null_high", "patients", "films", "exemplars")
    figures = [[[getattr(row, name) for name in kept] for row in atlas.rows] for atlas in (alone, grouped)]
    assert figures[0] == figures[1]
    assert [r.ci_low for r in alone.rows] != [r.ci_low for r in grouped.rows]


def test_a_folder_of_another_dissection_is_refused(tmp_path: Path) -> None:
    dissect(blob_model(), disc_probes(20), work=tmp_path / "work", **QUICK)
    with pytest.raises(XrayInterpError, match="another dissection") as caught:
        dissect(blob_model(), disc_probes(20, seed=1), shards=2, work=tmp_path / "work", **QUICK)
    assert caught.value.code is Code.BAD_OPTION


@dataclass(frozen=True)
class Counted:
    """A film that notes in a file that it was read."""

    film: Drawn
    log: Path

    def pixels(self) -> np.ndarray:
        with self.log.open("a", encoding="ascii") as file:
            file.write("read\n")
        return self.film.pixels()

    def masks(self, names: Sequence[str], /) -> np.ndarray:
        return self.film.masks(names)


def test_several_sets_and_layers_take_one_forward_a_film(tmp_path: Path) -> None:
    probes, log = disc_probes(), tmp_path / "log"
    films = tuple(replace(f, picture=Counted(f.picture, log)) for f in probes.films)  # type: ignore[arg-type]
    both = [
        replace(probes, films=films),
        replace(probes, name="some", concepts=("hole", "box"), films=films[10:50:2][::-1]),
    ]
    made = dissect_sets(blob_model(), both, shards=2, **QUICK)
    assert log.read_text(encoding="ascii").count("read") == len(films)
    alone = [dissect(blob_model(), one, **QUICK) for one in both]
    assert [a.rows for a in made] == [a.rows for a in alone]
    assert [a.probe for a in made] == ["discs", "some"]


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(XrayInterpError, match=r"xrayinterp\[cluster\]"):
        dissect(blob_model(), disc_probes(8), engine=Ray(1), **QUICK)


def test_workers_are_counted() -> None:
    assert InProcess().workers == 1 and Processes(3).workers == 3 and Ray(4).workers == 4
