"""All that a firmware needs of a file, made in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tfcompress import files
from tfcompress.errors import MissingDependencyError, UnsupportedError, UsageError
from tfcompress.firmware import golden_source, model_source
from tfcompress.firmware.arena_size import ArenaSize, measured_size, planned_size, size_beside_npu
from tfcompress.firmware.c_text import identifier
from tfcompress.firmware.golden import GoldenPair, drawn_inputs, golden_pair, stored_inputs
from tfcompress.firmware.layouts import LAYOUTS
from tfcompress.firmware.number_types import check_number_types
from tfcompress.firmware.ports import Port, check_same_ports, ports_of
from tfcompress.firmware.resolver import registering_methods
from tfcompress.targets.installed import EXTRA
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import LOOKUP
from tfcompress.tflite.micro.least_arena import least_arena_bytes
from tfcompress.tflite.micro.npu_stand_in import addresses_bytes, with_stand_in
from tfcompress.tflite.micro.op_places import NPU_OP
from tfcompress.tflite.micro.process import MicroProcess
from tfcompress.tflite.micro.vela import Compiled
from tfcompress.tflite.pack import data_free_note

SAMPLES = 1
"""Golden samples, unless asked otherwise: each takes flash."""


@dataclass(frozen=True)
class Firmware:
    """What was made of a file.

    Attributes:
        name: what the names in the sources begin with.
        size_bytes: of the file.
        sha256: of the file.
        methods: of ``MicroMutableOpResolver``, one an op.
        arena: its size.
        golden: inputs and outputs.
        inputs: of the file.
        outputs: of the file.
        texts: the files' content by their path in the folder.
    """

    name: str
    size_bytes: int
    sha256: str
    methods: tuple[str, ...]
    arena: ArenaSize
    golden: GoldenPair
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    texts: Mapping[str, str] = field(repr=False)

    def save(self, folder: Path) -> None:
        """Write the files below *folder*.

        Raises:
            OutputError: one cannot be written.
        """
        for path, text in self.texts.items():
            target = folder / path
            with files.output_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(target, text)


def make_firmware(
    content: bytes,
    *,
    name: str = "model",
    source: str = "model.tflite",
    samples: int = SAMPLES,
    seed: int = 0,
    values: Mapping[str, np.ndarray] | None = None,
    values_from: str = "",
    layouts: Sequence[str] = (),
    compiled: Compiled | None = None,
) -> Firmware:
    """Make what a firmware needs of a file.

    Args:
        content: a TFLite file.
        name: what the files are called, and what the names in them begin with.
        source: name of the file, for comments.
        samples: golden samples that are drawn, without *values*.
        seed: draws them.
        values: golden inputs by name, real numbers, shape (samples, *shape without the batch axis); None: drawn.
        values_from: where they come from.
        layouts: lines of :data:`~tfcompress.firmware.layouts.LAYOUTS`.
        compiled: what Vela made of the file, which goes on the chip in its place; golden outputs are those of the file,
            since nothing at the desk runs what Vela made. None: the file itself does.

    Raises:
        UsageError: a name that C has no use for.
        ModelError: not a TFLite file, or a malformed one.
        UnsupportedError: what TensorFlow Lite Micro does not run, naming the ops or tensors.
        MissingDependencyError: look-up tables, where tflite-micro is not installed.
    """
    if identifier(name) in ("main_test", "golden_test"):
        msg = f"--name must not be {name!r}, as a file of the folder is called; choose another"
        raise UsageError(msg)
    model = read_model_file(content)
    if NPU_OP in model.op_counts:
        msg = (
            "the file is compiled for an Ethos-U, which nothing at the desk runs: there would be no golden outputs; "
            "give the file that it was compiled from, or export the model with --target ethos-u55-128 (or the like) "
            "--c-array, which writes both"
        )
        raise UnsupportedError(msg)
    on_chip = content if compiled is None else compiled.content
    methods = registering_methods(read_model_file(on_chip))
    check_number_types(model)
    inputs, outputs = ports_of(model)
    if values is None:
        given, told = drawn_inputs(inputs, samples, seed), f"drawn by seed {seed}"
    else:
        given, told = stored_inputs(inputs, values), values_from
    arena, pair = _run(content, model, (inputs, outputs), given, told)
    digest, promised = files.sha256(on_chip), data_free_note(content)
    about = f"{source}: {len(on_chip):,} bytes, sha256 {digest}{f'; {promised}' if promised else ''}"
    if compiled is not None:
        arena, about = _beside_npu(compiled.content, (*inputs, *outputs)), f"{about}; {_compiler_text(compiled)}"
    variables = sum(op.name == "VAR_HANDLE" for op in model.ops)
    texts = {
        f"{name}.h": model_source.model_header(name, about, len(on_chip), arena, (*inputs, *outputs)),
        f"{name}.cc": model_source.model_source(name, about, on_chip),
        f"{name}_ops.h": golden_source.ops_header(name, methods),
        f"{name}_golden.h": golden_source.golden_header(name, pair),
        f"{name}_golden_test.h": golden_source.golden_test_header(name, inputs, outputs, variables),
        "main_test.cc": golden_source.main_source(name),
    }
    laid_out = {path: text for layout in layouts for path, text in LAYOUTS[layout](name, texts).items()}
    return Firmware(name, len(on_chip), digest, methods, arena, pair, inputs, outputs, texts | laid_out)


def _beside_npu(compiled: bytes, ports: Sequence[Port]) -> ArenaSize:
    """Return the arena's size for what Vela made of a file with such inputs and outputs.

    Raises:
        UnsupportedError: it has others.
        MissingDependencyError: tflite-micro is not installed.
    """
    made = ports_of(read_model_file(compiled))
    check_same_ports((*made[0], *made[1]), ports)
    if find_spec("tflite_micro") is None:
        msg = "the arena of a file for an Ethos-U is found by tflite-micro, which is not installed: " + EXTRA
        raise MissingDependencyError(msg)
    content = with_stand_in(compiled)
    with MicroProcess(content, refusal=UnsupportedError) as micro:
        kept, version = micro.arena, micro.opened()
    least = least_arena_bytes(content, kept.total_bytes, run=False)
    return size_beside_npu(least, addresses_bytes(compiled), kept, version)


def _compiler_text(compiled: Compiled) -> str:
    found = compiled.estimate
    return f"Vela {found.version} for {found.accelerator}, {found.system_config}, {found.memory_mode}"


def _run(
    content: bytes,
    model: FlatModel,
    ports: tuple[Sequence[Port], Sequence[Port]],
    given: tuple[np.ndarray, ...],
    told: str,
) -> tuple[ArenaSize, GoldenPair]:
    """Return the arena's size and the golden pair, by TensorFlow Lite Micro where it is installed."""
    if find_spec("tflite_micro") is None:
        if any(op.name == LOOKUP for op in model.ops):
            msg = (
                f"the file holds look-up tables ({LOOKUP}), which TensorFlow Lite Micro alone runs, and it is not "
                "installed: pip install 'tfcompress[mcu]'"
            )
            raise MissingDependencyError(msg)
        return planned_size(content, model), golden_pair(content, model, ports, given, told, None)
    with MicroProcess(content, refusal=UnsupportedError) as micro:
        pair = golden_pair(content, model, ports, given, told, micro)
        kept, version = micro.arena, micro.opened()
    return measured_size(least_arena_bytes(content, kept.total_bytes), kept, version), pair
