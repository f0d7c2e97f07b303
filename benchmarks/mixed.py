"""Mixed precision: plans predicted from single layers, against what their files do.

    python -m benchmarks.mixed resnet8.h5:cifar10.npz:1:0,255 net.keras:cifar10.npz:1/255:0,1 \
        [--limits 1.25x 0.75x …] [--latency 1.2x] [--images 2000] [--update docs/benchmarks.md]

A network is named as for ``benchmarks.best_int8``. Every plan is a row; noise and top-1 as float are measured on 100
images that are held back, top-1 of the kept file on the test images.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.best_int8 import Network, opened, top1
from benchmarks.native_qat import NONE, percent, table, update
from tfcompress.errors import TfcompressError
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import export
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.mixed_record import MixedPlan

HEAD = (
    *("network", "limit", "plan", "predicted", "measured", "top-1 as float", "predicted bytes", "bytes"),
    *("predicted ms", "ms", "top-1 of the test"),
)


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="demo, or MODEL:DATA.npz:SCALE:LOW,HIGH")
    parser.add_argument("--limits", nargs="+", default=["1.25x", "0.75x"], help="--max-size of each file")
    parser.add_argument("--latency", default="", help="--max-latency of all files")
    parser.add_argument("--images", type=int, default=2000, help="test images, at most")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args(given)
    rows = []
    with ConverterProcess() as converter:
        for text in options.networks:
            network = opened(text, options.images)
            for limit in options.limits:
                settings = Export(
                    quantize="int8", mixed=True, max_size=limit, max_latency=options.latency, min_agreement_db=-100.0
                )
                for line in lines(network, settings, converter):
                    rows.append(line)
                    print(" | ".join(line), flush=True)
    text = table(HEAD, rows)
    print(text)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "plans", text, "mixed"))


def lines(network: Network, settings: Export, converter: ConverterProcess) -> Iterator[tuple[str, ...]]:
    """Give the rows of a network under one limit."""
    limit, started = " ".join(filter(None, (settings.max_size, settings.max_latency))), time.perf_counter()
    try:
        file = export(network.model, settings, data=network.train, converter=converter, progress=False)
    except TfcompressError as refusal:
        yield (network.name, limit, f"refused: {refusal}"[:120], *(NONE for _ in HEAD[3:]))
        return
    with InterpreterProcess(file.content) as interpreter:
        found = top1(interpreter.run({interpreter.signature.inputs[0].name: network.test}))
    right = percent(float(np.mean(found == network.labels)), 2)
    record = file.verification.mixed
    for plan in record.plans if record else ():
        yield (network.name, limit, *cells(plan), right if plan.chosen else "")
    print(f"{network.name} {limit}: {time.perf_counter() - started:.0f} s", flush=True)


def cells(plan: MixedPlan) -> tuple[str, ...]:
    """Return what a row says of a plan."""
    counts = Counter(plan.layers.values())
    name = ", ".join(f"{count} {precision}" for precision, count in counts.items()) or "all int8"
    state = "**kept**" if plan.chosen else plan.refusal
    return (
        f"{name} {f'({state})' if state else ''}".strip(),
        f"{plan.predicted_db:.1f} dB",
        NONE if plan.agreement_db is None else f"{plan.agreement_db:.1f} dB",
        percent(plan.top1),
        f"{plan.predicted_bytes:,}",
        f"{plan.size_bytes:,}",
        NONE if plan.predicted_ms is None else f"{plan.predicted_ms:.3f}",
        NONE if plan.latency_ms is None else f"{plan.latency_ms:.3f}",
    )


if __name__ == "__main__":
    main()
