"""What the page calls the path finders."""

from __future__ import annotations

from ..report.words import readable

_WORDS = {
    "marginal_taylor": ("Taylor scores", "Taylor"),
    "integrated": ("integrated gradients", "integrated"),
    "iterative": ("iterative removal", "iterative"),
    "distillation_guided, gates 1": ("distillation, gates from 1, 100 steps", "distilled"),
    "distillation_guided, random": ("distillation, random gates, 100 steps", "distilled, random"),
    "greedy": ("greedy removal", "greedy"),
    "random": ("random choice", "random"),
    "active": ("all that fire", "firing"),
}


def finder_words(label: str) -> str:
    """A path finder's label as words: "marginal_taylor" becomes "Taylor scores"."""
    return _WORDS[label][0] if label in _WORDS else readable(label)


def short_finder_words(label: str) -> str:
    """The same where there is little room."""
    return _WORDS[label][1] if label in _WORDS else readable(label)
