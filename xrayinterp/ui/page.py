"""What every page begins with, and the small pieces of HTML that all of them use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

import streamlit as st

from ..errors import XrayInterpError
from ..report.words import DISCLAIMER, RESEARCH_ONLY, signed

T = TypeVar("T")
_THEME = Path(__file__).with_name("theme.css")


def begin(*, research_only: bool = False) -> None:
    """The theme and the permanent mark in the header."""
    st.html(_THEME)
    extra = f'<span class="xi-mark-extra">{escape(RESEARCH_ONLY)}.</span>' if research_only else ""
    st.html(f'<div class="xi-mark" role="note"><span>{escape(DISCLAIMER)}</span>{extra}</div>')


def heading(text: str, level: int = 2) -> None:
    """A panel's title."""
    st.html(f'<h{level} class="xi-heading">{escape(text)}</h{level}>')


def line(text: str, kind: str = "quiet", *, narrow: bool = False) -> None:
    """A line of prose: "quiet", "caution" or "strong"; a `narrow` one leaves the rest of its row to what follows."""
    st.html(f'<p class="xi-{escape(kind)}">{escape(text)}</p>', width="content" if narrow else "stretch")


def problem(error: XrayInterpError) -> None:
    """What went wrong, what to do about it, and its code; never a traceback."""
    hint = f'<p class="xi-problem-hint">{escape(error.hint)}</p>' if error.hint else ""
    st.html(
        f'<div class="xi-problem" role="alert"><p class="xi-problem-what">{escape(error.message)}</p>{hint}'
        f'<p class="xi-problem-code">{escape(error.code)}</p></div>'
    )


def told(outcome: T | XrayInterpError) -> T | None:
    """The outcome, or None after telling what went wrong."""
    if isinstance(outcome, XrayInterpError):
        problem(outcome)
        return None
    return outcome


def refusal(name: str, message: str, code: str) -> None:
    """Why a file was not opened."""
    st.html(
        f'<div class="xi-problem" role="alert"><p class="xi-problem-what">{escape(name)} was not opened.</p>'
        f'<p class="xi-problem-hint">{escape(message)}</p><p class="xi-problem-code">{escape(code)}</p></div>'
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> None:
    """A plain table; columns after the first are figures where every cell of them looks like one."""
    figures = [i > 0 and all(_is_figure(row[i]) for row in rows) for i in range(len(columns))]
    head = "".join(f'<th scope="col"{_class(f)}>{escape(c)}</th>' for c, f in zip(columns, figures, strict=True))
    body = "".join("<tr>" + "".join(_cell(i, text, figures[i]) for i, text in enumerate(row)) + "</tr>" for row in rows)
    st.html(
        f'<div class="xi-table" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(index: int, text: str, figure: bool) -> str:
    if index == 0:
        return f'<th scope="row">{escape(text)}</th>'
    return f"<td{_class(figure)}>{escape(text)}</td>"


def _class(figure: bool) -> str:
    return ' class="xi-figure"' if figure else ""


def _is_figure(text: str) -> bool:
    return not text or text.lstrip("+−-.").replace(".", "").replace("%", "").strip().isdigit()


def total(name: str, text: str, value: float) -> None:
    """The line under a split: what the bars sum to."""
    st.html(
        f'<div class="xi-total"><strong>{escape(name)}</strong><span>{escape(text)}</span>'
        f"<strong>{escape(signed(value))}</strong></div>"
    )


def units(entries: Sequence[tuple[str, float]]) -> None:
    """Sentences with a signed figure at their end, orange where it supports, blue where it opposes."""
    items = "".join(
        f"<li>{escape(text)} · <b class='xi-{'supports' if value >= 0 else 'opposes'}'>{escape(signed(value))}</b></li>"
        for text, value in entries
    )
    st.html(f'<ul class="xi-units">{items}</ul>')


def cautions(texts: Iterable[str]) -> None:
    """Reservations that stay with the film, one a line."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    st.html(f'<ul class="xi-cautions" aria-label="Cautions">{items}</ul>')


def bullets(texts: Iterable[str]) -> None:
    """A plain list."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    st.html(f'<ul class="xi-bullets">{items}</ul>')


def paragraphs(texts: Iterable[str]) -> None:
    """Running text."""
    st.html("".join(f'<p class="xi-prose">{escape(text)}</p>' for text in texts))


def legend(entries: Iterable[tuple[str, str]]) -> None:
    """What the marks of a figure mean; a mark is "fill", "deep", "hatch", "tick", "dot" or "track"."""
    items = "".join(
        f'<li><i class="xi-mark-{escape(mark)}" aria-hidden="true"></i>{escape(text)}</li>' for mark, text in entries
    )
    st.html(f'<ul class="xi-legend" aria-label="Legend">{items}</ul>')


def facts(entries: Iterable[tuple[str, str]]) -> None:
    """Terms and what is to be said of each."""
    items = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in entries)
    st.html(f'<dl class="xi-facts">{items}</dl>')


def card_head(title: str, name: str, *, available: bool, research_only: bool) -> None:
    """A model's title, the name it is called by, and whether it can be used here and for what."""
    here = ("xi-tag-here", "weights on this machine") if available else ("", "weights not on this machine")
    tags = [("", name), here, *([("xi-tag-caution", RESEARCH_ONLY)] if research_only else [])]
    spans = "".join(f'<span class="xi-tag {kind}">{escape(text)}</span>' for kind, text in tags)
    st.html(f'<div class="xi-card-head"><h2>{escape(title)}</h2>{spans}</div>')
