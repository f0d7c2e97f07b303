"""What each layer of the model costs, as the table at the end of a report's page."""

from __future__ import annotations

from collections.abc import Sequence

from tfcompress.reports import wording
from tfcompress.reports.markup import NAME, NUMBER, SHARE, Markup, breakable, html_note, html_table
from tfcompress.reports.nesting import Branch, branches
from tfcompress.reports.sections import Layer

SHOWN = 40
"""How many layers the page shows; all are in report.json."""

_BAR = 64
"""Width of the longest bar, in pixels."""


def layer_table(layers: Sequence[Layer]) -> str:
    """Return the table, layers of nested models below their model's line; empty where no layer has parameters.

    Beside the parameters, and the multiply-accumulates where a layer has any, stands a bar with the layer's share.
    """
    if not any(layer.parameters for layer in layers):
        return ""
    work = any(layer.macs for layer in layers)
    head = ["layer", "type", "output", "zeros", "parameters", "share of the parameters"]
    roles = [NAME, NAME, NAME, NUMBER, NUMBER, SHARE]
    if work:
        head += ["multiply-accumulates", "share of the multiply-accumulates"]
        roles += [NUMBER, SHARE]
    rows = []
    for branch in branches([layer.name for layer in layers]):
        if branch.members.start >= SHOWN:
            break
        rows.append(_row(branch, layers)[: len(head)])
    more = len(layers) - SHOWN
    rest = html_note(f"{more:,} more layer{' is' if more == 1 else 's are'} in report.json.") if more > 0 else ""
    return html_table(head, rows, roles) + rest


def _row(branch: Branch, layers: Sequence[Layer]) -> list[str]:
    own = [layers[number] for number in branch.members]
    parameters = sum(layer.parameters for layer in own)
    nonzero = sum(layer.nonzero for layer in own)
    counted = [layer.macs for layer in own if layer.macs is not None]
    macs = sum(counted) if len(counted) == len(own) else None
    label = Markup(f'<span class="deep" style="--depth:{branch.depth}">{breakable(branch.label)}</span>')
    return [
        label if branch.is_layer else Markup(f"<b>{label}</b>"),
        own[0].type if branch.is_layer else "",
        "x".join("?" if extent is None else str(extent) for extent in own[0].output_shape) if branch.is_layer else "",
        wording.percent(1 - nonzero / parameters, 0) if parameters else wording.NONE,
        wording.count(parameters),
        share_cell(parameters, [layer.parameters for layer in layers], bar=branch.is_layer),
        wording.count(macs),
        share_cell(macs or 0, [layer.macs or 0 for layer in layers], bar=branch.is_layer),
    ]


def share_cell(value: int, every: Sequence[int], *, bar: bool = True) -> Markup:
    """Return the share of a layer in percent behind a bar that is full for the largest layer.

    Args:
        value: of the layer.
        every: of all layers.
        bar: draw it; a nested model's line has none.
    """
    if not value:
        return Markup("")
    width = _BAR * value / max(every) if bar else 0
    drawn = f'<i style="width:{width:.1f}px"></i>' if bar else ""
    share = value / sum(every)
    said = wording.percent(share, 1) if share >= 0.0005 else "&lt; 0.1 %"
    return Markup(f"<span>{drawn}</span>{said}")
