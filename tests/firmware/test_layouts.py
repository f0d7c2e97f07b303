"""The files of a model where Arduino and ESP-IDF look for them, and its ports as C knows them; nothing is compiled."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.graph import Operator
from tfcompress.errors import UnsupportedError
from tfcompress.firmware.arena_size import MARGIN, measured_size
from tfcompress.firmware.layouts import LAYOUTS, arduino, esp_idf
from tfcompress.firmware.model_source import model_header, model_source
from tfcompress.firmware.number_types import check_number_types
from tfcompress.firmware.ports import C_TYPES, Port, ports_of
from tfcompress.tflite.flatbuffer import FlatModel
from tfcompress.tflite.micro.arena import ArenaUse
from tfcompress.tflite.tensors import StoredTensor, Subgraph

names = st.sampled_from(["model", "m", "Net_8", "a_ops", "main", "x1_golden", "KWS", "cc", "my_model_v2"])


def files_of(name: str) -> dict[str, str]:
    endings = (".h", ".cc", "_ops.h", "_golden.h", "_golden_test.h")
    return {**{f"{name}{ending}": f"// {name}{ending}" for ending in endings}, "main_test.cc": "// main"}


@pytest.mark.parametrize("layout", LAYOUTS)
@given(name=names)
def test_every_file_of_the_model_is_there_once_and_the_test_program_of_the_desk_is_not(layout: str, name: str) -> None:
    files = files_of(name)
    laid_out = LAYOUTS[layout](name, files)
    texts = list(laid_out.values())
    for path, text in files.items():
        assert texts.count(text) == (0 if path == "main_test.cc" and name != "main_test" else 1)
    for path in laid_out:
        assert PurePosixPath(path).parts[0] == layout
        assert ".." not in path
        assert "\\" not in path


@given(names)
def test_arduino_finds_a_library_with_sources_it_compiles_and_a_sketch_called_as_its_folder(name: str) -> None:
    laid_out = arduino(name, files_of(name))
    root = f"arduino/{name}"
    properties = dict(line.split("=", 1) for line in laid_out[f"{root}/library.properties"].splitlines())
    assert properties["name"] == name
    assert {"version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"} <= {
        *properties
    }
    sources = [path for path in laid_out if path.startswith(f"{root}/src/")]
    assert f"{root}/src/{name}.cpp" in sources
    assert f"{root}/src/{properties['includes']}" in sources
    assert all(path.endswith((".h", ".cpp")) for path in sources)
    (sketch,) = [path for path in laid_out if path.endswith(".ino")]
    assert PurePosixPath(sketch).stem == PurePosixPath(sketch).parent.name
    included = set(re.findall(r"#include <(\S+)>", laid_out[sketch])) - {"TensorFlowLite.h"}
    assert {f"{root}/src/{header}" for header in included} <= set(sources)


@given(names)
def test_esp_idf_finds_a_component_whose_sources_are_there(name: str) -> None:
    laid_out = esp_idf(name, files_of(name))
    component = f"esp-idf/components/{name}"
    (listed,) = re.findall(r'SRCS "(\S+)"', laid_out[f"{component}/CMakeLists.txt"])
    assert f"{component}/{listed}" in laid_out
    (program,) = re.findall(r'SRCS "(\S+)" PRIV_REQUIRES', laid_out["esp-idf/main/CMakeLists.txt"])
    text = laid_out[f"esp-idf/main/{program}"]
    (header,) = re.findall(r'#include "(\S+)"', text)
    assert f"{component}/{header}" in laid_out
    assert f"{name}_golden_test()" in text
    assert f"PRIV_REQUIRES {name})" in laid_out["esp-idf/main/CMakeLists.txt"]


def port(dtype: str, scale: float | None = None, zero: int | None = None, shape: tuple[int, ...] = (1, 4)) -> Port:
    return Port("input", 0, "x", shape, dtype, scale, zero)


@settings(max_examples=40)
@given(
    st.sampled_from(["int8", "uint8", "int16"]),
    st.floats(2.0**-12, 4.0, width=32),
    st.integers(-128, 127),
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=9),
)
def test_a_number_is_stored_as_its_nearest_step_within_the_type(
    dtype: str, scale: float, zero: int, values: list[float]
) -> None:
    stored = port(dtype, scale, zero).stored(np.array(values, np.float32))
    limits = np.iinfo(dtype)
    assert stored.dtype == np.dtype(dtype)
    for value, step in zip(values, stored.tolist(), strict=True):
        assert limits.min <= step <= limits.max
        back = scale * (step - zero)
        inside = scale * (limits.min - zero) <= value <= scale * (limits.max - zero)
        if inside:
            assert abs(back - value) <= scale * (0.5 + 1e-3)
        else:
            assert step in (limits.min, limits.max)


@pytest.mark.parametrize("dtype", C_TYPES)
def test_what_is_not_quantized_is_stored_as_it_is(dtype: str) -> None:
    values = np.array([0, 1, 1], dtype)
    stored = port(dtype).stored(values)
    assert stored.dtype == values.dtype
    assert stored.tolist() == values.tolist()
    assert port(dtype, shape=(2, 3, 4)).elements == 2 * 3 * 4
    assert port(dtype, shape=()).elements == 1
    assert port(dtype).c_type == {"float32": "float", "bool": "bool"}.get(dtype, f"{dtype}_t")


@given(st.integers(1, 10**7), st.sampled_from(["0.1", "2.18"]))
def test_an_arena_has_its_margin_on_a_multiple_of_sixteen(least: int, version: str) -> None:
    found = measured_size(least, ArenaUse(total_bytes=9, head_bytes=4, tail_bytes=5), version)
    assert found.measured
    assert found.needed_bytes == least
    assert found.size_bytes % 16 == 0
    assert least * (1 + MARGIN) - 1 <= found.size_bytes < least * (1 + MARGIN) + 16
    assert f"tflite-micro {version}" in found.how
    assert f"{least:,} bytes is the least" in found.how


@given(names, st.text(max_size=30), st.binary(min_size=1, max_size=40))
def test_a_header_guards_itself_and_the_array_is_the_file(name: str, about: str, content: bytes) -> None:
    size = measured_size(1000, ArenaUse(total_bytes=9, head_bytes=4, tail_bytes=5), "0.1")
    ports = [port("int8", 0.5, -3), Port("output", 0, "y */ \n#error", (1, 2), "float32", None, None)]
    header, source = model_header(name, about, len(content), size, ports), model_source(name, about, content)
    guard = f"{name.upper()}_H_"
    assert [line for line in header.splitlines() if guard in line] == [
        f"#ifndef {guard}", f"#define {guard}", f"#endif /* {guard} */",
    ]  # fmt: skip
    assert f"#define {name.upper()}_SIZE_BYTES {len(content)}u" in header
    assert f"#define {name.upper()}_INPUT_0_ZERO_POINT (-3)" in header
    assert f"{name.upper()}_OUTPUT_0_SCALE" not in header
    assert "#error" not in [line.split()[0] for line in header.splitlines() if line.strip()]
    for text in (header, source):
        assert text.isascii()
        assert text.count("/*") == text.count("*/")
        assert len(re.sub(r"/\*.*?\*/", "", text)) < len(text)
    assert bytes(int(byte, 16) for byte in re.findall(r"0x(..),", source)) == content


def tensor(index: int, dtype: str) -> StoredTensor:
    data = np.zeros(0, np.uint8)
    return StoredTensor(index, f"t{index}", (1, 4), (1, 4), dtype, (), (), 0, 0, data, False, False)


def model_of(op: str, *dtypes: str) -> FlatModel:
    tensors = tuple(tensor(place, dtype) for place, dtype in enumerate(dtypes))
    ops = (Operator(op, 1, False, tuple(range(len(dtypes) - 1)), (len(dtypes) - 1,)),)
    return FlatModel(0, "", (Subgraph(tensors, ops, (0,), (len(dtypes) - 1,)),), (), {})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "complex128", "string"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_tensor_of_numbers_that_the_interpreter_lacks_is_named(dtype: str, place: int) -> None:
    dtypes = ["float32", "float32", "float32"]
    dtypes[place] = dtype
    with pytest.raises(UnsupportedError, match=rf"computes no {dtype}, which tensor {place} 't{place}' holds"):
        check_number_types(model_of("ADD", *dtypes))


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD"])
@pytest.mark.parametrize("given_dtype", ["float32", "int8"])
@pytest.mark.parametrize("kernel", ["float32", "int8", "int4"])
def test_floats_meet_kernels_of_floats_alone(op: str, given_dtype: str, kernel: str) -> None:
    model = model_of(op, given_dtype, kernel, "float32")
    if op == "ADD" or given_dtype == "int8" or kernel == "float32":
        check_number_types(model)
        return
    with pytest.raises(
        UnsupportedError, match=rf"floats with {kernel} kernels \(dynamic range\), as {op} \(op 0\) does"
    ):
        check_number_types(model)


def test_an_input_that_the_signature_lacks_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="tensor 0 is an input or output of the graph, but not of its signature"):
        ports_of(FlatModel(0, "", model_of("ADD", "int8", "int8").subgraphs, (_signature(),), {}))


def _signature() -> object:
    from types import SimpleNamespace

    return SimpleNamespace(key="serving", subgraph=0, inputs={}, outputs={})
