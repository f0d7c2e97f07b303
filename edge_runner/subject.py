"""A model under measurement: its file, its entry in the document, and its process while that lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_runner import document, flatbuffer, table
from edge_runner.arguments import Options
from edge_runner.processes import Child, ChildFailed
from edge_runner.unpacking import Unpacking

Tell = Callable[[str], None]


class Subject:
    """One file, run one way.

    Args:
        path: of the file.
        number: place in the document's models.
        threads: of the kernels.
        kernels: which; see :class:`edge_runner.interpreter.Model`.
    """

    def __init__(self, path: Path, number: int, threads: int = 1, kernels: str = "default") -> None:
        self.path = path
        self.number = number
        self.entry = document.entry(path, threads, kernels)
        self.facts: flatbuffer.FileFacts | None = None
        self.child: Child | None = None
        self.sound = False
        self.per_second: list[float] = []
        self.right: Mapping[str, str] | None = None
        self.first_done_ns: int | None = None
        self.taken: list[bool] = []
        self.usual_ns: float | None = None
        self.shapes: dict[str, list[int]] = {}

    @property
    def label(self) -> str:
        """What to call it: the file, and how it is run where that is not the default."""
        return table.label(self.entry)

    def read(self, memory_bytes: int | None, unpacking: Unpacking) -> None:
        """Look at the file, unpacked if it is a package; what is no model fails here, without an interpreter."""
        try:
            self.path, self.entry["package"] = unpacking.file_of(self.path)
            self.facts = document.add_file(self.entry, self.path, memory_bytes)
            self.sound = True
        except OSError as error:
            self.entry["reason"] = f"cannot read the file: {error.strerror or error}"
        except flatbuffer.ModelFileError as error:
            self.entry["reason"] = str(error)

    @property
    def open_inputs(self) -> list[str]:
        """Names of the inputs that leave open more than the batch."""
        return self.facts.open_inputs if self.facts else []

    def fail(self, reason: str) -> None:
        """Note why it cannot be measured, and end its process."""
        self.entry["status"], self.entry["reason"] = "failed", reason
        self.sound = False
        self.end()

    def ask(self, request: dict[str, Any], alive: Tell = lambda text: None) -> dict[str, Any] | None:
        """Send a request to the model's process; None when it failed, now or before."""
        if self.child is None:
            return None
        try:
            return self.child.ask(request, alive)
        except ChildFailed as error:
            self.fail(str(error))
            return None

    def open(self, options: Options, runtime: str, spare: Child | None = None) -> None:
        """Open the model in a fresh process, or in *spare*, one that was started and opened nothing yet."""
        start = time.monotonic_ns()
        self.child = spare or Child(options.timeout)
        opened = self.ask(self.opening(options, runtime))
        if opened:
            self.first_done_ns = self.first_done_ns or opened["first_done_ns"]
            started = spare.started_ns if spare else start
            self.taken = opened["taken"]
            if self.open_inputs:  # the data decide them; whatever runs without data takes them from here
                self.shapes = {tensor["name"]: tensor["shape"] for tensor in opened["inputs"]}
            document.add_opened(self.entry, opened, opened["first_done_ns"] - started)

    def opening(self, options: Options, runtime: str) -> dict[str, Any]:
        """Return the request that opens it."""
        facts = self.facts
        return {
            "do": "open",
            "path": str(self.path),
            "runtime": runtime,
            **self.entry["settings"],
            "affinity": list(options.affinity) if options.affinity else None,
            "names": {"inputs": facts.inputs, "outputs": facts.outputs} if facts else {},
            "data": str(options.data) if options.data else None,
            "labels": str(options.labels) if options.labels else None,
            "shapes": self.shapes,
            "expects": facts.expects if facts else {},
            "seed": options.seed,
        }

    def end(self) -> None:
        """End the process."""
        if self.child is not None:
            self.child.close()
            self.child = None
