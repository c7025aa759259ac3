"""Text that a typeface can set: what it cannot is spelled out as code points, so that nothing is lost unseen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import typst

from .fonts import FOLDER

MAX_CHARS = 6000
"""Longest text printed in one piece; what lies beyond is cut, and the cut is said."""

_PLAIN = re.compile(r"[\x20-\x7e\u00a0-\u024f\u2010-\u2026\u2212]*")
_LONG_WORD = re.compile(r"\S{40}(?=\S)")
_PROBE = b'#set document(title: "probe")\n#set text(font: "Inter")\n#sys.inputs.text'


@cache
def fonts(*, system: bool) -> typst.Fonts:
    """Inter and the faces inside typst; with `system` also those of this machine."""
    return typst.Fonts(include_system_fonts=system, font_paths=[FOLDER])


def needs_system_fonts(texts: Iterable[str]) -> bool:
    """True if some character is in no packaged face but in one of this machine's.

    Reports in Latin, Greek or Cyrillic never need them, so they come out the same everywhere.
    """
    return any(not can_set(c, system=False) and can_set(c, system=True) for c in _unusual(texts))


def printable(text: str, *, system: bool) -> str:
    """The text with every character that cannot be set, or would steer the layout unseen, as its code point.

    Words of more than 40 characters may break; texts beyond `MAX_CHARS` are cut, which is said at the cut.
    """
    if len(text) > MAX_CHARS:
        text = f"{text[:MAX_CHARS]} [cut here: {len(text) - MAX_CHARS} more characters]"
    if not _PLAIN.fullmatch(text):
        text = "".join(c if can_set(c, system=system) else f"[U+{ord(c):04X}]" for c in text)
    return _LONG_WORD.sub(lambda match: f"{match.group()}\u200b", text)


def printable_tree(value: Any, *, system: bool) -> Any:
    """JSON-ready data with `printable` applied to every text in it."""
    if isinstance(value, str):
        return printable(value, system=system)
    if isinstance(value, dict):
        return {key: printable_tree(item, system=system) for key, item in value.items()}
    if isinstance(value, list):
        return [printable_tree(item, system=system) for item in value]
    return value


def texts_of(value: Any) -> Iterator[str]:
    """Every text in JSON-ready data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_of(item)


@cache
def can_set(character: str, *, system: bool) -> bool:
    """True if typst finds a glyph for the character and it is no control, format or unassigned character."""
    if _PLAIN.fullmatch(character):
        return True
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return False
    # a combining mark alone is set on a dotted circle, which not every face has: try it on a letter
    text = f"a{character}" if unicodedata.category(character).startswith("M") else character
    try:
        typst.Compiler(_PROBE, font_paths=fonts(system=system), sys_inputs={"text": text}).compile(
            format="pdf", pdf_standards="ua-1"
        )
    except typst.TypstError:
        return False
    return True


def _unusual(texts: Iterable[str]) -> set[str]:
    return {c for text in texts if not _PLAIN.fullmatch(text) for c in text[:MAX_CHARS]}
