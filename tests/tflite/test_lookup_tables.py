"""tfcompress.tflite.lookup_tables: kernels with few values, for TensorFlow Lite Micro."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge_runner.graph import read_graph
from tfcompress.cli.main import run_command
from tfcompress.errors import ContractError, MissingDependencyError, UnsupportedError
from tfcompress.targets.target_table import TARGETS
from tfcompress.tflite import lookup_tables
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import LOOKUP, InterpreterProcess
from tfcompress.tflite.kernel_coding import planned_kernels
from tfcompress.tflite.lookup_tables import LookupFile, check_lookup_limits, planned_tables, with_lookup_tables
from tfcompress.tflite.micro.arena import ArenaUse
from tfcompress.tflite.micro.examination import examine

FILE = Path(__file__).parents[1] / "data" / "tflite" / "int8.tflite"
VALUES = 8
needs_micro = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro (extra mcu) is not installed")


@pytest.fixture(scope="module")
def clustered() -> bytes:
    """A file whose kernels hold eight values, the same ones in every channel."""
    content = bytearray(FILE.read_bytes())
    generator = np.random.default_rng(0)
    for each in planned_kernels(read_graph(bytes(content)), bytes(content)):
        values = generator.choice(np.arange(-120, 120, 240 // VALUES, dtype=np.int8), each.plan.elements)
        content[each.start : each.start + each.plan.size_bytes] = values.tobytes()
    return bytes(content)


@pytest.fixture(scope="module")
def made(clustered: bytes) -> LookupFile:
    return with_lookup_tables(clustered)


def test_a_table_is_planned_where_it_is_smaller(clustered: bytes) -> None:
    (table,) = planned_tables(read_model_file(clustered))  # of three kernels, two are too small
    assert (table.op, table.bits) == ("FULLY_CONNECTED", 3)
    rows, columns = 10, 6 * 6 * 8
    assert table.kernel_bytes == rows * columns
    assert table.table_bytes == rows * columns * 3 // 8 + rows * VALUES + 16


def test_a_kernel_with_scales_by_channel_gets_tables_by_channel(clustered: bytes) -> None:
    model = read_model_file(clustered)
    (table,) = planned_tables(model)
    assert len(model.subgraphs[0].tensors[table.tensor].scales) == 10
    assert table.axis == 0  # one table for all of it would be smaller by 72 bytes, and wrong


def test_a_kernel_with_one_scale_gets_one_table(clustered: bytes) -> None:
    model = read_model_file(clustered)
    graph, (table,) = model.subgraphs[0], planned_tables(model)
    tensors = list(graph.tensors)
    tensors[table.tensor] = dataclasses.replace(tensors[table.tensor], scales=(0.5,))
    whole = dataclasses.replace(model, subgraphs=(dataclasses.replace(graph, tensors=tuple(tensors)),))
    (one,) = planned_tables(whole)
    assert one.axis is None
    assert table.table_bytes - one.table_bytes == 9 * VALUES


def test_a_kernel_that_the_body_of_a_loop_takes_too_gets_no_table(clustered: bytes) -> None:
    model = read_model_file(clustered)
    assert planned_tables(dataclasses.replace(model, subgraphs=model.subgraphs * 2)) == ()


def test_a_file_without_few_values_is_refused_before_anything_is_started() -> None:
    with pytest.raises(UnsupportedError, match=r"no kernel of the file is smaller as a look-up table.*--cluster 8"):
        with_lookup_tables(FILE.read_bytes())


@pytest.mark.skipif(find_spec("tflite_micro") is not None, reason="tflite-micro is installed")
def test_what_writes_tables_may_be_missing(clustered: bytes) -> None:
    with pytest.raises(MissingDependencyError, match=r"look-up tables are written by tflite-micro.*tfcompress\[mcu\]"):
        with_lookup_tables(clustered)


def test_limits_hold_for_what_is_on_the_chip() -> None:
    made = LookupFile(bytes(1000), 2000, (), 16, "0", ArenaUse(total_bytes=2900, head_bytes=900, tail_bytes=2000), 3000)
    check_lookup_limits(made, 1000, 3000)
    check_lookup_limits(made, None, None)
    with pytest.raises(ContractError, match="look-up tables must be at most 999 bytes, it takes 1,000;"):
        check_lookup_limits(made, 999, None)
    with pytest.raises(ContractError, match="unpacked, must be at most 2,000 bytes, it takes 3,000;"):
        check_lookup_limits(made, None, 2000)


@needs_micro
def test_the_file_is_smaller_and_was_run(clustered: bytes, made: LookupFile) -> None:
    assert made.before_bytes == len(clustered)
    assert len(made.content) < len(clustered) - 1500  # of 2,880 bytes of kernel, 1,176 are left
    assert made.samples >= 16
    assert read_model_file(made.content).op_counts[LOOKUP] == 1


@needs_micro
def test_what_computes_something_else_is_not_given(clustered: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (table,) = planned_tables(read_model_file(clustered))
    monkeypatch.setattr(lookup_tables, "planned_tables", lambda _: (dataclasses.replace(table, axis=None),))
    with pytest.raises(ContractError, match=r"must compute the same.*not written"):
        with_lookup_tables(clustered)


@needs_micro
def test_the_file_is_refused_elsewhere_in_one_line(
    made: LookupFile, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnsupportedError, match=r"TFLM_DECODE.*alone runs.*without -tflm"):
        InterpreterProcess(made.content)
    with pytest.raises(UnsupportedError, match="holds look-up tables already"):
        with_lookup_tables(made.content)
    path = tmp_path / "net-tflm.tflite"
    path.write_bytes(made.content)
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 8, 8, 3), np.float32), y=np.zeros(2, np.int64))
    assert run_command(["evaluate", str(path), "--data", str(tmp_path / "d.npz")]) == UnsupportedError.exit_code
    assert capfd.readouterr().err.count("\n") == 1


@needs_micro
def test_a_firmware_registers_what_unpacks_the_tables(
    clustered: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(clustered)
    assert run_command(["firmware", str(path), "--lookup"]) == 0
    assert "Decode" in capfd.readouterr().out
    folder = tmp_path / "net-firmware"
    assert "resolver.AddDecode()" in (folder / "model_ops.h").read_text()
    assert (folder / "net-tflm.tflite").stat().st_size < len(clustered)
    assert "tflite-micro" in (folder / "model_golden.h").read_text()


@needs_micro
def test_the_file_is_examined_in_the_interpreter_that_runs_it(made: LookupFile) -> None:
    found = examine(made.content, TARGETS["tflm"])
    assert found.micro is not None
    assert found.micro.kernel_note == f"it holds look-up tables ({LOOKUP}), which TensorFlow Lite Micro alone runs"
    assert found.micro.least_arena_bytes == made.arena_bytes
    with pytest.raises(ContractError, match="Vela does not know look-up tables"):
        examine(made.content, TARGETS["ethos-u55-128"])
