"""One opened model: the only module of the runner that touches an interpreter."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from edge_runner import runtimes
from edge_runner.ndarray import Array

_RESOLVERS = {"no-delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}


@dataclass(frozen=True)
class Tensor:
    """An input or output of the model.

    Attributes:
        name: in the signature, or the tensor's own when the file has no signature.
        tensor: the tensor's own name.
        index: by which the interpreter knows it.
        shape: as allocated, batch first.
        free: the extents that the file leaves open, as positions in *shape*.
        dtype: of its elements.
        scale: of the quantization ``real = scale * (stored - zero_point)``; None for a tensor that is not quantized.
        zero_point: see *scale*.
    """

    name: str
    tensor: str
    index: int
    shape: tuple[int, ...]
    free: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float | None
    zero_point: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "tensor": self.tensor,
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "scale": self.scale,
            "zero_point": self.zero_point,
        }


class PlannedOp(NamedTuple):
    """An op as the interpreter lists it; tensors by index, -1 for one left out."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Model:
    """A model in one interpreter.

    Args:
        source: path of the .tflite file, or its bytes.
        runtime: one of :data:`edge_runner.runtimes.ORDER`.
        threads: kernels' threads.
        kernels: ``default`` (with the delegate that the runtime applies by itself), ``no-delegate`` (the runtime's fast
            kernels alone) or ``reference`` (the plain ones).
        names: the signature's ``inputs`` and ``outputs``, each the tensor's index by name; tensors' own names without.

    Raises:
        ImportError: the runtime is not there.
        ValueError, RuntimeError: the runtime refuses the file.
    """

    def __init__(
        self,
        source: str | bytes,
        runtime: str,
        *,
        threads: int = 1,
        kernels: str = "default",
        names: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
    ) -> None:
        interpreter, resolvers = runtime_classes(runtime)
        options: dict[str, Any] = {"num_threads": threads}
        if kernels != "default":
            options["experimental_op_resolver_type"] = getattr(resolvers, _RESOLVERS[kernels])
        options["model_content" if isinstance(source, bytes) else "model_path"] = _openable(source)
        self._names = names
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensorflow's interpreter says on every start that it will move
            self.interpreter = interpreter(**options)
        self.invoke = self.interpreter.invoke

    def allocate(self) -> None:
        """Plan the memory and prepare the kernels; again after :meth:`resize`."""
        self.interpreter.allocate_tensors()

    def resize(self, tensor: Tensor, shape: tuple[int, ...]) -> None:
        """Give an input with open extents another shape; :meth:`allocate` must follow."""
        self.interpreter.resize_tensor_input(tensor.index, list(shape), strict=True)

    def reshape(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Give inputs, by name, other shapes where they have others, and allocate again.

        Raises:
            ValueError, RuntimeError: the model does not take them.
        """
        wanted = [(tensor, tuple(shapes.get(tensor.name, tensor.shape))) for tensor in self.inputs]
        changed = [(tensor, shape) for tensor, shape in wanted if shape != tensor.shape]
        for tensor, shape in changed:
            self.resize(tensor, shape)
        if changed:
            self.allocate()

    def batch(self, size: int) -> None:
        """Make the first extent of every input *size*, and allocate again.

        Raises:
            ValueError: the model was made for another batch and cannot be resized.
        """
        if size == 1 or all(tensor.shape[:1] == (size,) for tensor in self.inputs):
            return
        for tensor in self.inputs:
            if not tensor.shape:
                msg = f"input {tensor.name!r} has no batch"
                raise ValueError(msg)
            self.interpreter.resize_tensor_input(tensor.index, [size, *tensor.shape[1:]])
        self.allocate()
        for tensor in self.outputs:
            if tensor.shape[:1] != (size,):
                msg = f"output {tensor.name!r} stays of shape {tensor.shape} when the batch becomes {size}"
                raise ValueError(msg)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs, in the signature's order."""
        return self._tensors("inputs", self.interpreter.get_input_details())

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs, in the signature's order."""
        return self._tensors("outputs", self.interpreter.get_output_details())

    def _tensors(self, side: str, details: list[dict[str, Any]]) -> tuple[Tensor, ...]:
        by_index = {int(entry["index"]): entry for entry in details}
        names = dict(self._names.get(side, {}))
        if not names or not set(names.values()) <= set(by_index):
            names = {entry["name"]: index for index, entry in by_index.items()}
        return tuple(_tensor(name, index, by_index[index]) for name, index in names.items())

    def put(self, tensor: Tensor, stored: Array) -> None:
        """Set an input to *stored*, of the tensor's shape and dtype."""
        self.interpreter.set_tensor(tensor.index, stored)

    def get(self, tensor: Tensor) -> Array:
        """Return a copy of an output as it is stored, of the tensor's shape and dtype."""
        stored: Array = self.interpreter.get_tensor(tensor.index)
        return stored

    def reset(self) -> None:
        """Forget what a stateful op remembers of earlier inferences."""
        self.interpreter.reset_all_variables()

    def nodes(self) -> list[PlannedOp] | None:
        """Return the nodes of the first subgraph, those that a delegate added behind the file's own.

        The runtimes have no public question for it; their op list is a private method of old standing. None where a
        runtime does not have it.
        """
        listing = getattr(self.interpreter, "_get_ops_details", None)
        if listing is None:
            return None
        try:
            return [
                PlannedOp(str(op["op_name"]), tuple(map(int, op["inputs"])), tuple(map(int, op["outputs"])))
                for op in listing()
            ]
        except (KeyError, TypeError, ValueError, RuntimeError):
            return None


def _openable(source: str | bytes) -> str | bytes:
    """Return the source, by another path where its name is no UTF-8: the runtimes take no other."""
    if isinstance(source, bytes):
        return source
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        return f"/proc/self/fd/{os.open(source, os.O_RDONLY)}"  # open as long as the process
    return source


def runtime_classes(runtime: str) -> tuple[Any, Any]:
    """Return the runtime's ``Interpreter`` and ``OpResolverType``; importing it is what takes the time.

    Raises:
        ImportError: it is not installed, or its native part does not load.
    """
    if runtime == "tensorflow":
        lite = importlib.import_module("tensorflow").lite
        return lite.Interpreter, lite.experimental.OpResolverType
    module = importlib.import_module(f"{runtimes.MODULES[runtime]}.interpreter")
    return module.Interpreter, module.OpResolverType


def _tensor(name: str, index: int, details: dict[str, Any]) -> Tensor:
    scale, zero_point = details["quantization"]
    signature = details.get("shape_signature", details["shape"])
    return Tensor(
        name=name,
        tensor=str(details["name"]),
        index=index,
        shape=tuple(int(extent) for extent in details["shape"]),
        free=tuple(place for place, extent in enumerate(signature) if extent < 0),
        dtype=np.dtype(details["dtype"]),
        scale=float(scale) or None,
        zero_point=int(zero_point) if scale else None,
    )
