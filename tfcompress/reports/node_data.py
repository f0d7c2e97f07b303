"""What a run knows of each op, as Model Explorer colours its graph by: one file a quantity.

Model Explorer (ai-edge-model-explorer) reads each file as custom node data: graph -> ops -> numbers. The graph of a
``.tflite`` is called ``main`` there, and an op by its place among the ops.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tfcompress.reports.report import Report

GRAPH = "main"
"""What Model Explorer calls the main subgraph of a file that the converter wrote."""

_BAD, _MIDDLE, _GOOD, _NONE = "#d9534f", "#f5e7b2", "#7fb77e", "#ffffff"


@dataclass(frozen=True)
class NodeQuantity:
    """A number about ops.

    Attributes:
        title: what Model Explorer calls it.
        colours: of the least value, one in the middle, and the largest.
        of: takes a report and the bits of kernels by op, gives the number of each op that it is known of.
    """

    title: str
    colours: tuple[str, str, str]
    of: Callable[[Report, Mapping[int, int]], Mapping[int, float]]


def _error(report: Report, _: Mapping[int, int]) -> dict[int, float]:
    """Return the signal to noise of the op that ends each layer: it makes what was compared."""
    known = ((each.places, each.snr_db) for each in report.result.layers)
    return {places[-1]: snr for places, snr in known if places and snr is not None}


def _time(report: Report, _: Mapping[int, int]) -> dict[int, float]:
    times = next((run.result.op_ms for run in reversed(report.edge) if run.result.op_ms), ())
    return {place: time for place, time in enumerate(times) if time is not None}


def _bits(_: Report, bits: Mapping[int, int]) -> dict[int, float]:
    return {place: float(count) for place, count in bits.items()}


NODE_QUANTITIES: dict[str, NodeQuantity] = {
    "error": NodeQuantity("SNR against Keras (dB)", (_BAD, _MIDDLE, _GOOD), _error),
    "time": NodeQuantity("time (ms)", (_NONE, _MIDDLE, _BAD), _time),
    "bits": NodeQuantity("bits of a weight", (_GOOD, _MIDDLE, _BAD), _bits),
}
"""By the name of the file."""


def node_data(report: Report, bits: Mapping[int, int]) -> dict[str, str]:
    """Return the text of each file by its quantity's name; what nothing is known of is left out.

    Args:
        report: of the run, with its measurements; from format 6 on it has layers.
        bits: of a number of the kernel of each op that has one, by the op's place.
    """
    found = {name: (quantity, quantity.of(report, bits)) for name, quantity in NODE_QUANTITIES.items()}
    return {name: _text(quantity, values) for name, (quantity, values) in found.items() if values}


def _text(quantity: NodeQuantity, values: Mapping[int, float]) -> str:
    results = {str(place): {"value": value} for place, value in sorted(values.items())}
    stops = [{"stop": stop, "bgColor": colour} for stop, colour in zip((0, 0.5, 1), quantity.colours, strict=True)]
    graph = {"name": quantity.title, "results": results, "gradient": stops}
    return json.dumps({GRAPH: graph}, indent=1, ensure_ascii=False) + "\n"
