"""The report as one self-contained page: opened from a disk or a mail, without network and without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape

from tfcompress.reports import codec, svg, wording
from tfcompress.reports import findings as digest
from tfcompress.reports.measurements import EdgeRun
from tfcompress.reports.report import Report
from tfcompress.reports.style import CSS
from tfcompress.tasks.figures import FRACTION, figure_kind
from tfcompress.tasks.score import Figure

_LAYERS_SHOWN = 40
_FIRST = ' class="name"'


def to_html(report: Report) -> str:
    """Return the page.

    Args:
        report: what to show; measurements on devices are shown where the report has them.
    """
    halves = [
        _section("Size", _sizes(report)),
        _section(_main_title(report), _figures(report)),
        *(_section(f"Latency on {run.device or run.architecture}", _latency(run)) for run in report.edge),
        _section("Training", _training(report)),
        _section("Ops of the file", _operators(report)),
    ]
    even = sum(map(bool, halves)) % 2 == 0
    sections = [
        _section("Before and after", _comparison(report), wide=True),
        *halves,
        _section("Findings", _findings(report), wide=even),
        _section("Where it came from", _provenance(report), wide=True),
        _section("Layers of the model given", _layers(report), wide=True),
        _section("Recipe, data, verification", _recipe(report), wide=True),
    ]
    title = escape(report.result.name)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n{_header(report)}\n{_tiles(report)}\n"
        f'<div class="grid">\n{"".join(sections)}</div>\n</main>\n</body>\n</html>\n'
    )


def _main_title(report: Report) -> str:
    meaning = figure_kind(report.result.score.main).meaning if report.result.score else "accuracy"
    return meaning[0].upper() + meaning[1:]


def _section(title: str, content: str, *, wide: bool = False) -> str:
    if not content:
        return ""
    return f"<section{' class=wide' if wide else ''}><h2>{escape(title)}</h2>{content}</section>\n"


def _header(report: Report) -> str:
    made = f"{report.source.name} → {report.recipe_name}, tfcompress {report.tool_version}, {report.created_utc}"
    return f"<header><p>{escape(made)}</p><h1>{escape(report.result.name)}</h1></header>"


def _tiles(report: Report) -> str:
    change, result = report.comparison, report.result
    score = result.score
    tiles = [
        (
            wording.size(result.size_bytes),
            "file",
            digest.changed("smaller than float", "larger than float", change.size_ratio),
        ),
        (wording.main_figure(score), "accuracy", "no test data was given"),
    ]
    if score is not None:
        moved = _against(wording.figure_difference(change.main), "to float")
        tiles[1] = (wording.figure(score.main_figure), figure_kind(score.main).meaning, moved)
    run = report.edge[-1] if report.edge else None
    if run:
        where = f"on {run.device or run.architecture}"
        faster = ", ".join(filter(None, (digest.changed("faster", "slower", run.speedup), where)))
        tiles.append((wording.duration(run.result.median_ms), "median latency", faster))
    else:
        tiles.append((wording.NONE, "latency", "not measured yet: run edge_runner on the device"))
    joules = run.result.energy_joules if run else None
    tiles.append((wording.joules(joules), "energy of an inference", "" if joules else "not measured"))
    cells = (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(big)}</b><span>{escape(small)}</span></div>'
        for big, name, small in tiles
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def _against(text: str, words: str) -> str:
    return "" if text == wording.NONE else f"{text} {words}"


def _comparison(report: Report) -> str:
    body = ((row.name, row.before, row.after, row.change) for row in digest.quantities(report))
    return _table(("", "float", report.recipe_name, ""), body, numbers=(1, 2, 3))


def _sizes(report: Report) -> str:
    before, after = report.baseline, report.result
    items = []
    if before:
        items.append(svg.Bar("float", before.size_bytes, wording.size(before.size_bytes), "before"))
        items.append(svg.Bar("float, gzip", before.gzip_bytes, wording.size(before.gzip_bytes), "before soft"))
    items.append(svg.Bar("result", after.size_bytes, wording.size(after.size_bytes), "after"))
    items.append(svg.Bar("result, gzip", after.gzip_bytes, wording.size(after.gzip_bytes), "after soft"))
    return svg.bars(items, "bytes of the files, plain and compressed by gzip")


def _figures(report: Report) -> str:
    found = [
        ("float file", report.baseline and report.baseline.score, "before"),
        ("result", report.result.score, "after"),
    ]
    found += [(f"on {run.device or run.architecture}"[:20], run.result.score, "after soft") for run in report.edge]
    scores = [score for _, score, _ in found if score]
    if not scores:
        return ""
    main = scores[0].main
    kind = figure_kind(main)
    drawn = [(label, score.figures[main], role) for label, score, role in found if score and main in score.figures]
    items = [item for label, figure, role in drawn if (item := _range(label, figure, role)) is not None]
    if not items:
        return ""
    samples = " and ".join(dict.fromkeys(f"{score.samples:,}" for score in scores))
    note = f"{kind.meaning[0].upper()}{kind.meaning[1:]} with its 95 % interval; {samples} samples."
    chart = svg.ranges(items, f"{kind.title} with intervals", " %" if kind.unit == FRACTION else "")
    return chart + f'<p class="note">{note}</p>'


def _range(label: str, figure: Figure, role: str) -> svg.Range | None:
    low, value, high = figure.low, figure.value, figure.high
    if low is None or value is None or high is None:
        return None
    scale = 100 if figure.unit == FRACTION else 1
    return svg.Range(label, scale * low, scale * value, scale * high, wording.figure(figure), role)


def _latency(run: EdgeRun) -> str:
    pairs = [("float", run.baseline, "before"), ("result", run.result, "after")]
    slowest = max(one.summary.get("median_ms") or 0 for _, one, _ in pairs if one)
    unit, scale = ("ms", 1e6) if slowest >= 0.1 else ("µs", 1e3)
    series = {
        f"{label} {wording.duration(one.median_ms)}": ([value / scale for value in one.samples_ns], role)
        for label, one, role in pairs
        if one and one.samples_ns
    }
    if not series:
        return ""
    chart = svg.histogram(series, "how often each latency occurred", unit)
    return chart + f'<p class="note">{escape(digest.conditions(run))}. The slowest hundredth is not drawn.</p>'


def _findings(report: Report) -> str:
    names = {True: "good", False: "bad", None: ""}
    items = (
        f'<li class="{names[one.good]}"><em>{escape(one.topic)}</em>{escape(one.text)}</li>'
        for one in digest.findings(report)
    )
    inner = "".join(items)
    return f"<ul>{inner}</ul>" if inner else ""


def _training(report: Report) -> str:
    if report.training is None:
        return ""
    done = report.training
    said = [
        f"{done.epochs} epochs of {wording.count(done.samples)} samples",
        wording.seconds(done.wall_seconds),
        *done.notes,
    ]
    note = f'<p class="note">{escape("; ".join(said))}</p>'
    series = {name: v for name, v in done.history.items() if sum(value is not None for value in v) >= 2}
    return (svg.lines(series, "training by epoch") if series else "") + note


def _operators(report: Report) -> str:
    ordered = sorted(report.result.operators.items(), key=lambda item: -item[1])
    return _table(("op", "times"), ((name, f"{times:,}") for name, times in ordered), numbers=(1,)) if ordered else ""


def _layers(report: Report) -> str:
    layers = report.source.layers
    most = max((layer.parameters for layer in layers), default=0)
    if not most:
        return ""
    shown = layers[:_LAYERS_SHOWN]
    rows = []
    for layer in shown:
        shape = "x".join("?" if extent is None else str(extent) for extent in layer.output_shape)
        zeros = wording.percent(1 - layer.nonzero / layer.parameters, 0) if layer.parameters else wording.NONE
        share = f'<i style="width:{100 * layer.parameters / most:.1f}%"></i>' if layer.parameters else ""
        cells = (layer.name, layer.type, shape, wording.count(layer.parameters), zeros, wording.count(layer.macs))
        rows.append((*cells, share))
    head = ("layer", "type", "output", "parameters", "zeros", "multiply-accumulates", "share of the parameters")
    rest = (
        f'<p class="note">{len(layers) - len(shown)} more layers are in report.json.</p>'
        if len(layers) > len(shown)
        else ""
    )
    return _table(head, rows, numbers=(3, 4, 5), raw=6) + rest


def _provenance(report: Report) -> str:
    machine, source = report.machine, report.source
    rows = [
        ("model", f"{source.name}, written by {source.writer} {source.writer_version or ''}".strip()),
        ("its SHA-256", source.sha256 or wording.NONE),
        ("result's SHA-256", report.result.sha256),
        ("engine", report.engine or "none: nothing was trained"),
        ("seeds", ", ".join(f"{name} {seed}" for name, seed in report.seeds.items()) or wording.NONE),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)),
        ("made on", f"{machine.cpu or machine.architecture}, {machine.cores or '?'} cores, {machine.system}"),
        (
            "took",
            ", ".join(f"{phase} {wording.seconds(wall)}" for phase, wall in report.wall_seconds.items())
            or wording.NONE,
        ),
    ]
    if report.data:
        rows.insert(
            1, ("data", f"{report.data.get('source', '')}, SHA-256 {report.data.get('sha256') or wording.NONE}")
        )
    return _table(("", ""), rows)


def _recipe(report: Report) -> str:
    shown = {"recipe": report.recipe, "data": report.data, "verification": report.result.verification}
    parts = []
    for name, value in shown.items():
        if value:
            text = escape(json.dumps(codec.to_plain(value), indent=1, ensure_ascii=False))
            parts.append(f"<details><summary>{name}</summary><pre><code>{text}</code></pre></details>")
    return "".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), raw: int = -1) -> str:
    """Return a table; the columns in *numbers* are aligned right, the column *raw* is our own markup."""

    def cell(tag: str, column: int, text: str) -> str:
        role = ' class="number"' if column in numbers else ' class="share"' if column == raw else _FIRST * (column == 0)
        return f"<{tag}{role}>{text if column == raw else escape(text)}</{tag}>"

    top = "".join(cell("th", column, text) for column, text in enumerate(head)) if any(head) else ""
    body = "".join(f"<tr>{''.join(cell('td', c, text) for c, text in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table>{f"<tr>{top}</tr>" if top else ""}{body}</table></div>'
