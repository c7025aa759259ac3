"""Methods compared over films: what is asked of each film, and that a run is the same however it comes about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.closed_form import SMALL
from helpers.made_probes import made_probes
from helpers.tiny_model import tiny_model

from xrayinterp.attribution import Forward, native_map
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.cases import film_cases
from xrayinterp.evaluation.journal import load_rows, save_rows
from xrayinterp.evaluation.lamps import LAMPS
from xrayinterp.evaluation.localisation import localise
from xrayinterp.evaluation.measures import METRICS
from xrayinterp.evaluation.perturbation import at_size
from xrayinterp.evaluation.runs import Run, measure_all, part_named, results
from xrayinterp.evaluation.untrained import untrained

METHODS = ("gradcam_signed", "gradient")
QUICK = ("stability", "covered", "sensitivity-n", "pointing", "energy", "iou")


def made_run(metrics: tuple[str, ...] = QUICK, films: int = 4, **options: object) -> Run:
    return Run.of(tiny_model(), made_probes(films), METHODS, metrics, **options)


def written(run: Run, folder: Path) -> bytes:
    rows = results(run, folder)
    assert rows is not None
    save_rows(rows, folder / "values.parquet", run.settings)
    return (folder / "values.parquet").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    measure_all(made_run(), folder)
    written(made_run(), folder)
    return folder


def test_primary_case_is_measured_in_full_and_outlines_for_localisation(whole: Path) -> None:
    run = made_run()
    rows, settings = load_rows(whole / "values.parquet")
    assert settings == run.settings
    for film in run.probes.films:
        seen = film_cases(run.model, film)
        assert sum(case.primary for case in seen.cases) == 1
        for case in seen.cases:
            here = [row for row in rows if row.film == film.id and row.finding == case.finding]
            wanted = [m for m in run.metrics if (case.primary or m.outlined)]
            wanted = [m for m in wanted if not m.outlined or case.finding in seen.outlines]
            assert [(row.method, row.metric) for row in here] == [(m, w.name) for m in METHODS for w in wanted]
            assert {row.present for row in here} <= {case.finding in seen.outlines, None}


def test_values_are_those_of_the_map_itself(whole: Path) -> None:
    run = made_run()
    film = run.probes.films[0]
    seen = film_cases(run.model, film)
    values = native_map(Forward(run.model, seen.x), run.model.index("Effusion"), "gradient")[0, 0].abs()
    expected = localise(at_size(values, seen.x), seen.outlines["Effusion"])
    rows, _ = load_rows(whole / "values.parquet")
    found = {
        row.metric: row.value
        for row in rows
        if (row.film, row.finding, row.method) == (film.id, "Effusion", "gradient") and METRICS[row.metric].outlined
    }
    assert found == vars(expected)


def test_lamps_bring_their_state_and_reference(whole: Path) -> None:
    rows, _ = load_rows(whole / "values.parquet")
    stable = [row for row in rows if row.metric == "stability" and row.value is not None]
    assert stable
    assert all(row.state == LAMPS["stable"].state(row.value) for row in stable if row.value is not None)
    assert all(row.state == "not-measurable" for row in rows if row.metric == "covered")  # there is no atlas
    assert all(row.state is None and row.reference is None for row in rows if row.metric == "iou")


def stopping_after(steps: int) -> Callable[[], None]:
    left = [steps]

    def tick() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    return tick


@pytest.mark.parametrize("steps", [1, 4])
def test_interrupted_run_gives_the_same_file(whole: Path, tmp_path: Path, steps: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure_all(made_run(), tmp_path, stopping_after(steps))
    assert results(made_run(), tmp_path) is None
    torn = tmp_path / "journal-1-of-1.jsonl"
    torn.write_text(torn.read_text() + '{"film": "f3", "method"', encoding="utf-8")  # killed while it wrote
    ticks: list[int] = []
    measure_all(made_run(), tmp_path, lambda: ticks.append(1))
    assert len(ticks) == 4 * len(METHODS)
    assert written(made_run(), tmp_path) == (whole / "values.parquet").read_bytes()


def test_parts_together_give_the_same_file(whole: Path, tmp_path: Path) -> None:
    for part in ((1, 2), (2, 2)):
        assert results(made_run(part=part), tmp_path) is None
        measure_all(made_run(part=part), tmp_path)
    assert written(made_run(part=(2, 2)), tmp_path) == (whole / "values.parquet").read_bytes()


def test_finished_films_and_methods_are_not_measured_again(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xrayinterp.evaluation import runs

    measured: Counter[str] = Counter()
    measure = runs.measure

    def counted(bench: object, finding: str, method: str, *rest: object) -> object:
        measured[method] += 1
        return measure(bench, finding, method, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "measure", counted)
    measure_all(made_run(), whole)
    assert not measured
    more = replace(made_run(), methods=(*METHODS, "gradcam"))
    measure_all(more, whole)
    assert set(measured) == {"gradcam"}


def test_folder_of_another_run_is_left_alone(whole: Path) -> None:
    before = {path: path.read_bytes() for path in whole.iterdir()}
    with pytest.raises(XrayInterpError, match="differs in seed") as refused:
        measure_all(made_run(seed=1), whole)
    assert refused.value.code is Code.BAD_OPTION
    assert {path: path.read_bytes() for path in whole.iterdir()} == before


def test_every_metric_can_be_measured(tmp_path: Path) -> None:
    run = Run.of(tiny_model(), made_probes(1), ("gradcam_signed",), tuple(METRICS))
    measure_all(run, tmp_path)
    rows = results(run, tmp_path)
    assert rows is not None
    found = {row.metric: row.value for row in rows}
    assert set(found) == set(METRICS)
    assert all(np.isfinite(value) for metric, value in found.items() if metric != "covered" and value is not None)
    assert found["morf"] is not None
    assert found["lerf"] is not None


@pytest.mark.parametrize(
    ("methods", "metrics", "code"),
    [
        (("gradcam_typo",), QUICK, Code.UNKNOWN_METHOD),
        (METHODS, ("pointng",), Code.BAD_OPTION),
    ],
)
def test_wrong_names_are_refused(methods: tuple[str, ...], metrics: tuple[str, ...], code: Code) -> None:
    with pytest.raises(XrayInterpError) as refused:
        Run.of(tiny_model(), made_probes(1), methods, metrics)
    assert refused.value.code is code


def test_probe_set_without_films_is_refused() -> None:
    with pytest.raises(XrayInterpError) as refused:
        Run.of(tiny_model(), made_probes(0), METHODS, QUICK)
    assert refused.value.code is Code.DATA_MISSING


@pytest.mark.parametrize("content", [b"", b"no parquet at all"])
def test_file_that_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "values.parquet").write_bytes(content)
    with pytest.raises(XrayInterpError) as refused:
        load_rows(tmp_path / "values.parquet")
    assert refused.value.code is Code.BAD_MANIFEST
    with pytest.raises(XrayInterpError) as absent:
        load_rows(tmp_path / "other.parquet")
    assert absent.value.code is Code.NOT_FOUND


def test_untrained_network_is_random_and_leaves_the_model_alone() -> None:
    model = tiny_model()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    first, again, other = (untrained(model, SMALL, seed=seed) for seed in (0, 0, 1))
    x = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first.logits(x), again.logits(x))
    assert not torch.equal(first.logits(x), other.logits(x))
    assert first.logits(x).std() > 1e-3
    assert first.findings == model.findings
    assert not first.operating_points
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    seen = film_cases(first, made_probes(1).films[0])
    assert all(case.flagged is None for case in seen.cases)


@pytest.mark.parametrize("text", ["2", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", ""])
def test_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(XrayInterpError, match="1/2") as refused:
        part_named(text)
    assert refused.value.code is Code.BAD_OPTION
    assert part_named("2/3") == (2, 3)
