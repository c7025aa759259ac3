"""Which detectors there are: built in, and the user's own. Free of torch."""

from __future__ import annotations

from pathlib import Path

from ..errors import Code, XrayInterpError
from ..models.registry import is_name
from ..paths import cache_dir

BUILTIN = Path(__file__).parent / "builtin"
UNUSUALNESS = "unusualness"
"""Fitted on films without findings."""
USUAL_WAY = "difference"
"""How its map is made where nobody says, of `localisation.METHODS`.

Of the four it is the only one whose maps tell outlined pixels better than the mean of normal films' maps does (by
AUROC, not by overlap with regions): benchmarks/unusualness_map.md.
"""


def own_dir() -> Path:
    """The user's own detectors, one file each."""
    return cache_dir() / "anomaly"


def names() -> tuple[str, ...]:
    """Names of all detectors on this machine, the built-in ones first."""
    found = [path.stem for folder in (BUILTIN, own_dir()) for path in sorted(folder.glob("*.safetensors"))]
    return tuple(dict.fromkeys(found))


def find(name_or_path: str | Path) -> Path:
    """The file of a detector.

    Raises:
        XrayInterpError: `unknown-model`, listing those there are.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".safetensors"):
        return Path(name_or_path)
    for folder in (BUILTIN, own_dir()):
        path = folder / f"{text}.safetensors"
        if is_name(text) and path.is_file():
            return path
    there = ", ".join(names()) or "none yet"
    raise XrayInterpError(Code.UNKNOWN_MODEL, f"There is no detector called {text!r}.", f"There are: {there}.")
