"""TFLite files of every shape for tests, written by the schema's own classes; and what such a file means.

The strategies go where converters seldom do: several subgraphs and signatures, control flow, resource variables,
strings, sparse and 4-bit constants, custom options, options of both unions, metadata of others. Files need not run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema  # noqa: TID253 - a test of its own classes needs them
from flatbuffers import Builder
from hypothesis import strategies as st

TYPES = schema.TensorType
FLOAT, INT4, STRING, RESOURCE, INT8 = TYPES.FLOAT32, TYPES.INT4, TYPES.STRING, TYPES.RESOURCE, TYPES.INT8
OUR_METADATA, THEIR_METADATA = b"TFCOMPRESS_METADATA", b"CONVERSION_METADATA"
LEAST_RUNTIME = b"min_runtime_version"
CONTROL, UNKNOWN = b"model_control_dependencies", b"COMPRESSION_METADATA"
HALF = b"reduced_precision_support"


def made(kind: str, **fields: Any) -> Any:
    """Return an object of the schema."""
    value = getattr(schema, f"{kind}T")()
    for name, content in fields.items():
        if not hasattr(value, name):
            raise AttributeError(name)
        setattr(value, name, content)
    return value


def ints(values: Any, dtype: str = "<i4") -> np.ndarray:
    return np.asarray(values, dtype)


few = st.integers(0, 3)
small = st.lists(st.integers(0, 5), max_size=3)
words = st.sampled_from([b"", b"a", b"hidden/kernel", b"hidden/bias;fused", "größe".encode()])


@st.composite
def quantizations(draw: Any) -> Any:
    """Return scales and zero points by tensor or channel, ranges, or blocks."""
    count = draw(st.sampled_from([0, 1, 8]))
    fields: dict[str, Any] = {"quantizedDimension": draw(few)}
    if count:
        fields |= {"scale": np.full(count, draw(st.sampled_from([0.5, 2.0**-7])), "<f4")}
        fields |= {"zeroPoint": np.full(count, draw(st.integers(-1, 1)), "<i8")}
    if draw(st.booleans()):
        fields |= {"min": ints([-1.0], "<f4"), "max": ints([1.5], "<f4")}
    if draw(st.booleans()):
        blocks = made("BlockwiseQuantization", scales=draw(few), blockSize=32)
        fields |= {"detailsType": schema.QuantizationDetails.BlockwiseQuantization, "details": blocks}
    return made("QuantizationParameters", **fields)


def sparsity() -> Any:
    """Return the sparse encoding of a kernel of two rows."""
    indices = made("Uint8Vector", values=ints([0, 2, 1], "u1"))
    segments = made("Uint16Vector", values=ints([0, 2, 3], "<u2"))
    union = schema.SparseIndexVector
    dense = made("DimensionMetadata", format=0, denseSize=2)
    packed = made(
        "DimensionMetadata",
        format=1,
        arraySegmentsType=union.Uint16Vector,
        arraySegments=segments,
        arrayIndicesType=union.Uint8Vector,
        arrayIndices=indices,
    )
    return made("SparsityParameters", traversalOrder=ints([0, 1]), dimMetadata=[dense, packed])


@st.composite
def tensors(draw: Any, buffers: int) -> Any:
    """Return a tensor of any type."""
    shape = draw(st.none() | small)
    signature = draw(st.sampled_from(["none", "same", "open"]))
    signatures = {"none": None, "same": shape, "open": None if shape is None else [-1] * len(shape)}
    return made(
        "Tensor",
        shape=None if shape is None else ints(shape),
        shapeSignature=None if signatures[signature] is None else ints(signatures[signature]),
        type=draw(st.sampled_from([FLOAT, INT4, STRING, RESOURCE, INT8])),
        buffer=draw(st.integers(0, buffers - 1)),
        name=draw(words),
        quantization=draw(st.none() | quantizations()),
        isVariable=draw(st.booleans()),
        hasRank=draw(st.booleans()),
        sparsity=sparsity() if draw(st.booleans()) else None,
    )


def _calls(draw: Any, number: int, graphs: int) -> list[dict[str, Any]]:
    """Return the options of ops that run later subgraphs: none may run itself in the end."""
    if number + 1 == graphs:
        return []
    one, two = (draw(st.integers(number + 1, graphs - 1)) for _ in range(2))
    made_of = {
        "WhileOptions": {"condSubgraphIndex": one, "bodySubgraphIndex": two},
        "IfOptions": {"thenSubgraphIndex": one, "elseSubgraphIndex": two},
        "CallOnceOptions": {"initSubgraphIndex": one},
    }
    composite = made(
        "StableHLOCompositeOptions",
        name=b"odml.norm",
        compositeAttributes=ints([1, 2, 3], "u1"),
        decompositionSubgraphIndex=one,
    )
    return [
        *(
            {"builtinOptionsType": getattr(schema.BuiltinOptions, kind), "builtinOptions": made(kind, **values)}
            for kind, values in made_of.items()
        ),
        {"builtinOptions2Type": schema.BuiltinOptions2.StableHLOCompositeOptions, "builtinOptions2": composite},
    ]


@st.composite
def operators(draw: Any, tensors: int, number: int, graphs: int) -> Any:
    """Return an op of a subgraph, with options of some kind."""
    one = schema.BuiltinOptions
    options: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {
                    "builtinOptionsType": one.Conv2DOptions,
                    "builtinOptions": made("Conv2DOptions", strideW=2, padding=1),
                },
                {
                    "builtinOptionsType": one.Conv2DOptions,
                    "builtinOptions": made("Conv2DOptions", strideW=1, padding=1),
                },
                *_calls(draw, number, graphs),
                {
                    "builtinOptionsType": one.VarHandleOptions,
                    "builtinOptions": made("VarHandleOptions", container=b"", sharedName=b"state"),
                },
                {
                    "builtinOptionsType": one.ReshapeOptions,
                    "builtinOptions": made("ReshapeOptions", newShape=ints([1, -1])),
                },
                {
                    "builtinOptionsType": one.RandomOptions,
                    "builtinOptions": made("RandomOptions", seed=2**40, seed2=-1),
                },
                {"customOptions": ints([7, 0, 7], "u1")},
            ]
        )
    )
    places = st.lists(st.integers(-1, tensors - 1), max_size=3)
    return made(
        "Operator",
        opcodeIndex=draw(st.integers(0, 1)),
        inputs=ints(draw(places)),
        outputs=ints(draw(places)),
        intermediates=draw(st.none() | st.just(ints([0]))),
        mutatingVariableInputs=draw(st.none() | st.just([True, False])),
        **options,
    )


@st.composite
def models(draw: Any) -> bytes:
    """Return a whole file."""
    contents = st.sampled_from([None, b"", b"\0" * 16, b"\1\2\3", bytes(range(100))])
    buffers = [None, *draw(st.lists(contents, min_size=1, max_size=6))]
    graphs = []
    total = draw(st.integers(1, 3))
    for number in range(total):
        held = draw(st.lists(tensors(len(buffers)), min_size=1, max_size=6))
        ends = st.lists(st.integers(0, len(held) - 1), max_size=2, unique=True)
        graphs.append(
            made(
                "SubGraph",
                tensors=held,
                inputs=ints(draw(ends)),
                outputs=ints(draw(ends)),
                operators=draw(st.lists(operators(len(held), number, total), max_size=4)),
                name=b"main" if number == 0 else b"body",
            )
        )
    signatures = []
    for number in draw(st.lists(st.integers(0, total - 1), max_size=2)):
        named = [made("TensorMap", name=b"x", tensorIndex=0)]
        signatures.append(
            made("SignatureDef", signatureKey=b"key", subgraphIndex=number, inputs=named, outputs=list(named))
        )
    known = [OUR_METADATA, THEIR_METADATA, LEAST_RUNTIME, HALF, CONTROL, UNKNOWN]
    kept = draw(st.lists(st.sampled_from(known), unique=True))
    metadata = [made("Metadata", name=name, buffer=draw(st.integers(0, len(buffers) - 1))) for name in kept]
    return packed(
        made(
            "Model",
            version=3,
            operatorCodes=[
                made("OperatorCode", deprecatedBuiltinCode=3, builtinCode=3),
                made("OperatorCode", deprecatedBuiltinCode=32, builtinCode=32, customCode=b"Ours", version=2),
            ],
            subgraphs=graphs,
            description=b"made up",
            buffers=[made("Buffer", data=None if data is None else ints(list(data), "u1")) for data in buffers],
            metadata=metadata or None,
            signatureDefs=signatures or None,
        )
    )


def packed(model: Any) -> bytes:
    """Return the file that the schema's own classes write."""
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpacked(content: bytes) -> Any:
    """Return what the schema's own classes read."""
    return schema.ModelT.InitFromPackedBuf(content, 0)


def meaning(content: bytes, *, names: bool = False) -> Any:
    """Return a file as plain values, constants in the places of their numbers, without what slimming may leave out.

    Args:
        content: the file.
        names: with the names of graphs and of tensors inside them.
    """
    model = unpacked(content)
    held = [b"" if b.data is None else bytes(bytearray(b.data)) for b in model.buffers]
    entered = {0, *(signature.subgraphIndex for signature in model.signatureDefs or ())}
    for number, graph in enumerate(model.subgraphs):
        ends = {*map(int, graph.inputs), *map(int, graph.outputs)} if number in entered else set()
        graph.name = graph.name if names else None
        for place, tensor in enumerate(graph.tensors):
            tensor.buffer = held[tensor.buffer]
            if not names and place not in ends:
                tensor.name = None
            if plain(tensor.shapeSignature) == plain(tensor.shape):
                tensor.shapeSignature = None
            if tensor.quantization is not None and tensor.quantization.scale is not None:
                tensor.quantization.min = tensor.quantization.max = None
    dropped = (THEIR_METADATA, LEAST_RUNTIME)
    kept = {m.name: held[m.buffer] for m in model.metadata or () if m.name not in dropped}
    model.buffers = model.metadata = model.description = None
    return plain(model), kept


def plain(value: Any) -> Any:
    """Return nested plain values that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if type(value).__module__ == schema.__name__:
        return type(value).__name__, {name: plain(item) for name, item in vars(value).items()}
    return value
