"""tfcompress.tflite.packings."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from tests.tflite.make_files import FOLDER
from tfcompress import export_choices
from tfcompress.errors import UnsupportedError
from tfcompress.export_choices import Packing
from tfcompress.models.specs import random_inputs
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.packings import PackingRecord, pack, prove
from tfcompress.tflite.slim import slim
from tfcompress.tflite.tree import Node, Numbers, parse_tree
from tfcompress.tflite.tree_writer import write_tree


@pytest.fixture
def packing(monkeypatch):
    """Put one more packing into the table, by the function that does it."""

    def add(function, **options) -> str:
        module = types.ModuleType("toy_packing")
        module.toy = function
        monkeypatch.setitem(sys.modules, "toy_packing", module)
        line = Packing(about="A toy.", implementation="toy_packing:toy", **options)
        monkeypatch.setitem(export_choices.PACKINGS, "toy", line)
        return "toy"

    return add


def with_another_constant(content: bytes, **_: object) -> bytes:
    """Return a shorter file in which one bit of the largest constant is another."""
    model = parse_tree(slim(content))
    buffers = list(model.nodes("buffers"))
    sizes = [len(b.fields["data"].content) if "data" in b.fields else 0 for b in buffers]
    place = int(np.argmax(sizes))
    data = bytearray(buffers[place].fields["data"].content)
    data[0] ^= 64
    buffers[place] = Node("Buffer", {"data": Numbers(1, bytes(data))})
    return write_tree(model.having(buffers=tuple(buffers)))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
def test_slim_is_proven_on_every_kind_of_file(path) -> None:
    content = path.read_bytes()
    with InterpreterProcess(content) as interpreter:
        inputs = random_inputs(interpreter.signature, 8, 0)
    if path.stem == "tokens":
        inputs = {name: values % 20 for name, values in inputs.items()}
    small, (record,) = pack(content, ["slim"], inputs)
    assert record.dropped == ""
    assert (record.before_bytes, record.after_bytes) == (len(content), len(small))
    assert len(small) < len(content)
    assert "LiteRT" in record.proven_in


def test_one_bit_of_a_constant_is_noticed_and_the_file_stays(file, images, packing) -> None:
    content = file("int8")
    kept, (record,) = pack(content, [packing(with_another_constant)], images)
    assert kept == content
    assert (record.dropped, record.proven_in) == ("in LiteRT output 'scores' differs", ())
    assert record.after_bytes == record.before_bytes == len(content)


def test_a_file_that_an_interpreter_refuses_is_not_taken(file, images, packing) -> None:
    def broken(content: bytes, **_: object) -> bytes:
        model = parse_tree(slim(content))
        codes = tuple(c.having(builtin_code=200, deprecated_builtin_code=127) for c in model.nodes("operator_codes"))
        return write_tree(model.having(operator_codes=codes))

    kept, (record,) = pack(file("int8"), [packing(broken)], images)
    assert kept == file("int8")
    assert record.dropped.startswith("in LiteRT litert ")


def test_what_grows_or_cannot_be_packed_is_left_with_the_reason(file, images, packing) -> None:
    def refuse(content: bytes, **_: object) -> bytes:
        msg = "it holds something new"
        raise UnsupportedError(msg)

    content = file("int8")
    grown = pack(content, [packing(lambda content, **_: content + bytes(16))], images)
    assert grown == (content, (dropped(content, f"it would take {len(content) + 16:,} bytes"),))
    assert pack(content, [packing(refuse)], images) == (content, (dropped(content, "it holds something new"),))


def dropped(content: bytes, reason: str) -> PackingRecord:
    return PackingRecord(name="toy", before_bytes=len(content), after_bytes=len(content), dropped=reason)


def test_packings_are_done_one_after_the_other_and_told_to_keep_names(file, images, packing) -> None:
    seen = []

    def note(content: bytes, *, keep_names: bool) -> bytes:
        seen.append((len(content), keep_names))
        return content

    small, records = pack(file("int8"), ["slim", packing(note)], images, keep_names=True)
    assert seen == [(len(small), True)]
    assert [record.name for record in records] == ["slim", "toy"]
    assert read_model_file(small).tensor_names == read_model_file(file("int8")).tensor_names


@pytest.mark.parametrize(
    ("digests", "proven", "difference"),
    [
        ([("a", ""), ("a", "")], ("tensorflow",), ""),
        ([("a", ""), ("b", "")], (), "in tensorflow the outputs differ"),
        ([("a", ""), ("", "it died")], (), "in tensorflow it died"),
        ([("", "it died"), ("", "it died")], (), "no interpreter here runs the file: it cannot be proven"),
    ],
)
def test_other_interpreters_are_asked_by_digest(file, images, digests, proven, difference) -> None:
    answers = dict(zip((file("int8"), file("dynamic")), digests, strict=True))
    found = prove(
        file("int8"), file("dynamic"), images, runtimes=("tensorflow",), digests={"tensorflow": answers.__getitem__}
    )
    assert found == (proven, difference)


def test_a_runtime_that_cannot_open_what_a_packing_makes_is_not_asked(file, images) -> None:
    digests = {"tensorflow": lambda content: pytest.fail("it was asked")}
    proven, difference = prove(file("int8"), slim(file("int8")), images, runtimes=("litert",), digests=digests)
    assert (proven, difference) == (("LiteRT", "LiteRT's reference kernels"), "")


def test_tensorflow_itself_sees_a_difference(file, converter) -> None:
    content = file("int8")
    one, refusal = converter.digest_in_tensorflow(content)
    assert refusal == ""
    assert converter.digest_in_tensorflow(slim(content)) == (one, "")
    assert converter.digest_in_tensorflow(with_another_constant(content))[0] != one


@pytest.mark.parametrize("honest", [True, False])
def test_a_tflite_runtime_at_hand_is_asked_too(file, images, tmp_path, monkeypatch, honest: bool) -> None:
    """A package of that name stands in: LiteRT's interpreter, or one that adds the size of the file to its outputs."""
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime-2.14.0.dist-info").mkdir()
    (tmp_path / "tflite_runtime-2.14.0.dist-info" / "METADATA").write_text("Name: tflite-runtime\nVersion: 2.14.0\n")
    lines = [
        "import os",
        "from ai_edge_litert.interpreter import *",
        "from ai_edge_litert import interpreter as litert",
        "class Interpreter(litert.Interpreter):",
        "    def __init__(self, model_path, **more):",
        "        super().__init__(model_path, **more)",
        "        self.size = os.path.getsize(model_path)",
        "    def get_tensor(self, index):",
        f"        return super().get_tensor(index) + ({not honest} and self.size)",
    ]
    (tmp_path / "tflite_runtime" / "__init__.py").touch()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    proven, difference = prove(file("none"), slim(file("none")), images, runtimes=export_choices.RUNTIMES)
    assert ("tflite-runtime" in proven) == honest
    assert difference == ("" if honest else "in tflite-runtime output 'scores' differs")
