"""What a written file must satisfy by its structure: ops, dtypes, weights, size. The numbers are agreement.py's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from edge_runner.graph import Operator
from tfcompress.errors import ContractError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import Export
from tfcompress.tflite.flatbuffer import FlatModel, IOTensor
from tfcompress.tflite.tensors import Subgraph
from tfcompress.tflite.weights import float_bytes, kernels, stored_bytes

SMALL = 1024
"""Elements below which the converter leaves a kernel in float under dynamic quantization (it says so itself)."""
_BOUNDARY = {"QUANTIZE", "DEQUANTIZE"}
_LEFTOVERS = {"FAKE_QUANT"}
_FLOAT = {"none", "float16"}  # schemes whose files compute in float: fake quantization turns into QUANTIZE there
_WEIGHTS = {"dynamic": "int8", "float16": "float16", "int8": "int8", "int16x8": "int8", "none": "float32"}
_DYNAMIC_OPS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_SHOWN = 6


@dataclass(frozen=True)
class FloatOp:
    """An op of a quantized file that computes in float."""

    op: str
    tensor: str

    def __str__(self) -> str:
        return f"{self.op} at {_short(self.tensor)!r}"


class FloatOpsError(ContractError):
    """Ops in float in a file that was to be all integers.

    Attributes:
        ops: those.
    """

    def __init__(self, message: str, ops: Sequence[FloatOp]) -> None:
        super().__init__(message)
        self.ops = tuple(ops)


def check_all(checks: Iterable[Callable[[], None]]) -> None:
    """Make checks, and refuse once for all that was found.

    Raises:
        FloatOpsError: with the ops in float, where there are some.
        ContractError: the one there is; or numbered, where there are several.
    """
    found: list[ContractError] = []
    for check in checks:
        try:
            check()
        except ContractError as violation:
            found.append(violation)
    if len(found) == 1:
        raise found[0]
    if found:
        msg = f"{len(found)} things are not as asked: " + "; ".join(f"({n}) {e}" for n, e in enumerate(found, 1))
        ops = [op for error in found if isinstance(error, FloatOpsError) for op in error.ops]
        raise FloatOpsError(msg, ops) if ops else ContractError(msg)


def check_ops(model: FlatModel, export: Export) -> None:
    """Refuse ops that no TFLite runtime has, and what training should have taken away.

    Raises:
        ContractError: naming them.
    """
    check_all(partial(check, model, export) for check in (_check_leftovers, _check_flex, _check_custom))


def _check_leftovers(model: FlatModel, export: Export) -> None:
    leftovers = _LEFTOVERS | ({"QUANTIZE"} if export.quantize in _FLOAT else set())
    left = [FloatOp(op.name, _output(graph, op.outputs)) for graph, op in _ops(model) if op.name in leftovers]
    if left:
        mend = "the model still trains there: finish the job, or rebuild it without those ops"
        if export.quantize != "int8":
            mend = "export a model trained for int8 as int8"
        msg = f"the file must hold no training op, it holds {shortened(left)}; {mend}"
        raise ContractError(msg)


def _check_flex(model: FlatModel, export: Export) -> None:
    flex = sorted({op.name for op in model.ops if op.flex})
    if flex and not export.select_ops:
        held = shortened(flex)
        msg = f"the file must hold TFLite ops only, it holds {held}; replace those layers, or give --select-ops"
        raise ContractError(msg)


def _check_custom(model: FlatModel, _: Export) -> None:
    custom = sorted({op.name for op in model.ops if op.custom and not op.flex})
    if custom:
        msg = f"the file must hold TFLite ops only, it holds the custom ops {shortened(custom)}; replace those layers"
        raise ContractError(msg)


def float_ops(model: FlatModel) -> tuple[FloatOp, ...]:
    """Return the ops that compute in float, apart from those that quantize and dequantize."""
    return tuple(
        FloatOp(op.name, _output(graph, op.outputs))
        for graph, op in _ops(model)
        if op.name not in _BOUNDARY
        and any(t.dtype.startswith(("float", "bfloat")) and not t.constant for t in graph.of((*op.inputs, *op.outputs)))
    )


def check_integer(
    model: FlatModel, export: Export, *, sampled: bool = True, islands: frozenset[str] = frozenset()
) -> None:
    """Refuse ops in float in a file that was asked to be int8 or int16x8, unless they are allowed or were asked for.

    Args:
        model: the file.
        export: what was asked for.
        sampled: samples were given to calibrate on.
        islands: names of tensors that ops make which were asked for in float.

    Raises:
        FloatOpsError: naming ops and tensors.
    """
    found = [op for op in float_ops(model) if op.tensor not in islands]
    if export.needs_data and export.float_ops == "refuse" and found:
        ends = _float_ends(model) if export.io_dtype != "float32" else []
        both = f" and --io float32 (they make {shortened(ends)})" if ends else ""
        data = "" if sampled else "give --data, "
        msg = (
            f"{len(found)} of {len(list(model.ops))} ops have no {export.quantize} form and would stay in float: "
            f"{shortened(found)}; replace those layers, {data}or give --float-ops allow{both}"
        )
        raise FloatOpsError(msg, found)


def _float_ends(model: FlatModel) -> list[str]:
    """Name the inputs that ops take, and the outputs that ops give, in float: no --io of whole numbers fits them."""
    graph = model.subgraphs[0]
    inner = [op for op in graph.ops if op.name not in _BOUNDARY]
    taken, given = {n for op in inner for n in op.inputs}, {n for op in inner for n in op.outputs}
    ends = [(tensor, taken) for tensor in model.inputs] + [(tensor, given) for tensor in model.outputs]
    return [repr(tensor.name) for tensor, used in ends if tensor.dtype == "float32" and tensor.index in used]


def check_io(model: FlatModel, export: Export, signature: Signature) -> None:
    """Check names, shapes and dtypes of inputs and outputs.

    Raises:
        ContractError: naming all that differ.
    """
    check_all(partial(_check_side, *side, export) for side in _sides(model, signature))


Side = tuple[str, tuple[IOTensor, ...], tuple[TensorSpec, ...]]


def _sides(model: FlatModel, signature: Signature) -> tuple[Side, Side]:
    return ("input", model.inputs, signature.inputs), ("output", model.outputs, signature.outputs)


def _check_side(kind: str, found: Sequence[IOTensor], wanted: Sequence[TensorSpec], export: Export) -> None:
    by_name = {tensor.name: tensor for tensor in found}
    names = [spec.name for spec in wanted]
    if sorted(by_name) != sorted(names):
        msg = f"the file's {kind}s must be {', '.join(names)}, they are {', '.join(by_name)}; convert the model again"
        raise ContractError(msg)
    check_all(partial(_check_tensor, kind, by_name[spec.name], spec, export) for spec in wanted)


def _check_tensor(kind: str, tensor: IOTensor, spec: TensorSpec, export: Export) -> None:
    wanted = export.io_dtype if spec.dtype == "float32" else spec.dtype
    if tensor.dtype != wanted:
        msg = f"{kind} {spec.name!r} of the file must be {wanted}, it is {tensor.dtype}; choose another --io"
        raise ContractError(msg)
    if wanted != spec.dtype and not (tensor.scale and tensor.scale > 0):
        what = f"{kind} {spec.name!r} of the file"
        msg = f"{what} must have a scale above 0, it has {tensor.scale}; check the calibration data"
        raise ContractError(msg)
    if kind == "input" and len(tensor.shape) != len(spec.shape) + 1:
        msg = f"input {spec.name!r} of the file must have {len(spec.shape) + 1} axes, its shape is {tensor.shape}"
        raise ContractError(msg)


def check_weights(model: FlatModel, export: Export, islands: frozenset[str] = frozenset()) -> None:
    """Check that kernels are stored as asked.

    Under ``dynamic`` the converter leaves kernels below :data:`SMALL` elements in float; that at least one became int8
    is asked for all the same.

    Args:
        model: the file.
        export: what was asked for.
        islands: names of kernels of ops that were asked for in float.

    Raises:
        ContractError: naming the kernels.
    """
    wanted = _WEIGHTS[export.quantize]
    found = list(kernels(model.subgraphs))
    if export.quantize == "dynamic":
        if found and not any(k.tensor.dtype == wanted for k in found):
            largest = max(k.tensor.elements for k in found)
            msg = (
                f"dynamic quantization takes kernels of {SMALL:,} elements and more, the largest here has {largest:,}: "
                "the file would stay in float; quantize 'int8', or 'none'"
            )
            raise ContractError(msg)
        found = [k for k in found if k.op in _DYNAMIC_OPS and k.tensor.elements >= SMALL]
    if export.needs_data and export.float_ops == "allow":
        return  # what stays in float is reported by op
    fits = {wanted, "int4"} if export.quantize == "int8" else {wanted}  # a model may have been trained for 4 bits
    found = [k for k in found if k.tensor.name not in islands]
    wrong = [f"{_short(k.tensor.name)} ({k.tensor.dtype})" for k in found if k.tensor.dtype not in fits]
    if wrong:
        msg = f"kernels must be stored as {wanted} with quantize {export.quantize!r}, these are not: {shortened(wrong)}"
        raise ContractError(msg)


def check_size(model: FlatModel, float_size_bytes: int) -> str:
    """Check that a quantized file is smaller than the float file of the same model.

    Returns:
        An empty string, or why the file may be larger: its weights are smaller, and the quantization parameters and the
        ops at its borders weigh more than what that saves. It happens below about 10 KB.

    Raises:
        ContractError: it is not smaller, and neither are its weights.
    """
    if model.size_bytes < float_size_bytes:
        return ""
    weights, in_float = stored_bytes(model.subgraphs), float_bytes(model.subgraphs)
    sizes = f"{model.size_bytes:,} bytes, the float file {float_size_bytes:,}"
    if weights >= in_float:
        msg = f"the file must be smaller than the float file, it has {sizes}; its weights take no less than in float"
        raise ContractError(msg)
    return (
        f"the file has {sizes}: its weights take {weights:,} bytes instead of {in_float:,}, but the model is so small "
        "that the quantization parameters outweigh that"
    )


def _ops(model: FlatModel) -> list[tuple[Subgraph, Operator]]:
    return [(graph, op) for graph in model.subgraphs for op in graph.ops]


def _output(graph: Subgraph, numbers: Sequence[int]) -> str:
    tensors = graph.of(tuple(numbers))
    return tensors[0].name if tensors else ""


def _short(name: str) -> str:
    """Keep the first of the names that the converter joined by semicolons."""
    return name.split(";")[0]


def shortened(items: Sequence[object]) -> str:
    """Write the first few of *items*, and how many more there are."""
    shown = ", ".join(map(str, items[:_SHOWN]))
    return shown if len(items) <= _SHOWN else f"{shown} and {len(items) - _SHOWN} more"
