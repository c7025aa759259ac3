from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_models import small_network, write_small_builtin
from safetensors.torch import save_file
from torch import nn

from xrayinterp.datasets.films import load_films
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.radiograph import Radiograph, Source
from xrayinterp.models.card import Interval
from xrayinterp.models.storage import read_weights, save_builtin
from xrayinterp.models.xrv import torchxrayvision
from xrayinterp.models.zoo import BUILTIN_DIR, describe, load_model, model_names


def film(height: int = 300, width: int = 260) -> Radiograph:
    pixels = np.random.default_rng(0).random((height, width), dtype=np.float32)
    source = Source("png", height, width, 8, "MONOCHROME2")
    return Radiograph((pixels * 255).astype(np.uint8), pixels, "PA", "reader", None, (), "0" * 64, source)


def failure(code: Code, function: object, *args: object, **kwargs: object) -> XrayInterpError:
    with pytest.raises(XrayInterpError) as caught:
        function(*args, **kwargs)  # type: ignore[operator]
    assert caught.value.code is code
    return caught.value


def test_builtin_model_is_frozen_and_gives_what_was_saved(builtin: Path) -> None:
    model = load_model("compact")
    x = torch.rand(2, 1, 64, 64) * 2 - 1
    expected = small_network(3)
    with torch.no_grad():
        rounded = {
            k: v.half().float() if v.is_floating_point() and v.ndim >= 2 else v
            for k, v in expected.state_dict().items()
        }
        expected.load_state_dict(rounded)
        assert torch.equal(model.logits(x), expected(x))
    assert not model.module.training
    assert not any(p.requires_grad for p in model.module.parameters())
    assert all(p.dtype is torch.float32 for p in model.module.parameters())
    assert not any(part.inplace for part in model.module.modules() if isinstance(part, nn.ReLU))


def test_a_card_tells_its_figures_in_words_and_passes_over_what_is_none(builtin: Path) -> None:
    card = load_model("compact").card
    assert card.figures == (("Mean AUROC", "0.500 (0.400 to 0.600)"),)
    odd = replace(card, measured={"zone_mae": 0.5629, "mean_auroc": "high", "raters_apart": [2.0, 1.7], "own": 3})
    assert odd.figures == (("Mean absolute error of a zone (0 to 3)", "0.56"),)


def test_prepare_and_logits_of_a_film(builtin: Path) -> None:
    model = load_model("compact")
    x = model.prepare(film())
    assert x.shape == (1, 1, 64, 64)
    assert -1 <= float(x.min()) < float(x.max()) <= 1
    logits = model.logits(x)
    assert logits.shape == (1, 3)
    assert torch.isfinite(logits).all()
    cells = torch.rand(2, 2)
    full = model.to_display(cells, film(), smooth=False)
    assert full.shape == (300, 260)
    assert set(full[np.isfinite(full)].tolist()) == set(cells.flatten().tolist())


def test_layers_are_where_and_as_large_as_they_say(builtin: Path) -> None:
    model = load_model("compact")
    assert list(model.layers) == ["denseblock1", "denseblock2", "denseblock3", "norm5"]
    x = torch.rand(1, 1, 64, 64)
    for layer in model.layers.values():
        seen: list[torch.Tensor] = []
        handle = model.module.get_submodule(layer.path).register_forward_hook(lambda m, i, o, s=seen: s.append(o))
        model.module(x)
        handle.remove()
        assert seen[0].shape == (1, layer.units, layer.grid, layer.grid)


def test_numbers_of_the_record_arrive_in_the_model(builtin: Path) -> None:
    model = load_model("compact")
    assert model.findings == ("Effusion", "Mass", "Nodule")
    assert model.operating_points["Effusion"].threshold == 0.25
    assert model.calibrations["Effusion"].prevalence == 0.1
    assert model.metrics["Effusion"].auroc == Interval(0.8, 0.75, 0.85)
    assert model.metrics["Mass"].auroc is None
    assert not model.metrics["Mass"].assessed
    assert model.card.measured["mean_auroc"] == [0.5, 0.4, 0.6]
    record = json.loads((builtin / "compact.json").read_text())
    assert model.card.sha256 == record["sha256"]
    assert record["architecture"] == {"growth": 8, "blocks": [2, 2, 2, 2], "stem": 16, "bottleneck": 4}
    with pytest.raises(FrozenInstanceError):
        model.card.title = "other"  # type: ignore[misc]


def test_all_models_are_described_in_order_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XRAYINTERP_BUILTIN", str(tmp_path / "nothing"))
    assert model_names() == ("compact", "brixia", "weak", "nih", "chexpert", "all")
    for name in model_names():
        entry = describe(name)
        assert entry.card.title
        assert entry.card.data
        assert entry.card.licence
        assert any("not for diagnosis" in limit for limit in entry.card.limits)
        assert not entry.available
        assert entry.default == (name == "compact")
    assert describe("brixia").card.research_only
    assert "non-commercial" in describe("brixia").card.licence
    assert any("128 px" in limit for limit in describe("compact").card.limits)
    assert failure(Code.WEIGHTS_MISSING, load_model, "compact").message.startswith("The weights of 'compact'")


@pytest.mark.parametrize(("name", "key", "count"), [("nih", "nih", 14), ("chexpert", "chex", 11), ("all", "all", 18)])
def test_manifests_agree_with_torchxrayvision(name: str, key: str, count: int) -> None:
    facts = torchxrayvision().models.model_urls[key]
    entry = describe(name)
    assert entry.url == facts["weights_url"]
    assert entry.download == facts["weights_url"].rsplit("/", 1)[1]
    assert entry.structure is not None
    assert entry.structure.slots == tuple(facts["labels"])
    assert len(entry.findings) == count
    for finding, threshold in zip(facts["labels"], facts["op_threshs"], strict=True):
        assert (finding == "") == math.isnan(threshold)
        if finding:
            logit = entry.operating_points[finding].threshold
            assert 1 / (1 + math.exp(-logit)) == pytest.approx(threshold, rel=1e-9)
    assert entry.calibrations == {}
    assert all(m.auroc is None for m in entry.metrics.values())


def test_describing_needs_no_torch() -> None:
    code = (
        "import sys; from xrayinterp.models.zoo import describe, model_names; [describe(n) for n in model_names()];"
        "bad = {'torch', 'torchvision', 'torchxrayvision', 'streamlit'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model_from_a_path_and_under_another_name(builtin: Path, tmp_path: Path) -> None:
    lone = tmp_path / "mine.safetensors"
    lone.write_bytes((builtin / "compact.safetensors").read_bytes())
    error = failure(Code.BAD_MANIFEST, load_model, lone)
    assert "mine.json" in error.hint
    lone.with_suffix(".json").write_bytes((builtin / "compact.json").read_bytes())
    for given in (lone, str(lone)):
        model = load_model(given)
        assert model.name == "mine"
        assert model.card.research_only
        assert torch.equal(model.module.classifier.weight, load_model("compact").module.classifier.weight)


def test_a_file_may_carry_its_record_in_its_header(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    record = {
        "architecture": {"growth": 8, "blocks": [2, 2, 2, 2], "stem": 16, "bottleneck": 4},
        "findings": ["Effusion"],
        "size": 64,
        "scale": 1.0,
        "text": {"title": "Mine", "limits": ["Untested."], "research_only": False},
    }
    path = tmp_path / "one.safetensors"
    save_file(small_network(1).state_dict(), path, metadata={"xrayinterp": json.dumps(record)})
    model = load_model(path)
    assert model.findings == ("Effusion",)
    assert model.card.title == "Mine"
    assert model.card.sha256 is not None
    assert len(model.card.sha256) == 64


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"findings": ["A", "A"]}, "same name"),
        ({"findings": []}, "findings"),
        ({"size": 0}, "size"),
        ({"architecture": {"growth": 10**9}}, "each size"),
        ({"operating_points": {"Unheard": {"threshold": 0.0}}}, "Unheard"),
        ({"operating_points": {"Effusion": {"threshold": "high"}}}, "threshold"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_records_that_make_no_sense_are_refused(builtin: Path, change: dict[str, object], says: str) -> None:
    path = builtin / "compact.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert says in failure(Code.BAD_MANIFEST, load_model, "compact").message


def test_damaged_weights_are_refused(builtin: Path) -> None:
    path = builtin / "compact.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    failure(Code.WEIGHTS_HASH, load_model, "compact")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}, file)
    assert "values in b" in failure(Code.WEIGHTS_CORRUPT, read_weights, file, None).message


def test_weights_of_another_network_are_refused(builtin: Path) -> None:
    path = builtin / "compact.json"
    record = json.loads(path.read_text())
    record["architecture"]["growth"] = 16
    path.write_text(json.dumps(record))
    assert "do not fit" in failure(Code.WEIGHTS_CORRUPT, load_model, "compact").message


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    facts = {"findings": ["A", "B"], "size": 64, "scale": 1.0, "detail": None, "task": "findings"}
    assert "2 findings" in failure(Code.BAD_MANIFEST, save_builtin, tmp_path, "x", small_network(3), facts).message
    broken = small_network(2)
    with torch.no_grad():
        broken.classifier.weight[0, 0] = 1e6
    assert "classifier.weight" in failure(Code.WEIGHTS_CORRUPT, save_builtin, tmp_path, "x", broken, facts).message
    wrong = facts | {"measured": {"auroc": float("nan")}}
    failure(Code.BAD_MANIFEST, save_builtin, tmp_path, "x", small_network(2), wrong)
    assert not list(tmp_path.glob("x.*"))


def test_figures_from_numpy_are_kept_as_numbers(tmp_path: Path) -> None:
    figures = {"mae": np.float32(2.5), "zones": np.arange(3)}
    write_small_builtin(tmp_path, measured=figures)
    assert json.loads((tmp_path / "compact.json").read_text())["measured"] == {"mae": 2.5, "zones": [0, 1, 2]}


def test_unknown_models_and_devices(builtin: Path) -> None:
    assert "compact" in failure(Code.UNKNOWN_MODEL, load_model, "compakt").hint
    assert "models import" in failure(Code.UNKNOWN_MODEL, load_model, "mine.pt").hint
    failure(Code.UNKNOWN_MODEL, load_model, "../compact")
    failure(Code.WEIGHTS_MISSING, load_model, "nowhere.safetensors")
    failure(Code.BAD_OPTION, load_model, "compact", device="abacus")


def test_loading_in_many_threads_gives_equal_models_and_draws_nothing_at_random(builtin: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    x = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64)
    barrier = threading.Barrier(6)

    def load() -> torch.Tensor:
        barrier.wait()
        return load_model("compact").logits(x)

    with ThreadPoolExecutor(6) as pool:
        logits = [job.result() for job in [pool.submit(load) for _ in range(6)]]
    assert all(torch.equal(logits[0], other) for other in logits)
    assert torch.equal(torch.rand(3), expected)


def test_the_builtin_models_of_this_package_load() -> None:
    present = [path.stem for path in BUILTIN_DIR.glob("*.safetensors")]
    if not present:
        pytest.skip("no built-in weights yet: make embedded")
    for name in present:
        model = load_model(name)
        assert torch.isfinite(model.logits(model.prepare(film()))).all()
        assert (BUILTIN_DIR / f"{name}.safetensors").stat().st_size < 5_000_000


@pytest.mark.data
def test_real_films_are_told_apart(builtin: Path, data_root: Path) -> None:
    model = load_model("compact")
    films = load_films("nih", root=data_root, splits=["test"])[:4]
    source = Source("jpeg", 1, 1, 8, "MONOCHROME2")
    inputs = []
    for one in films:
        pixels = one.pixels()
        radiograph = Radiograph((pixels * 255).astype(np.uint8), pixels, "PA", "reader", None, (), "0" * 64, source)
        for fit in ("crop", "pad"):
            inputs.append(model.prepare(radiograph, fit))
    x = torch.cat(inputs)
    assert x.shape == (8, 1, 64, 64)
    assert float(x.min()) >= -1
    assert float(x.max()) <= 1
    logits = model.logits(x)
    assert torch.isfinite(logits).all()
    assert float(logits[::2].std(0).min()) > 1e-3
