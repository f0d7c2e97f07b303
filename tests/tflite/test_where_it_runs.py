"""tfcompress.tflite.runtimes and the table that tools/probe_runtimes.py measured."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest

from edge_runner import opnames
from edge_runner.cursor import Source
from tfcompress.errors import ContractError, UsageError
from tfcompress.tflite import runtimes
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.runtimes import Requirement, RuntimeVerdict, check_runtimes, parse_requirement, where_it_runs
from tfcompress.tflite.trouble import known_trouble

QUIET = {"litert": lambda _: "", "tensorflow": lambda _: "", "tflite-runtime": lambda _: ""}


def verdicts(*rows: tuple[str, str, str]) -> list[RuntimeVerdict]:
    made = []
    for runtime, version, reason in rows:
        made.append(
            RuntimeVerdict(runtime, version, "should refuse" if reason else "should run", "op versions", reason)
        )
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("litert>=2.1", Requirement("litert", (2, 1))),
        (" tflite_runtime >= 2.14.0 ", Requirement("tflite-runtime", (2, 14, 0))),
        ("tensorflow", Requirement("tensorflow", ())),
    ],
)
def test_requirements_are_read(text: str, expected: Requirement) -> None:
    assert parse_requirement(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tensorflw>=2.20", "must be one of 'litert>=VERSION', .* got 'tensorflw>=2.20' .did you mean 'tensorflow'"),
        ("litert==2.1", "runtime must be one of .* got 'litert==2.1'"),
        ("litert>=two", "runtime must be one of .* got 'litert>=two'"),
        ("tflite-runtime>=1.9", "must ask for at least 2.11.0, the oldest tflite-runtime that was measured"),
    ],
)
def test_requirements_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_requirement(text)


def test_every_known_version_from_the_one_asked_for_must_run_the_file() -> None:
    found = verdicts(("tflite-runtime", "2.11.0", "too old"), ("tflite-runtime", "2.13.0", ""), ("litert", "2.3.0", ""))
    check_runtimes(found, ["tflite-runtime>=2.13", "litert>=2.1", "tflite-runtime"])
    with pytest.raises(ContractError, match=r"must run on tflite-runtime>=2\.11, but tflite-runtime 2.11.0, by its op"):
        check_runtimes(found, ["tflite-runtime>=2.11"])
    # 2.12 was not measured: the next older one stands for it
    with pytest.raises(ContractError, match="refuses it: too old; quantize otherwise"):
        check_runtimes(found, ["litert", "tflite-runtime>=2.12"])


def test_todays_dynamic_files_are_too_new_for_tflite_runtime_and_int8_files_are_not(file) -> None:
    dynamic = {(v.runtime, v.version): v for v in where_it_runs(file("dynamic"), trials=QUIET)}
    old = dynamic["tflite-runtime", "2.14.0"]
    assert old.verdict == "should refuse"
    assert old.reason == "it has no FULLY_CONNECTED version 12"
    assert all(v.good for v in where_it_runs(file("int8"), trials=QUIET))


def test_what_is_installed_is_tried_and_its_word_counts(file) -> None:
    trials = {**QUIET, "tensorflow": lambda _: "it died by SIGABRT"}
    found = [v for v in where_it_runs(file("int8"), trials=trials) if v.how == "tried"]
    by_name = {v.runtime: v for v in found}
    assert by_name["litert"].verdict == "runs"
    assert (by_name["tensorflow"].verdict, by_name["tensorflow"].reason) == ("refuses", "it died by SIGABRT")


def test_litert_is_tried_in_a_process_of_its_own(file) -> None:
    trials = {name: trial for name, trial in QUIET.items() if name != "litert"}
    (tried,) = [v for v in where_it_runs(file("tokens"), trials=trials) if v.runtime == "litert" and v.how == "tried"]
    assert tried.verdict == "runs"


def with_dtype(content: bytes, old: str, new: str, op: str | None = None) -> FlatModel:
    """Change the dtype of a file's tensors, and the name of its first op."""
    model = read_model_file(content)
    graph = model.subgraphs[0]
    tensors = tuple(dataclasses.replace(t, dtype=new) if t.dtype == old else t for t in graph.tensors)
    ops = (dataclasses.replace(graph.ops[0], name=op), *graph.ops[1:]) if op else graph.ops
    return dataclasses.replace(model, subgraphs=(dataclasses.replace(graph, tensors=tensors, ops=ops),))


@pytest.mark.parametrize(
    ("name", "changes", "runtime", "version", "reason"),
    [
        ("sparse", ("float32", "int8"), "litert", (2, 3, 0), "sparse int8"),
        ("sparse", ("float32", "float32"), "litert", (2, 3, 0), ""),
        ("int8", ("", "", "BATCH_MATMUL"), "litert", (2, 1, 2), "int8 BATCH_MATMUL wrongly"),
        ("int8", ("", "", "BATCH_MATMUL"), "litert", (2, 1, 3), ""),
        ("int16x8", ("", "", "TILE"), "litert", (2, 1, 0), "no int16 TILE"),
        ("int16x8", ("", "", "TILE"), "tensorflow", (2, 21, 0), "no int16 TILE"),
        ("int16x8", ("", "", "GELU"), "tflite-runtime", (2, 14, 0), "no int16 GELU"),
        ("int8", ("int8", "int4"), "tflite-runtime", (2, 14, 0), "int4 kernels wrongly"),
        ("int8", ("", ""), "tflite-runtime", (2, 9, 1), "per channel wrongly"),
        ("int8", ("", ""), "tflite-runtime", (2, 14, 0), ""),
    ],
)
def test_known_trouble_is_told_although_the_op_versions_are_accepted(
    file, name, changes, runtime, version, reason
) -> None:
    found = known_trouble(with_dtype(file(name), *changes), runtime, version)
    assert reason in found
    assert bool(reason) == bool(found)


def test_the_table_knows_the_ops_that_every_network_has() -> None:
    for rows in runtimes.measured_table().values():
        for accepted in rows.values():
            assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX", "QUANTIZE"} <= accepted.keys()
            assert set(accepted) <= set(opnames.BUILTIN)


@pytest.fixture
def probe():
    path = Path(__file__).resolve().parents[2] / "tools" / "probe_runtimes.py"
    spec = importlib.util.spec_from_file_location("probe_runtimes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_probes_file_names_one_op_and_holds_none(probe) -> None:
    for code in (3, 150, 206):
        root = Source(memoryview(probe.minimal(code, 7))).root()
        (operator,) = root.tables(1)
        assert max(operator.number(0, "b"), operator.number(3, "i")) == code
        assert operator.number(2, "i") == 7
        assert [root.count(field) for field in (2, 4)] == [1, 1]


def test_the_probe_finds_what_the_table_says_of_the_installed_litert(probe) -> None:
    names = {
        number: name for number, name in enumerate(opnames.BUILTIN) if name in ("CONV_2D", "FULLY_CONNECTED", "TILE")
    }
    version, accepted = probe.probe("litert", sys.executable, names)
    table = runtimes.measured_table()["litert"]
    if version not in table:
        pytest.skip(f"litert {version} was not measured yet")
    assert accepted == {name: table[version][name] for name in names.values()}
