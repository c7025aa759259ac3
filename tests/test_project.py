"""The repository keeps its own rules: installs agree, rooms stay apart, packages are whole, nothing local leaks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xrayinterp"
TOP_LEVEL = {
    ".ci", ".dockerignore", ".gitignore", ".streamlit", "Dockerfile", "LICENSE", "Makefile", "README.md", "app.py",
    "benchmarks", "constraints.txt", "data_manifests", "pyproject.toml", "static", "tests", "xrayinterp",
}  # fmt: skip
BINARY = {".safetensors", ".parquet", ".png", ".jpg", ".otf", ".ttf", ".woff2", ".dcm", ".npz", ".ico"}


def tracked() -> list[Path]:
    """Files that git tracks or would track."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[Path, str]:
    return {p.relative_to(ROOT): p.read_text(encoding="utf-8") for p in tracked() if p.suffix not in BINARY}


def imports(path: Path) -> set[str]:
    """Top-level names of the packages that a module imports, anywhere in it; relative ones are left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def make_variable(name: str) -> str:
    found = re.search(rf"^{name} [:?]?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def docker_steps() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    steps = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, rest in steps]


# ------------------------------------------------------------------------------------------------ container and make


def test_container_serves_the_page_as_an_ordinary_user() -> None:
    steps = docker_steps()
    last = dict(steps)
    assert last["ARG"] == 'TORCH_INDEX=""'
    assert last["USER"] not in ("root", "0")
    assert last["EXPOSE"] == "8501"
    assert "http://localhost:8501/_stcore/health" in last["HEALTHCHECK"]
    assert [word for word, _ in steps].index("USER") > max(
        i for i, (word, _) in enumerate(steps) if word in ("RUN", "COPY")
    )


def test_container_installs_and_starts_as_make_does() -> None:
    steps = docker_steps()
    install = next(text for word, text in steps if word == "RUN" and "pip install" in text)
    assert "-c constraints.txt -e ." in install
    assert '${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}' in install
    assert "-c constraints.txt" in make_variable("PIP_INSTALL")
    serve = re.search(r"^app: setup\n\t\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert serve is not None
    start = " ".join(ast.literal_eval(dict(steps)["CMD"]))
    assert start == serve[1].replace("localhost", "0.0.0.0").replace("$(PORT)", make_variable("PORT"))


def test_container_gets_all_it_copies_and_no_more() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name.split("/")[0] for word, text in docker_steps() if word == "COPY" for name in text.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_make_runs_what_it_says_without_doing_it() -> None:
    def plan(*words: str) -> str:
        return subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    fresh = plan("app", "VENV=.no-such-venv")
    assert "-m venv .no-such-venv" in fresh
    assert "-c constraints.txt -e ." in fresh
    assert "streamlit run app.py" in fresh
    assert '-e ".[test]"' in plan("test", "VENV=.no-such-venv")
    assert "-m mypy" in plan("check")
    steps = ("xrayinterp.training.embedded", "xrayinterp.dissection.shipped", "xrayinterp.dissection.unit_facts")
    places = [plan("embedded").index(step) for step in steps]
    assert places == sorted(places)


def test_make_refuses_an_old_python_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "setup", "PYTHON=", f"VENV={tmp_path}/venv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or later" in done.stdout


def test_ci_runs_check_then_test() -> None:
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert [line for line in lines if line.startswith("make ")] == ["make check", "make test"]


def test_constraints_pin_every_dependency_exactly() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            found = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line)
            assert found is not None, line
            pins[canonicalize_name(found[1])] = found[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        wanted = Requirement(text)
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier, text


# --------------------------------------------------------------------------------------------------------- the package


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel."""
    builders = pytest.importorskip("hatchling.builders.wheel")
    built = next(
        builders.WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    )
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_wheel_holds_code_manifests_and_all_data(wheel: set[str]) -> None:
    inside = {str(path.relative_to(ROOT)) for path in tracked() if path.is_relative_to(PACKAGE)}
    manifests = {f"xrayinterp/{path.relative_to(ROOT)}" for path in (ROOT / "data_manifests").rglob("*.yaml")}
    assert {"xrayinterp/py.typed", "xrayinterp/cli/__init__.py"} <= wheel
    assert manifests
    assert manifests <= wheel
    assert inside <= wheel


def test_wheel_holds_licence_and_command(wheel: set[str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert any(name.endswith("entry_points.txt") for name in wheel)
    assert not any(name.startswith("tests/") for name in wheel)


# ------------------------------------------------------------------------------------------------------------ the rules


def test_nothing_unexpected_lies_at_the_top() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_file_names_a_package_registry() -> None:
    address = re.compile(
        r"pypi\.org|pythonhosted|download\.pytorch\.org(?!/models/)|(?<!extra-)index-url\s*=|registry\.npmjs|conda\.anaconda"
    )
    named = {
        str(path) for path, text in texts().items() if path != Path("tests/test_project.py") and address.search(text)
    }
    assert named == set()


def test_only_make_and_conftest_know_where_the_radiographs_lie() -> None:
    named = {str(path) for path, text in texts().items() if re.search(r"shared/data|\"shared\"", text)}
    assert named <= {"Makefile", "tests/conftest.py", "tests/test_project.py"}


def test_no_patients_film_is_tracked() -> None:
    pictures = [path for path in tracked() if path.suffix.lower() in {".dcm", ".jpg", ".jpeg"}]
    assert pictures == []


def test_rooms_keep_to_their_libraries() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        used = imports(path)
        if room == "ui":
            assert "torch" not in used, path
        else:
            assert "streamlit" not in used, path
        if path != PACKAGE / "models" / "xrv.py":
            assert "torchxrayvision" not in used, path


ROOMS = (
    ("__init__", "errors", "paths", "download"), ("imaging",), ("models",), ("operators",), ("attribution",),
    ("datasets",), ("batch",), ("training",), ("concepts",), ("dissection",), ("semantics", "semantics_earlier"),
    ("anatomy",), ("evaluation",), ("anomaly",), ("studies",), ("explanation",), ("report",), ("ui",), ("cli",),
)  # fmt: skip


def test_a_room_imports_only_from_rooms_above() -> None:
    order = {name: level for level, names in enumerate(ROOMS) for name in names}
    wrong: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).with_suffix("").parts
        assert place[0] in order, f"{place[0]} has no place among the rooms"
        for name in _rooms_used(path, place):
            if order.get(name, -1) > order[place[0]] and path != PACKAGE / "__init__.py":
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def _rooms_used(path: Path, place: tuple[str, ...]) -> set[str]:
    used: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            full = (*place[: len(place) - node.level], *(node.module or "").split("."))
            used |= {full[0]} if full[0] else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("xrayinterp"):
            parts = (node.module or "").split(".")
            used |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return used


def test_modules_and_functions_stay_short() -> None:
    long: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 400:
            long.append(f"{path.relative_to(ROOT)}: {len(text.splitlines())} lines")
    assert long == []


def test_importing_the_package_is_light() -> None:
    heavy = {"torch", "streamlit", "highdicom", "skimage", "sklearn"}
    code = f"import sys, xrayinterp; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readme_shows_the_two_commands_first() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    for wanted in ("make app", "make test", "static/screenshot.png", "not for diagnosis"):
        assert wanted in first_screen
