"""Toy additions: what a contributor would write, a module each, to see that one line of a table makes it known."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

BEHEAD = '''
"""A toy stage: it takes the last layers away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tfcompress.schema import check_value
from tfcompress.stages.option import option
from tfcompress.stages.rewriting import RewritingContext, Rewritten
from tfcompress.stages.stage import Gains, RewritingStage


@dataclass(frozen=True, kw_only=True)
class Behead(RewritingStage):
    """Take the last layers away."""

    kind: ClassVar[str] = "behead"
    about: ClassVar[str] = "Take the last layers away"
    gains: ClassVar[Gains] = Gains("a little", "a little", "hardly")
    implementation: ClassVar[str] = "behead:work"
    layers: int = field(default=1, metadata=option("Take N layers away.", flag="--behead", metavar="N", asks=True))
    way: Literal["gently", "fast"] = field(default="gently", metadata=option("How."))

    @property
    def parts(self) -> tuple[Behead, ...]:
        return (self,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_value("behead.layers", "at least 1", self.layers, ok=self.layers >= 1)


def work(model: Any, stage: Behead, context: RewritingContext) -> Rewritten:
    """Keep the first layers of a Sequential model."""
    import keras

    entry = keras.Input(model.input_shape[1:], name=model.inputs[0].name)
    kept = keras.Sequential([entry, *model.layers[: -stage.layers]])
    return Rewritten(kept, (f"{stage.layers} layers went {stage.way}",))
'''

INTERVAL = """
"A toy task, and its metric: labels are intervals, and an output should lie inside."

from __future__ import annotations

from typing import Any

from tfcompress.tasks.figures import FigureKind
from tfcompress.tasks.task import Evaluation, Task

INSIDE = FigureKind("inside", "outputs that lie inside their intervals")


class Interval(Task):
    name = "interval"
    figures = ("inside",)
    teaching = "numbers"
    constant = "always giving one number"

    def fits(self, y: Any, shape: Any) -> bool:
        return shape == (1,) and y.shape[1:] == (2,)

    def encode(self, y: Any, rows: Any, form: Any) -> Any:
        return y.astype("float32")

    def allowed(self, shape: Any) -> str | None:
        return "intervals of shape (2,)" if shape == (1,) else None

    def loss(self, outputs: Any, keras: Any) -> Any:
        def squared_distance(intervals: Any, outputs: Any) -> Any:
            outside = keras.ops.relu(intervals[:, :1] - outputs) + keras.ops.relu(outputs - intervals[:, 1:])
            return keras.ops.mean(outside**2, axis=-1)

        return squared_distance

    def scorer(self) -> Scorer:
        return Scorer(self)


class Scorer:
    def __init__(self, task: Interval) -> None:
        self.task, self.inside = task, []

    def add(self, outputs: Any, labels: Any, inputs: Any) -> None:
        self.inside.append((labels[:, :1] <= outputs) & (outputs <= labels[:, 1:]))

    def evaluation(self) -> Evaluation:
        import numpy as np

        inside = np.concatenate(self.inside)[:, 0]
        counted = {"task": "interval", "samples": len(inside), "inside": float(inside.mean())}
        return Evaluation(self.task.score(counted), inside)
"""

WIDE = """
"A toy calibrator: every range twice as wide as it has to be."

from __future__ import annotations

from tfcompress.quantization.calibrators import Calibrator, Histogram


class Wide(Calibrator):
    def range(self, seen: Histogram) -> tuple[float, float]:
        return 2 * seen.low, 2 * seen.high
"""

MUTE = """
"A toy packing: it takes away what the file says of itself."

from __future__ import annotations

from tfcompress.tflite.tree import parse_tree
from tfcompress.tflite.tree_writer import write_tree


def mute(content: bytes, *, keep_names: bool = False) -> bytes:
    return write_tree(parse_tree(content).having(description=None))
"""

TEXTS = {"behead": BEHEAD, "interval": INTERVAL, "wide": WIDE, "mute": MUTE}


def module(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write one of the modules into a folder, and import it until the test ends."""
    (folder / f"{name}.py").write_text(TEXTS[name], "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, found)
    return found


def add_line(table: Any, name: str, entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a line to a table until the test ends; to one that is read-only, wherever tfcompress holds it."""
    if isinstance(table, dict):
        monkeypatch.setitem(table, name, entry)
        return
    longer = MappingProxyType({**table, name: entry})
    for holder in [held for key, held in sys.modules.items() if key.partition(".")[0] == "tfcompress"]:
        for place, value in list(vars(holder).items()):
            if value is table:
                monkeypatch.setattr(holder, place, longer)
