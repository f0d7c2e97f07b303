"""The int8 file without training: plain, the best of several ways, without data, and with weights of 4 bits.

    python -m benchmarks.best_int8 demo resnet8.h5:cifar10.npz:1:0,255 net.keras:cifar10.npz:1/255:0,1 \
        [--ways plain auto …] [--images 10000] [--record rows.json] [--update docs/benchmarks.md]

A network is ``demo``, or MODEL:DATA.npz:SCALE:LOW,HIGH (what the images are multiplied by, and the range that they have
then). Each is also measured with the channels between its layers scaled by random powers of two and scaled back: the
same function, bit for bit, which is checked. Seconds are the processor time of the whole export, checks and all, and of
its child processes (on Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.native_qat import percent, table, update
from tfcompress import demo
from tfcompress.errors import TfcompressError
from tfcompress.models.bridge import to_keras3
from tfcompress.models.kinds import keras_of
from tfcompress.models.loading import load_model
from tfcompress.models.signature import call, signature_of
from tfcompress.quantization.equalizing import scaled_by
from tfcompress.quantization.steps import read_steps
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import TFLiteModel, export
from tfcompress.tflite.interpret import InterpreterProcess

HEAD = ("network", "file", "top-1", "top-1 as float", "bytes", "CPU seconds", "how")
OCTAVES = 6
"""Powers of two that a channel is scaled by, at most, up or down."""
POOL = 2000
"""Training images that samples are drawn from."""


@dataclass(frozen=True)
class Network:
    """A network and its data.

    Attributes:
        name: of the rows.
        model: of Keras 3.
        train: images to calibrate on, scaled.
        test: images to count on, scaled.
        labels: their classes.
        input_range: of the images.
    """

    name: str
    model: Any
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    input_range: tuple[float, float]

    def rescaled(self) -> Network:
        """Return the same function of other weights.

        Raises:
            ValueError: it is another function.
        """
        draw = np.random.default_rng(0)
        new = scaled_by(
            self.model, read_steps(self.model), lambda count: 2.0 ** draw.integers(-OCTAVES, OCTAVES + 1, count)
        )
        before, after = (np.asarray(model(self.test[:64], training=False)) for model in (self.model, new))
        if not np.array_equal(before, after):
            msg = f"{self.name}: scaled channels give other outputs"
            raise ValueError(msg)
        return Network(f"{self.name}, channels rescaled", new, self.train, self.test, self.labels, self.input_range)


WAYS: dict[str, dict[str, Any]] = {
    "plain": {"calibration": "minmax"},
    "auto": {},
    "data-free": {},
    "4 bits, nearest": {"weight_bits": 4, "rounding": "nearest", "calibration": "minmax"},
    "4 bits, auto": {"weight_bits": 4},
}
"""Name -> settings of the export."""


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="demo, or MODEL:DATA.npz:SCALE:LOW,HIGH")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="which files to make")
    parser.add_argument("--images", type=int, default=10_000, help="test images, at most")
    parser.add_argument("--record", type=Path, help="JSON of rows: those in it are not measured again")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args(given)
    rows = Rows(options.record)
    with ConverterProcess() as converter:
        for text in options.networks:
            measure_(opened(text, options.images), options.ways, converter, rows)
    text = table(HEAD, list(rows.by_name.values()))
    print(text)
    if options.update:
        options.update.write_text(update(options.update.read_text(), "networks", text, "best int8"))


def opened(text: str, images: int) -> Network:
    """Return the network that a text names."""
    if text == "demo":
        text = f"{demo.MODEL_KERAS3}:{demo.DATA}:{demo.SCALE}:0,1"
    path, data, scale, ends = text.split(":")
    arrays = np.load(data)
    factor, (low, high) = float(Fraction(scale)), map(float, ends.split(","))
    model = load_model(path).native
    plain = model if keras_of(model) == "keras3" else to_keras3(model)
    shape = plain.inputs[0].shape[1:]
    chosen = np.sort(np.random.default_rng(0).permutation(len(arrays["x_train"]))[:POOL])

    def prepared(values: np.ndarray) -> np.ndarray:
        return (values.astype(np.float32) * np.float32(factor)).reshape(-1, *shape)

    test, labels = arrays["x_test"][:images], arrays["y_test"][:images].reshape(-1)
    return Network(Path(path).stem, plain, prepared(arrays["x_train"][chosen]), prepared(test), labels, (low, high))


class Rows:
    """The rows of the table, kept in a file so that what was measured is not measured again.

    Attributes:
        by_name: network and way -> the row.
    """

    def __init__(self, record: Path | None) -> None:
        """Read what was measured before."""
        self._record = record
        known = json.loads(record.read_text()) if record and record.exists() else []
        self.by_name: dict[tuple[str, str], tuple[str, ...]] = {(row[0], row[1]): tuple(row) for row in known}

    def measure_(self, network: str, way: str, measuring: Callable[[], tuple[str, ...]]) -> None:
        """Add a row, unless it is there."""
        if (network, way) in self.by_name:
            return
        row = self.by_name[network, way] = measuring()
        print(" | ".join(row), flush=True)
        if self._record:
            self._record.write_text(json.dumps(list(self.by_name.values()), indent=0))


def measure_(network: Network, ways: Sequence[str], converter: ConverterProcess, rows: Rows) -> None:
    """Add the rows of a network, and of the same with other weights where it has channels that can be scaled."""
    other = network.rescaled()
    pairs = zip(network.model.get_weights(), other.model.get_weights(), strict=True)
    same = all(np.array_equal(a, b) for a, b in pairs)
    for each in (network,) if same else (network, other):
        reference = top1(call(each.model, {signature_of(each.model).inputs[0].name: each.test}))
        right = percent(float(np.mean(reference == each.labels)), 2)
        rows.measure_(each.name, "float", functools.partial(_float_row, each.name, right))
        for name in ways:
            rows.measure_(each.name, name, functools.partial(measured, each, name, reference, converter))


def _float_row(name: str, right: str) -> tuple[str, ...]:
    return (name, "float", right, "", "", "", "")


def measured(network: Network, way: str, reference: np.ndarray, converter: ConverterProcess) -> tuple[str, ...]:
    """Export a network in one way, and return its row."""
    started = processor_seconds()
    try:
        file = exported(network, way, converter)
    except TfcompressError as refusal:
        return (network.name, way, "", "", "", f"{processor_seconds() - started:.0f}", f"refused: {refusal}"[:80])
    seconds = processor_seconds() - started
    with InterpreterProcess(file.content) as interpreter:
        found = top1(interpreter.run({interpreter.signature.inputs[0].name: network.test}))
    right, same = float(np.mean(found == network.labels)), float(np.mean(found == reference))
    how = next((trial.name for trial in file.verification.trials if trial.chosen), file.verification.calibration)
    return (network.name, way, percent(right, 2), percent(same, 2), f"{file.size_bytes:,}", f"{seconds:.0f}", how)


def processor_seconds() -> float:
    """Return the processor time of this process and of its children, those that are at work and those that are done."""
    total, known = 0.0, {os.getpid()}
    rows = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state = path.read_text().rpartition(") ")[2].split()
            rows[int(path.parent.name)] = int(state[1]), sum(map(int, state[11:15])) / os.sysconf("SC_CLK_TCK")
    for number in sorted(rows):  # parents come before their children, but where numbers have begun anew
        parent, seconds = rows[number]
        if number in known or parent in known:
            known.add(number)
            total += seconds
    return total


def exported(network: Network, way: str, converter: ConverterProcess) -> TFLiteModel:
    """Return the file, however far it is from float: that is what is measured."""
    if way == "data-free":
        settings = Export(quantize="int8", input_range=network.input_range, min_agreement_db=-100.0)
        return export(network.model, settings, converter=converter, progress=False)
    settings = Export(quantize="int8", min_agreement_db=-100.0, **WAYS[way])
    return export(network.model, settings, data=network.train, converter=converter, progress=False)


def top1(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the class of each sample."""
    return np.asarray(next(iter(outputs.values())).argmax(axis=1))


if __name__ == "__main__":
    main()
