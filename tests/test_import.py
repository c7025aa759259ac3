"""`import xrayinterp` is light, and everything promised is there when first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import xrayinterp


def _modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_import_alone_loads_nothing_heavy() -> None:
    loaded = _modules_after("import xrayinterp; assert xrayinterp.__version__; dir(xrayinterp)")
    assert "xrayinterp" in loaded
    assert not loaded & {"torch", "numpy", "streamlit", "pydicom", "torchxrayvision", "pyarrow", "PIL"}


def test_attribution_needs_neither_the_app_nor_torchxrayvision() -> None:
    loaded = _modules_after("import xrayinterp; xrayinterp.explain; xrayinterp.attribution.METHODS")
    assert "torch" in loaded
    assert not loaded & {"streamlit", "torchxrayvision", "torchvision", "sklearn", "skimage", "typst", "plotly"}


@pytest.mark.parametrize("name", xrayinterp.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(xrayinterp, name) is getattr(xrayinterp, name)
    assert name in dir(xrayinterp)


@pytest.mark.parametrize("room", ["attribution", "dissection", "imaging", "models", "operators", "semantics"])
def test_rooms_are_attributes(room: str) -> None:
    assert getattr(xrayinterp, room).__name__ == f"xrayinterp.{room}"


def test_no_module_bears_the_name_of_an_exported_function() -> None:
    for name in ("read", "load_model", "explain", "predict", "trace"):
        assert callable(getattr(xrayinterp, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'explian'"):
        _ = xrayinterp.explian
