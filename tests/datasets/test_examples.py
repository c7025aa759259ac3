from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from helpers.http_server import FileServer, serve

from xrayinterp.datasets import examples
from xrayinterp.datasets.examples import fetch_examples, load_examples
from xrayinterp.errors import Code, XrayInterpError

FILES = {"one.png": b"film one" * 9000, "two.dcm": b"film two"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Two made-up example files, their manifest, and a server that has them."""
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    facts = {
        "title": "t",
        "source": "s",
        "commit": "c",
        "url": "https://examples.invalid/tests",
        "licence": "l",
        "files": [{"name": name, "sha256": sha256(data).hexdigest()} for name, data in FILES.items()],
    }
    (tmp_path / "examples.yaml").write_text(yaml.safe_dump(facts), encoding="utf-8")
    monkeypatch.setattr(examples, "manifest_dir", lambda: tmp_path)
    with serve(FILES) as running:
        monkeypatch.setenv("XRAYINTERP_EXAMPLES_URL", running.url)
        yield running


def test_the_manifest_names_three_files_of_one_commit() -> None:
    found = load_examples()
    assert found.commit == "f4087a0b0d0cdc6a5877fb5456965b6d29adb1e5"
    assert found.url == f"https://raw.githubusercontent.com/mlmed/torchxrayvision/{found.commit}/tests"
    assert [Path(file.name).suffix for file in found.files] == [".png", ".png", ".dcm"]
    assert {len(file.sha256) for file in found.files} == {64}


def test_examples_are_fetched_once_and_in_order(server: FileServer) -> None:
    seen: list[tuple[str, int, int | None]] = []
    paths = fetch_examples(lambda *step: seen.append(step))
    assert [path.name for path in paths] == list(FILES)
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    assert seen[-1] == ("two.dcm", 8, 8)
    assert fetch_examples() == paths
    assert len(server.requests) == 2


def test_a_damaged_example_is_fetched_again(server: FileServer) -> None:
    path = fetch_examples()[0]
    path.write_bytes(b"damaged")
    assert fetch_examples()[0].read_bytes() == FILES["one.png"]


def test_another_file_than_expected_is_refused_and_removed(server: FileServer, tmp_path: Path) -> None:
    server.files["two.dcm"] = b"something else"
    with pytest.raises(XrayInterpError) as caught:
        fetch_examples()
    assert caught.value.code is Code.WRONG_HASH
    assert [path.name for path in (tmp_path / "cache" / "examples").iterdir()] == ["one.png"]


def test_offline_says_so_and_offers_what_works(server: FileServer) -> None:
    with pytest.raises(XrayInterpError) as caught:
        fetch_examples(base_url="http://127.0.0.1:9")
    assert caught.value.code is Code.OFFLINE
    assert "synthetic" in caught.value.hint
    assert "one.png" in caught.value.message


def test_a_manifest_that_makes_no_sense(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "examples.yaml").write_text("title: t\n", encoding="utf-8")
    with pytest.raises(XrayInterpError) as caught:
        load_examples()
    assert caught.value.code is Code.BAD_MANIFEST
