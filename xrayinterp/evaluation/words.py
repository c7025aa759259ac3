"""What each lamp says, in a sentence for a reader who is no engineer."""

from __future__ import annotations

from .lamps import State

_SENTENCES: dict[str, dict[State, str]] = {
    "follows-weights": {
        "good": "The map falls apart when the model's weights are destroyed (likeness {value:.2f}).",
        "doubtful": "Part of the map stays when the model's weights are destroyed (likeness {value:.2f}).",
        "bad": "Most of the map stays when the model's weights are destroyed (likeness {value:.2f}): it shows the film "
        "more than what the model learned.",
    },
    "follows-finding": {
        "good": "Other findings have other maps on this film (likeness {value:.2f}{films}).",
        "doubtful": "Other findings have somewhat similar maps on this film (likeness {value:.2f}{films}).",
        "bad": "Nearly the same map for other findings (likeness {value:.2f}{films}): it is no evidence for {finding}.",
    },
    "stable": {
        "good": "The map stays when the film is shifted a little or made noisy (likeness {value:.2f}).",
        "doubtful": "The map changes somewhat when the film is shifted a little or made noisy (likeness {value:.2f}).",
        "bad": "The map changes when the film is shifted a little or made noisy, though the score does not (likeness "
        "{value:.2f}): single places in it mean little.",
    },
    "faithful": {
        "good": "The score depends on what the map marks: more than for {value:.0%} of maps of the same shape.",
        "doubtful": "The score depends on what the map marks more than for {value:.0%} of maps of the same shape; "
        "chance is half.",
        "bad": "The score depends on what the map marks no more than on other places (ahead of {value:.0%} of maps of "
        "the same shape).",
    },
    "covered-by-concepts": {
        "good": "{value:.0%} of the score's parts come from units of known meaning, where they fire.",
        "doubtful": "Only {value:.0%} of the score's parts come from units of known meaning, where they fire.",
        "bad": "Only {value:.1%} of the score's parts come from units of known meaning, where they fire: concepts say "
        "little about this score.",
    },
}


def sentence(lamp: str, state: State, value: float, reference: float | None, finding: str, others: str) -> str:
    """The sentence of a lamp at a value; `reference` is told where it explains the value, `others` on which films."""
    films = "" if reference is None else f"; same finding on {others} {reference:.2f}"
    return _SENTENCES[lamp][state].format(value=value, films=films, finding=finding)
