from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import yaml
from helpers.http_server import FileServer
from helpers.small_models import published_logits, small_network, write_small_builtin
from torch import nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.registry import describe, model_names, weights_dir
from xrayinterp.models.weights import fetch, import_weights
from xrayinterp.models.zoo import load_model

FILE = "small-densenet.pt"
SLOTS = ("Atelectasis", "", "Effusion", "", "Mass", "Nodule")
TRAINED = [0, 2, 4, 5]


def failure(code: Code, function: object, *args: object, **kwargs: object) -> XrayInterpError:
    with pytest.raises(XrayInterpError) as caught:
        function(*args, **kwargs)  # type: ignore[operator]
    assert caught.value.code is code, caught.value
    return caught.value


def publish_hash(manifest: Path, data: bytes) -> None:
    raw = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    raw["weights"]["sha256"] = sha256(data).hexdigest()
    manifest.write_text(yaml.safe_dump(raw), encoding="utf-8")
    stamp = manifest.stat().st_mtime_ns + 1_000_000
    os.utime(manifest, ns=(stamp, stamp))


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_first_use_fetches_converts_and_equals_the_original(
    form: str, server: FileServer, published: dict[str, bytes], theirs: nn.Module
) -> None:
    server.files[FILE] = published[form]
    seen: list[tuple[str, int, int | None]] = []
    model = load_model("small", progress=lambda *step: seen.append(step))
    x = (torch.rand(3, 1, 64, 64) * 2 - 1) * 1024
    assert torch.equal(model.logits(x), published_logits(theirs, x)[:, TRAINED])
    assert model.findings == ("Atelectasis", "Effusion", "Mass", "Nodule")
    assert model.operating_points["Effusion"].threshold == 0.0
    assert model.calibrations == {}
    assert seen[-1] == (FILE, len(published[form]), len(published[form]))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert sorted(path.name for path in weights_dir().iterdir() if path.suffix != ".lock") == [
        "small.json",
        "small.safetensors",
    ]


def test_the_second_use_asks_nobody(server: FileServer) -> None:
    first = fetch("small")
    assert fetch("small") == first
    load_model("small")
    assert len(server.requests) == 1


def test_an_unpublished_hash_is_recorded_and_said_so(
    server: FileServer, published: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    before = describe("small")
    assert before.card.sha256 is None
    assert "recorded at the first fetch" in before.hash_note
    fetch("small")
    digest = sha256(published["zip"]).hexdigest()
    assert f"{digest} recorded; none is published" in caplog.text
    after = describe("small")
    assert after.card.sha256 == digest
    assert "Recorded" in after.hash_note
    assert after.available
    weights_dir().joinpath("small.safetensors").write_bytes(b"damaged")
    server.files[FILE] = published["legacy"]  # another file than the one that was recorded
    error = failure(Code.WEIGHTS_HASH, fetch, "small")
    assert digest in error.message
    server.files[FILE] = published["zip"]
    fetch("small")
    assert describe("small").card.sha256 == digest


def test_a_published_hash_is_checked(small_manifest: Path, server: FileServer, published: dict[str, bytes]) -> None:
    publish_hash(small_manifest, published["zip"])
    server.files[FILE] = published["zip"] + b"\0"
    error = failure(Code.WEIGHTS_HASH, load_model, "small")
    assert sha256(published["zip"]).hexdigest() in error.message
    assert not [path for path in weights_dir().iterdir() if path.suffix != ".lock"]
    server.files[FILE] = published["zip"]
    load_model("small")
    assert describe("small").hash_note == "Checked against the published SHA-256."


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_truncated_file_is_corrupt_and_removed(form: str, server: FileServer, published: dict[str, bytes]) -> None:
    server.files[FILE] = published[form][: len(published[form]) // 2]
    assert FILE in failure(Code.WEIGHTS_CORRUPT, load_model, "small").message
    assert not (weights_dir() / FILE).exists()
    assert not describe("small").available
    server.files[FILE] = published[form]
    load_model("small")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_malicious_file_is_refused_and_removed(is_zip: bool, server: FileServer, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Command:
        def __reduce__(self) -> object:
            return os.system, (f"touch {mark}",)

    torch.save(Command(), tmp_path / "evil.pt", _use_new_zipfile_serialization=is_zip)
    server.files[FILE] = (tmp_path / "evil.pt").read_bytes()
    assert "posix.system" in failure(Code.WEIGHTS_UNSAFE, load_model, "small").message
    assert not mark.exists()
    assert not (weights_dir() / FILE).exists()


def test_weights_of_another_size_are_refused(server: FileServer, tmp_path: Path) -> None:
    other = small_network(len(SLOTS)).state_dict()
    other["features.conv0.weight"] = torch.zeros(3, 1, 7, 7)
    torch.save(other, tmp_path / "other.pt")
    server.files[FILE] = (tmp_path / "other.pt").read_bytes()
    assert "features.conv0.weight" in failure(Code.WEIGHTS_CORRUPT, load_model, "small").message
    torch.save(small_network(len(SLOTS) + 1).state_dict(), tmp_path / "other.pt")
    server.files[FILE] = (tmp_path / "other.pt").read_bytes()
    assert "expected 6 rows" in failure(Code.WEIGHTS_CORRUPT, load_model, "small").message


def test_a_broken_connection_is_resumed_in_the_same_call(server: FileServer, published: dict[str, bytes]) -> None:
    server.breaks, server.break_after = 2, 50_000
    load_model("small")
    ranges = [request.get("Range") for request in server.requests]
    assert ranges == [None, "bytes=50000-", "bytes=100000-"]
    assert describe("small").card.sha256 == sha256(published["zip"]).hexdigest()


def test_a_fetch_that_failed_is_resumed_by_the_next(server: FileServer, published: dict[str, bytes]) -> None:
    server.breaks, server.break_after = 3, 30_000
    error = failure(Code.WEIGHTS_OFFLINE, fetch, "small")
    assert "90000 bytes are kept" in error.message
    assert (weights_dir() / f"{FILE}.part").stat().st_size == 90_000
    fetch("small")
    assert server.requests[-1]["Range"] == "bytes=90000-"
    assert describe("small").card.sha256 == sha256(published["zip"]).hexdigest()


def test_a_fetch_that_was_stopped_is_resumed(server: FileServer) -> None:
    def stop(name: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("small", progress=stop)
    kept = (weights_dir() / f"{FILE}.part").stat().st_size
    assert kept > 0
    fetch("small")
    assert server.requests[-1]["Range"] == f"bytes={kept}-"


def test_a_part_of_another_file_is_not_mixed_in(server: FileServer, published: dict[str, bytes]) -> None:
    server.breaks, server.break_after = 3, 30_000
    failure(Code.WEIGHTS_OFFLINE, fetch, "small")
    server.files[FILE] = published["legacy"]  # replaced on the server meanwhile: If-Range no longer matches
    fetch("small")
    assert describe("small").card.sha256 == sha256(published["legacy"]).hexdigest()


def test_without_a_stamp_nothing_is_resumed(server: FileServer, published: dict[str, bytes]) -> None:
    server.stamps, server.breaks, server.break_after = False, 1, 30_000
    fetch("small")
    assert [request.get("Range") for request in server.requests] == [None, None]
    assert describe("small").card.sha256 == sha256(published["zip"]).hexdigest()


def test_a_part_longer_than_the_file_begins_again(server: FileServer, published: dict[str, bytes]) -> None:
    from hashlib import md5

    part = weights_dir() / f"{FILE}.part"
    part.write_bytes(bytes(len(published["zip"]) + 10))
    part.with_name(f"{part.name}.stamp").write_text(f'"{md5(published["zip"]).hexdigest()}"')
    fetch("small")
    assert describe("small").card.sha256 == sha256(published["zip"]).hexdigest()


def test_offline_the_message_names_file_place_address_and_alternative(
    small_manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAYINTERP_WEIGHTS_URL", "http://127.0.0.1:9")
    error = failure(Code.WEIGHTS_OFFLINE, load_model, "small")
    text = str(error)
    for part in (FILE, f"http://127.0.0.1:9/{FILE}", str(weights_dir() / FILE), "models import", "`compact`"):
        assert part in text
    assert "refused" in text


def test_a_file_that_is_not_on_the_server(server: FileServer) -> None:
    server.files.clear()
    assert "404" in failure(Code.WEIGHTS_OFFLINE, fetch, "small").message
    assert len(server.requests) == 1


def test_only_https_leaves_this_machine(small_manifest: Path) -> None:
    for base in ("http://example.org", "http://127.0.0.1.example.org", "ftp://127.0.0.1", "file:///etc"):
        failure(Code.BAD_OPTION, fetch, "small", base_url=base)


def test_a_file_put_in_place_by_hand_is_taken(small_manifest: Path, published: dict[str, bytes]) -> None:
    (weights_dir() / FILE).write_bytes(published["zip"])
    assert load_model("small").card.sha256 == sha256(published["zip"]).hexdigest()


def test_built_in_models_need_no_fetching(builtin: Path) -> None:
    assert fetch("compact") == builtin / "compact.safetensors"


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_import_of_a_checkpoint(form: str, small_manifest: Path, published: dict[str, bytes], tmp_path: Path) -> None:
    named = tmp_path / FILE
    named.write_bytes(published[form])
    assert import_weights(named) == weights_dir() / "small.safetensors"
    assert named.is_file()
    other = named.rename(tmp_path / "other.pt")
    assert "small" in failure(Code.BAD_OPTION, import_weights, other).hint
    import_weights(other, "small")
    load_model("small")
    failure(Code.BAD_OPTION, import_weights, other, "compact")
    failure(Code.UNKNOWN_MODEL, import_weights, other, "unheard")
    failure(Code.NOT_FOUND, import_weights, tmp_path / "nowhere.pt")


def test_import_of_a_damaged_checkpoint_leaves_the_file(
    small_manifest: Path, published: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / FILE
    path.write_bytes(published["zip"][:-1000])
    failure(Code.WEIGHTS_CORRUPT, import_weights, path)
    publish_hash(small_manifest, published["zip"])
    failure(Code.WEIGHTS_HASH, import_weights, path)
    assert path.is_file()


def test_import_of_safetensors_adds_a_model(tmp_path: Path) -> None:
    path = write_small_builtin(tmp_path / "mine", "severe", (*"ABCDEF", "global"), task="severity")
    kept = import_weights(path)
    assert kept.parent == weights_dir()
    assert model_names()[-1] == "severe"
    model = load_model("severe")
    assert model.task == "severity"
    assert model.metrics["A"].patients == 40
    assert kept.read_bytes() == path.read_bytes()
    assert describe("severe").kind == "imported"
    import_weights(path, "severe-2")
    assert model_names()[-1] == "severe-2"
    for name in ("compact", "../severe", ".hidden", ""):
        failure(Code.BAD_OPTION, import_weights, path, name or "a/b")
    path.with_suffix(".json").unlink()
    failure(Code.BAD_MANIFEST, import_weights, path)
    with pytest.raises(XrayInterpError, match="outputs of a severity model are A, B"):
        write_small_builtin(tmp_path / "odd", "odd", task="severity")


def test_a_garbled_record_in_the_cache_is_fetched_anew(server: FileServer) -> None:
    fetch("small")
    (weights_dir() / "small.json").write_text("{")
    assert not describe("small").available
    load_model("small")
    assert json.loads((weights_dir() / "small.json").read_text())["origin"]["published"] is False


def test_threads_and_processes_fetch_once(server: FileServer, small_manifest: Path) -> None:
    code = (
        "import sys, pathlib; from xrayinterp.models import registry;"
        f"registry.manifest_dir = lambda: pathlib.Path({str(small_manifest.parent.parent)!r});"
        "from xrayinterp.models.weights import fetch; print(fetch('small'))"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with ThreadPoolExecutor(3) as pool:
        paths = {str(job.result()) for job in [pool.submit(fetch, "small") for _ in range(3)]}
    paths |= {job.communicate()[0].strip() for job in jobs}
    assert all(job.returncode == 0 for job in jobs)
    assert paths == {str(weights_dir() / "small.safetensors")}
    assert len(server.requests) == 1
