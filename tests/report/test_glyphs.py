from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.report import glyphs


def test_packaged_faces_hold_european_scripts_and_signs() -> None:
    for text in ("naïve Ærøskøbing Łódź", "Ελληνικά", "Русский", "−1 ± 2 × 3 ≥ 4 · – “x”", "\u202f"):
        assert glyphs.printable(text, system=False) == text
        assert not glyphs.needs_system_fonts([text])


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\u202e", "\u2066", "\ue000", "\ufffe", "\u0378"])
def test_characters_that_steer_unseen_or_mean_nothing_are_spelled_out(character: str) -> None:
    assert glyphs.printable(f"a{character}b", system=False) == f"a[U+{ord(character):04X}]b"
    assert not glyphs.needs_system_fonts([character])


def test_a_script_no_face_holds_is_spelled_out() -> None:
    assert glyphs.printable("山", system=False) == "[U+5C71]"


def test_long_words_may_break_and_long_texts_say_that_they_are_cut() -> None:
    assert glyphs.printable("x" * 100, system=False) == "\u200b".join(["x" * 40, "x" * 40, "x" * 20])
    assert glyphs.printable("ab " * 5000, system=False).endswith("[cut here: 9000 more characters]")


def test_every_text_of_a_tree_is_made_printable_and_nothing_else() -> None:
    tree = {"a": ["\x00", 1, None, True], "b": {"c": 0.5}}
    assert glyphs.printable_tree(tree, system=False) == {"a": ["[U+0000]", 1, None, True], "b": {"c": 0.5}}
    assert list(glyphs.texts_of(tree)) == ["\x00"]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20))
def test_printable_text_is_printable_already(text: str) -> None:
    once = glyphs.printable(text, system=False)
    assert glyphs.printable(once.replace("\u200b", ""), system=False) == once
