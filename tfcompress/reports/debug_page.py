"""What ``tfcompress debug`` found, as one self-contained page, and as rows for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tfcompress.reports.debug_facts import DebugFacts, TensorRow
from tfcompress.reports.markup import NAME, NUMBER, html_note, html_page, html_section, html_table, scrolling
from tfcompress.reports.remark import Remark
from tfcompress.reports.svg import drawing, words

COLUMNS = ("layer", "op", "dtype", "SNR", "lost here", "range used", "clipped", "values", "kernels")
"""Titles of :func:`tensor_rows`."""
_CSS = """
main { max-width: 1010px; }
svg { max-width: none; }
svg .low { fill: var(--bad); }
svg .high { fill: var(--after); }
section + section, header + section { margin-top: 14px; }
td.number, th.number { padding: 6px 8px; }
@media (max-width: 699px) { svg { min-width: 640px; font-size: 13px; } }
"""
_WIDTH, _LEFT, _RIGHT, _ROW = 920.0, 250.0, 90.0, 22.0
_MOST_DB = 60.0
"""Where the bars end: more than that no 8-bit tensor has."""
_LOW_DB = 15.0
"""Bars up to here are drawn as bad: a sixth of the signal is error."""
_MARKS = {"fault": "bad", "risk": "bad", "note": ""}


def tensor_rows(facts: DebugFacts) -> list[tuple[str, ...]]:
    """Return the table as text, in the order of computation."""
    return [
        (
            row.label + ("?" if row.how == "place" else ""),
            row.op,
            row.dtype,
            _number(row.snr_db, "{:.1f} dB"),
            _number(row.loss_db, "{:.1f} dB"),
            _number(row.used, "{:.0%}"),
            _number(row.clipped, "{:.1%}"),
            _number(row.distinct, "{}"),
            _kernels(row),
        )
        for row in facts.rows
    ]


def sample_rows(facts: DebugFacts) -> list[tuple[str, ...]]:
    """Return the worst samples as text: number, error, whether the largest output is the same."""
    tops = {None: "—", True: "same", False: "another"}
    return [(str(row.sample), f"{row.error:.3g}", tops[row.same_top]) for row in facts.worst]


def facts_line(facts: DebugFacts) -> str:
    """Return in a sentence what was compared."""
    kernels = "" if facts.outputs_db is None else f"; XNNPACK against reference kernels: {facts.outputs_db:.0f} dB"
    return f"{facts.samples:,} samples of {facts.data}, {facts.runtime}{kernels}"


def _number(value: float | None, form: str) -> str:
    return "—" if value is None else form.format(value)


def _kernels(row: TensorRow) -> str:
    if row.kernel_steps is not None:
        return f"{row.kernel_steps:,.0f} steps"
    return _number(row.kernel_db, "{:.0f} dB")


def to_debug_page(facts: DebugFacts) -> str:
    """Return the page; it needs no network and no scripts."""
    about = (
        "SNR: the spread of the float layer's values about each channel's mean against the error of the file's. Lost "
        "here: how much of it goes within this op. Range used, values: of the grid of stored numbers. Clipped: the "
        "part of the float values beyond that grid. Kernels: how far XNNPACK is from the reference kernel on the same "
        "inputs. A layer with a question mark was found by its place alone."
    )
    title = f"{facts.file} against {facts.model}"
    head = f"<header><p>{escape(facts_line(facts))}</p><h1>{escape(title)}</h1></header>"
    table = html_table(COLUMNS, tensor_rows(facts), (NAME, NAME, "", *(NUMBER for _ in COLUMNS[3:])))
    samples = html_table(("sample", "error", "largest output"), sample_rows(facts)) if facts.worst else ""
    parts = [
        html_section("What is wrong", _listed(facts.remarks)),
        html_section("Signal to noise, tensor by tensor", scrolling(debug_chart(facts.rows))),
        html_section("Tensor by tensor", table + html_note(about)),
        html_section("The worst samples", samples),
    ]
    return html_page(title, f"{head}\n{''.join(parts)}", _CSS)


def _listed(remarks: Sequence[Remark]) -> str:
    if not remarks:
        return html_note("Nothing was found.")
    items = (
        f'<li class="{_MARKS[remark.gravity]}"><em>{escape(remark.gravity)}</em>{escape(str(remark))}</li>'
        for remark in remarks
    )
    return f"<ul>{''.join(items)}</ul>"


def debug_chart(rows: Sequence[TensorRow]) -> str:
    """Draw a bar for every tensor whose layer is known, as long as its signal-to-noise ratio, from top to bottom."""
    shown = [row for row in rows if row.snr_db is not None]
    room = _WIDTH - _LEFT - _RIGHT
    parts = []
    for place, row in enumerate(shown):
        ratio = row.snr_db or 0.0
        length = max(2.0, room * min(ratio, _MOST_DB) / _MOST_DB)
        role = "low" if ratio < _LOW_DB else "high"
        top = place * _ROW
        parts.append(words(_LEFT - 12, top + 15, _short(row.label), "label end"))
        parts.append(
            f'<rect class="{role}" x="{_LEFT:g}" y="{top + 4:g}" width="{length:.1f}" height="{_ROW - 8:g}" rx="3">'
            f"<title>{escape(f'{row.label} ({row.op}): {ratio:.1f} dB')}</title></rect>"
        )
        parts.append(words(_LEFT + length + 8, top + 15, f"{ratio:.0f} dB", "value"))
    return drawing(max(1, len(shown)) * _ROW, "signal-to-noise ratio of every tensor", parts, width=_WIDTH)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:15]}…{name[-16:]}"
