"""The proof of a file for a microcontroller: run by its interpreter, compared, measured, and held against limits."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import ContractError
from tfcompress.models.keras_private import all_layers, origin
from tfcompress.models.kinds import graph_of, has_layers
from tfcompress.models.wiring import wire
from tfcompress.settings import Export
from tfcompress.targets.target import Target
from tfcompress.tflite.agreement import agreements
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import LOOKUP, InterpreterProcess
from tfcompress.tflite.micro.arena import planned_arena_bytes
from tfcompress.tflite.micro.kernel_comparison import KernelComparison, ReferenceRefusalError
from tfcompress.tflite.micro.least_arena import least_arena_bytes
from tfcompress.tflite.micro.op_places import OpPlaces
from tfcompress.tflite.micro.process import MicroProcess, roomy_arena_bytes
from tfcompress.tflite.micro.record import MicroRecord
from tfcompress.tflite.micro.scratch import scratch_of
from tfcompress.tflite.micro.vela import compile_for
from tfcompress.tflite.state_variables import keeps_states

COMPARED = 64
"""Samples that TFLM's answers are compared on at the export, at most."""
TESTED = 1000
"""Test samples that accuracy in TFLM is measured on, at most."""
LEAST_TESTED = 200
"""The same at least, however large the model is, where there are so many."""
_MACS = 12_500_000_000
"""Multiply-accumulates that TFLM's plain kernels may spend on accuracy: a minute or so of a PC."""


@dataclass(frozen=True)
class Proven:
    """A file that runs on a microcontroller.

    Attributes:
        record: what was found.
        compiled: the file that Vela made for the accelerator; empty: there is none.
    """

    record: MicroRecord
    compiled: bytes


def prove(
    content: bytes,
    settings: Export,
    *,
    inputs: Mapping[str, np.ndarray],
    keras_outputs: Mapping[str, np.ndarray],
    real_samples: bool,
    places: OpPlaces,
    bounded: bool = True,
) -> Proven:
    """Run a finished file in TFLM, and hold it against the target's limits and those of the settings.

    Args:
        content: the file.
        settings: what was asked for; with look-up tables, the flash is to hold the file that has them, and for
            a window that slides, the chip the file that streams.
        inputs: samples by input name, arrays of shape (samples, *shape), real values.
        keras_outputs: the Keras model's outputs for them by name, arrays of shape (samples, *shape).
        real_samples: whether *inputs* are real data.
        places: what ops are called in messages.
        bounded: whether a limit that is not kept is an error; without, the record says what the file takes.

    Raises:
        ContractError: an op that TFLM lacks or refuses, other outputs than the reference kernels', a limit that is not
            kept.
        MissingDependencyError: tflite-micro, or Vela for an accelerator, is not installed.
    """
    target = settings.deployment
    if settings.lookup or settings.streaming:
        target = dataclasses.replace(target, flash="", ram="" if settings.streaming else target.ram)
    return measure(
        content,
        target,
        inputs=inputs,
        real_samples=real_samples,
        keras_outputs=keras_outputs,
        places=places,
        most_arena="" if settings.streaming else settings.max_arena,
        most_flash="" if settings.lookup or settings.streaming else settings.max_flash,
        bounded=bounded,
    )


def measure(
    content: bytes,
    target: Target,
    *,
    inputs: Mapping[str, np.ndarray],
    real_samples: bool,
    keras_outputs: Mapping[str, np.ndarray] | None = None,
    places: OpPlaces | None = None,
    most_arena: str = "",
    most_flash: str = "",
    bounded: bool = True,
) -> Proven:
    """Run a file in TFLM, compile it for the target's accelerator, and hold it against limits.

    Args:
        content: the file.
        target: what it is for.
        inputs: as for :func:`prove`.
        real_samples: whether *inputs* are real data.
        keras_outputs: as for :func:`prove`; None: they are not known.
        places: what ops are called in messages; None: by the names in the file.
        most_arena: a limit besides the target's, as the user wrote it; empty: none.
        most_flash: the same for the file.
        bounded: as for :func:`prove`.

    Raises:
        ContractError: as :func:`prove`.
        MissingDependencyError: as :func:`prove`.
    """
    places = places or OpPlaces(read_model_file(content))
    check_ops(places, target)
    with opened_in_both(content, places) as (micro, comparison):
        outputs = comparison.run(inputs)
        found = () if keras_outputs is None else agreements(micro.model, keras_outputs, outputs)
        scratch = scratch_of(content, places, roomy_arena_bytes(content))
        record = MicroRecord(
            target=target.name,
            runtime="tflite-micro",
            version=micro.opened(),
            arena=micro.arena,
            least_arena_bytes=least_arena_bytes(content, micro.arena.total_bytes),
            planned_arena_bytes=planned_arena_bytes(content),
            flash_bytes=len(content),
            samples=len(next(iter(inputs.values()))),
            equal=comparison.equal,
            kernel_steps=comparison.steps,
            kernel_error=comparison.error,
            kernel_note=comparison.unable,
            agreement_db=min((each.sqnr_db for each in found if each.sqnr_db is not None), default=None),
            real_samples=real_samples,
            most_arena_bytes=target.most_arena_bytes(most_arena),
            most_flash_bytes=target.most_flash_bytes(most_flash),
            scratch=scratch,
            scratch_bytes=None if scratch is None else max((each.size_bytes for each in scratch), default=0),
        )
    compiled = compile_for(content, target.accelerator, places) if target.accelerator else None
    if compiled is not None:
        record = dataclasses.replace(record, npu=compiled.estimate)
    if bounded:
        check_limits(record)
    return Proven(record, b"" if compiled is None else compiled.content)


@contextlib.contextmanager
def opened_in_both(content: bytes, places: OpPlaces | None = None) -> Iterator[tuple[MicroProcess, KernelComparison]]:
    """Open a file in TFLM and with the reference kernels; gives the former, and the comparison of both.

    Samples are steps of one stream to a file that keeps states: LiteRT cannot forget them between two samples.
    """
    stream = keeps_states(content)
    with contextlib.ExitStack() as stack:
        micro = stack.enter_context(MicroProcess(content, places=places, continuous=stream))
        if LOOKUP in read_model_file(content).op_counts:
            yield micro, KernelComparison(micro, None)
            return
        started = InterpreterProcess(content, reference_kernels=True, continuous=stream, refusal=ReferenceRefusalError)
        yield micro, KernelComparison(micro, stack.enter_context(started))


def unlisted_text(places: OpPlaces, target: Target) -> str:
    """Say which ops of a file a target's own list leaves out, and where they are; empty: none."""
    lacking = [name for name in places.flat.op_counts if target.ops and name not in target.ops]
    if not lacking:
        return ""
    where = "; ".join(f"{name} ({places.all_of(name)})" for name in lacking)
    return f"target {target.name!r} has no kernel for {where}: replace those layers, or choose another --target"


def check_ops(places: OpPlaces, target: Target) -> None:
    """Refuse a file with ops that a target's own list leaves out.

    Raises:
        ContractError: naming them with their layers.
    """
    msg = unlisted_text(places, target)
    if msg:
        raise ContractError(msg)


def check_limits(record: MicroRecord) -> None:
    """Refuse a file that takes more than it may.

    Raises:
        ContractError: with the limit, what it takes, and what to do.
    """
    arena, npu, broken = record.arena, record.npu, []
    most = record.most_arena_bytes
    if most is not None and npu is not None and npu.sram_bytes > most:
        broken.append(f"SRAM must be at most {most:,.0f} bytes, Vela estimates {npu.sram_bytes:,}")
    if most is not None and npu is None and record.least_arena_bytes > most:
        broken.append(
            f"the arena must be at most {most:,.0f} bytes, the file takes {record.least_arena_bytes:,} "
            f"(and keeps head {arena.head_bytes:,}, tail {arena.tail_bytes:,}, measured on 64 bits)"
        )
    size_bytes = record.flash_bytes if npu is None else npu.file_bytes
    if record.most_flash_bytes is not None and size_bytes > record.most_flash_bytes:
        broken.append(f"the file must be at most {record.most_flash_bytes:,.0f} bytes, it has {size_bytes:,}")
    if broken:
        msg = f"target {record.target!r}: {'; '.join(broken)}; take channels away (--channels), or raise the limit"
        raise ContractError(msg)


def sample_count(flat: FlatModel, most: int, least: int) -> int:
    """Return how many samples TFLM's plain kernels can be asked for: fewer of a large model.

    Args:
        flat: the file.
        most: however small it is.
        least: however large it is.
    """
    return max(least, min(most, _MACS // max(1, flat.least_macs)))


def op_places_of(content: bytes, model: Any, tensor_names: tuple[tuple[str, ...], ...] = ()) -> OpPlaces:
    """Return what the ops of a file are called.

    Args:
        content: the file.
        model: the Keras model that it was made from, the path of a SavedModel, or a float file.
        tensor_names: what its tensors were called, where a packing took the names away.
    """
    if not has_layers(model):
        return OpPlaces(read_model_file(content), tensor_names)
    graph = graph_of(model)
    hidden = {id(inner) for layer in all_layers(graph) if _is_one_layer(layer) for inner in all_layers(layer)}
    known = [layer for layer in all_layers(graph) if id(layer) not in hidden]
    weighted = frozenset(
        layer.name for layer in known if layer.weights and not hasattr(layer, "layers") and not _folds(layer)
    )
    named = (*known, *getattr(graph, "operations", ()))  # keras.ops.sort(x) is no layer, and has a name
    layers = tuple(dict.fromkeys(each.name for each in named))
    wiring = wire(graph)
    ends = (
        {} if wiring.output_names is None else dict(zip(wiring.output_names, map(_maker, graph.outputs), strict=True))
    )
    return OpPlaces(read_model_file(content), tensor_names, layers, ends, weighted)


def _folds(layer: Any) -> bool:
    """Say whether a layer mostly becomes part of the one before."""
    return "BatchNormalization" in type(layer).__name__


def _is_one_layer(layer: Any) -> bool:
    """Say whether a layer is Keras's own and no model: what is inside it nobody has named."""
    return type(layer).__module__.startswith(("keras.", "tf_keras.")) and not hasattr(layer, "layers")


def _maker(tensor: Any) -> str:
    return str(origin(tensor).name)
