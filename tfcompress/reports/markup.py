"""HTML that several pages share: the page around it, sections, and tables that a phone can show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from tfcompress.reports.style import CSS

_BREAK = re.compile(r"(?<=[_/])(?=\w)")

NAME, NUMBER, VALUE, SHARE = "name", "number", "value", "share"
"""Roles of a column, which are CSS classes: breaks between words only; breaks nowhere; breaks anywhere, for hashes and
paths in columns that are wide enough; a bar."""


_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; script-src 'unsafe-inline'\">\n"
)
"""Nothing is asked for from anywhere, whatever found its way into a page."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def html_page(title: str, body: str, css: str = "", script: str = "") -> str:
    """Return a whole page, which loads nothing from elsewhere; with a script, the browser keeps it from doing so.

    Args:
        title: of the window; plain text.
        body: HTML.
        css: added to the style that all pages have.
        script: run at the end; empty: the page has none.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{_POLICY if script else ''}"
        f"<title>{escape(title)}</title>\n<style>{CSS}{css}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n{f'<script>{script}</script>{chr(10)}' if script else ''}</body>\n</html>\n"
    )


def html_section(title: str, content: str, *, wide: bool = False) -> str:
    """Return a section under a heading; nothing where there is no content."""
    if not content:
        return ""
    return f"<section{' class=wide' if wide else ''}><h2>{escape(title)}</h2>{content}</section>\n"


def html_note(text: str) -> str:
    """Return a sentence in small letters."""
    return f'<p class="note">{escape(text)}</p>'


def scrolling(content: str) -> str:
    """Return a box in which a table or chart that is wider than the screen scrolls, and the page doesn't."""
    return f'<div class="scroll">{content}</div>'


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], roles: Sequence[str] = ()) -> str:
    """Return a table in a box that scrolls.

    Args:
        head: titles of the columns; all empty: no line of titles.
        rows: texts, escaped unless they are :class:`Markup`.
        roles: of the columns, from the first on; the first is a :data:`NAME` and the others have none unless given.
    """
    classes = [*roles, *("" for _ in head[len(roles) :])] if roles else [NAME, *("" for _ in head[1:])]

    def line(tag: str, texts: Sequence[str]) -> str:
        cells = (
            f"<{tag}{f' class={chr(34)}{role}{chr(34)}' if role else ''}>{_cell(text)}</{tag}>"
            for role, text in zip(classes, texts, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    top = line("th", head) if any(head) else ""
    return scrolling(f"<table>{top}{''.join(line('td', row) for row in rows)}</table>")


def _cell(text: str) -> str:
    return text if isinstance(text, Markup) else breakable(text)


def breakable(text: str) -> Markup:
    """Return text as HTML that may be broken between the parts of a name, as at spaces."""
    return Markup("<wbr>".join(map(escape, _BREAK.split(text))))
