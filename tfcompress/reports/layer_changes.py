"""Layer by layer, before and after: each layer of the model that was given beside the ops that it became."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.reports import wording
from tfcompress.reports.report import Report
from tfcompress.reports.sections import FileLayer, Layer


@dataclass(frozen=True, kw_only=True)
class LayerChange:
    """One layer.

    Attributes:
        name: its name; of ops that belong to no layer, that of their last tensor.
        before: it, in the model that was given; None: it was not there.
        after: it, in the file; None: no op of its own is left.
        merged_into: name of the layer whose ops compute this one as well; empty: there is none.
        time_share: fraction of the time of all ops that its own take, on the device that timed them last; None: not
            measured, or not for all of them.
    """

    name: str
    before: Layer | None = None
    after: FileLayer | None = None
    merged_into: str = ""
    time_share: float | None = None


def layer_changes(report: Report) -> list[LayerChange]:
    """Return a row for each layer of the source, and for each group of ops that belongs to none of them.

    Rows stand in the order of the source; what is new stands behind the ops before it. The parameters, bytes and
    multiply-accumulates of the rows sum up to those of the two files. Empty for reports before format 6.
    """
    known = {layer.name: layer for layer in report.source.layers}
    own: dict[str, FileLayer] = {}
    new: dict[str, list[FileLayer]] = {"": []}
    last = ""
    for each in report.result.layers:
        if each.name in known:
            own[each.name], last = each, each.name
        else:
            new.setdefault(last, []).append(each)
    if not report.result.layers:
        return []
    merged = {name: each.name for each in report.result.layers for name in each.merged}
    share = _shares(report)

    def added(anchor: str) -> list[LayerChange]:
        return [LayerChange(name=_called(each), after=each, time_share=share(each)) for each in new.get(anchor, ())]

    rows = added("")
    for name, layer in known.items():
        after, into = own.get(name), "" if name in own else merged.get(name, "")
        time = None if after is None else share(after)
        rows.append(LayerChange(name=name, before=layer, after=after, merged_into=into, time_share=time))
        rows.extend(added(name))
    return rows


def _called(layer: FileLayer) -> str:
    return layer.name or layer.tensor or " ".join(layer.ops)


def _shares(report: Report) -> Callable[[FileLayer], float | None]:
    """Return what gives the share of time of a group of ops."""
    times = next((run.result.op_ms for run in reversed(report.edge) if run.result.op_ms), ())
    total = sum(time for time in times if time is not None)

    def share(layer: FileLayer) -> float | None:
        own = [times[place] if place < len(times) else None for place in layer.places]
        known = [time for time in own if time is not None]
        return sum(known) / total if total and own and len(known) == len(own) else None

    return share


@dataclass(frozen=True)
class LayerColumn:
    """A column of the table.

    Attributes:
        name: in CSV files; units are in it.
        title: on a screen.
        value: what it holds of a layer.
        words: writes a value for a person.
        number: whether it holds numbers.
        spared: leaves first where there is no room: the highest goes first; 0 stays.
        about: what it holds, for the docs.
    """

    name: str
    title: str
    value: Callable[[LayerChange], object]
    words: Callable[[LayerChange], str]
    number: bool = True
    spared: int = 0
    about: str = ""


Side = Layer | FileLayer | None
"""A layer before or after; None: it was not there, or has no ops of its own."""


def _text(value: object) -> str:
    return wording.NONE if value in (None, "") else str(value)


def _count(of: str) -> Callable[[Side], int | None]:
    def value(side: Side) -> int | None:
        found: int | None = getattr(side, of, None)
        return found

    return value


def _shape(side: Side) -> str:
    return "" if side is None else "x".join("any" if size is None else str(size) for size in side.output_shape)


def _width(side: Side) -> int | None:
    return side.output_shape[-1] if side is not None and side.output_shape else None


def _zeros(side: Side) -> float | None:
    return None if side is None or not side.parameters else (side.parameters - side.nonzero) / side.parameters


def _became(row: LayerChange) -> str:
    if row.after is not None:
        return " ".join(row.after.ops)
    return f"in {row.merged_into}" if row.merged_into else "no op left"


def _type(row: LayerChange) -> str:
    return row.before.type if row.before else ""


def _sides(
    name: str,
    title: str,
    of: Callable[[Side], Any],
    about: str,
    spared: int = 0,
    words: Callable[[Any], str] = _text,
) -> tuple[LayerColumn, LayerColumn]:
    """Return the columns of a quantity before and after; on a screen the first one holds both."""

    def both(row: LayerChange) -> str:
        one, two = words(of(row.before)), words(of(row.after))
        return one if row.after is None or one == two else f"{one} → {two}"

    before, after = f"{about}, of the model that was given", f"{about}, of the file"
    return (
        LayerColumn(f"{name}_before", title, lambda row: of(row.before), both, spared=spared, about=before),
        LayerColumn(f"{name}_after", "", lambda row: of(row.after), lambda _: "", about=after),
    )


_counted = wording.count


def _whole_percent(value: float | None) -> str:
    return wording.percent(value, 0)


def _snr(row: LayerChange) -> float | None:
    return row.after.snr_db if row.after else None


def _decibels(row: LayerChange) -> str:
    found = _snr(row)
    return wording.NONE if found is None else f"{found:.1f} dB"


LAYER_COLUMNS: tuple[LayerColumn, ...] = (
    LayerColumn(
        "layer", "layer", lambda row: row.name, lambda row: row.name, number=False,
        about="the layer's name (`model/layer` inside a nested model); of ops without a layer, that of their tensor",
    ),
    LayerColumn("type", "type", _type, _type, number=False, spared=8, about="its class"),
    LayerColumn(
        "ops", "ops", _became, _became, number=False, spared=3,
        about="the ops of the file that compute it; `in NAME`: those of another layer do",
    ),
    *_sides("shape", "shape", _shape, "shape of what comes out, without the batch", 7),
    *_sides("width", "width", _width, "channels: the last axis of that", 9),
    *_sides("parameters", "parameters", _count("parameters"), "numbers that it holds", words=_counted),
    *_sides("zeros_fraction", "zeros", _zeros, "fraction of them that are zero", 4, _whole_percent),
    *_sides("distinct_values", "values", _count("distinct"), "different values in its largest kernel", 6, _counted),
    *_sides("bits", "bits", _count("bits"), "bits of a number of that kernel", 1),
    *_sides("size_bytes", "bytes", _count("size_bytes"), "bytes of all its numbers", words=_counted),
    *_sides("macs", "MACs", _count("macs"), "multiply-accumulates of one inference", 5, _counted),
    LayerColumn(
        "snr_db", "SNR", _snr, _decibels,
        about="signal to noise of what comes out against the Keras model that was exported, about each channel's mean, "
        "in dB, on 16 samples at most",
    ),
    LayerColumn(
        "time_share_fraction", "time", lambda row: row.time_share, lambda row: wording.percent(row.time_share, 1),
        about="share of the time of all ops, where a device has timed them (`--per-op`)",
    ),
)  # fmt: skip
"""The columns, from left to right; those without a title are not for a screen."""


def to_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV text (RFC 4180 with plain line ends); what is not known is empty."""
    text = io.StringIO()
    plain, quoted = (csv.writer(text, lineterminator="\n", quoting=way) for way in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    for row in (names, *rows):
        cells = ["" if value is None else value for value in row]
        # Python before 3.13 leaves a carriage return without quotes, and takes it for the end of a row itself.
        (quoted if any("\r" in str(cell) for cell in cells) else plain).writerow(cells)
    return text.getvalue()


def layers_csv(report: Report) -> str:
    """Return :func:`layer_changes` as CSV, a column for each side of a quantity."""
    rows = [[column.value(row) for column in LAYER_COLUMNS] for row in layer_changes(report)]
    return to_csv([column.name for column in LAYER_COLUMNS], rows)
