import json
import struct
from pathlib import Path

import pytest

from edge_runner import per_op, probing
from edge_runner.arguments import Options
from edge_runner.interpreter import Model
from edge_runner.subject import Subject

DATA = Path(__file__).parents[1] / "data"
INT8 = DATA / "blobs_int8.tflite"
HOW = {"runtime": "litert", "threads": 1, "kernels": "default"}


def silent(text):
    pass


@pytest.fixture(scope="module")
def entry():
    subject = Subject(INT8, 0)
    subject.taken = [True, True, True, False]
    return per_op.per_op(subject, Options((INT8,)), "litert", silent)


def test_every_node_has_its_time_and_share_or_a_reason(entry):
    assert [node["op"] for node in entry["nodes"]] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert [node["delegated"] for node in entry["nodes"]] == [True, True, True, False]
    timed = [node for node in entry["nodes"] if node["median_ms"] is not None]
    assert all(node["median_ms"] > 0 and node["reason"] is None for node in timed)
    assert all("empty call" in node["reason"] for node in entry["nodes"] if node not in timed)
    assert sum(node["share"] for node in timed) == pytest.approx(1 if timed else 0)
    assert (entry["sum_ms"] or 0) == pytest.approx(sum(node["median_ms"] for node in timed))
    assert entry["whole_ms"] > 0
    assert entry["invoke_ms"] > 0
    assert "cut out of the file and run alone" in entry["method"]


def answering(monkeypatch, answers):
    """Let the child's answers be *answers*, nanoseconds (low, median, high) by index."""

    class Answering:
        def __init__(self, timeout):
            self.timeout = timeout

        def ask(self, request):
            return dict(zip(("low_ns", "median_ns", "high_ns"), answers[request["index"]], strict=True))

        def close(self):
            pass

    monkeypatch.setattr(per_op, "Child", Answering)
    return per_op.per_op(Subject(INT8, 0), Options((INT8,)), "litert", silent)


def test_shares_are_of_the_nodes_that_stand_out_from_an_empty_call(monkeypatch):
    nodes = {0: (2900, 3000, 3100), 1: (-5, 2, 9), 2: (900, 1000, 1100), 3: (-70, -60, -50)}
    entry = answering(monkeypatch, {-2: (640, 650, 660), -1: (4400, 4500, 4600), **nodes})
    assert [node["median_ms"] for node in entry["nodes"]] == [0.003, None, 0.001, None]
    assert [node["share"] for node in entry["nodes"]] == [3000 / 4000, None, 1000 / 4000, None]
    assert [node["reason"] for node in entry["nodes"]] == [
        None,
        "not distinguishable from an empty call: at most 0.009 µs above it",
        None,
        "not distinguishable from an empty call: at most 0 µs above it",
    ]
    assert (entry["invoke_ms"], entry["sum_ms"], entry["whole_ms"]) == (0.00065, 0.004, 0.0045)


def test_a_model_that_is_too_small_has_no_sum_and_no_shares(monkeypatch):
    entry = answering(monkeypatch, dict.fromkeys(range(-2, 4), (-1, 650, 660)))
    assert entry["sum_ms"] is None
    assert {node["share"] for node in entry["nodes"]} == {None}
    assert {row["sum_ms"] for row in entry["by_type"]} == {None}


def test_the_types_add_up_slowest_first(entry):
    assert {row["op"]: row["nodes"] for row in entry["by_type"]} == dict.fromkeys(
        ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"], 1
    )
    sums = [row["sum_ms"] or 0.0 for row in entry["by_type"]]
    assert sums == sorted(sums, reverse=True)


def test_nodes_that_could_not_be_timed_leave_the_others():
    nodes = [
        {"op": "ADD", "median_ms": 0.3, "share": 0.75},
        {"op": "MUL", "median_ms": None, "share": None},
        {"op": "ADD", "median_ms": 0.1, "share": 0.25},
    ]
    assert per_op.by_type(nodes) == [
        {"op": "ADD", "nodes": 2, "sum_ms": pytest.approx(0.4), "share": 1.0},
        {"op": "MUL", "nodes": 1, "sum_ms": None, "share": None},
    ]


def test_a_node_that_the_runtime_refuses_is_a_reason_and_the_next_goes_on(tmp_path):
    content = bytearray(INT8.read_bytes())
    described = probing.graph.read_graph(bytes(content))
    softmax = described.subgraphs[0].operators[-1]
    table = probing.cutting.Source(memoryview(bytes(content))).root().tables(2)[0]
    output = table.tables(0)[softmax.outputs[0]]
    (back,) = struct.unpack_from("<i", content, output.position)
    (inside,) = struct.unpack_from("<H", content, output.position - back + 4 + 2 * 1)
    content[output.position + inside] = 1  # float16: no softmax makes that of int8
    path = tmp_path / "odd.tflite"
    path.write_bytes(content)
    entry = per_op.per_op(Subject(path, 0), Options((path,)), "litert", silent)
    assert "RuntimeError" in entry["nodes"][3]["reason"]
    assert all("RuntimeError" not in (node["reason"] or "") for node in entry["nodes"][:3])
    assert entry["whole_ms"] is None


def test_the_same_kernels_make_no_difference():
    (found,) = probing.kernel_differences(str(INT8), HOW, "default", {})
    assert (found["values"], found["different"], found["largest"], found["largest_steps"]) == (3 * 4, 0, 0, 0)


def test_differences_are_counted_in_steps():
    tensor = Model(str(INT8), "litert").outputs[0]
    one = probing.np.array([[1, 2, 3, 4]], "int8")
    other = one + probing.np.array([0, 0, 2, 0], "int8")
    found = probing.kernel_difference(tensor, [one, one], [one, other], "reference")
    assert (found["values"], found["different"], found["largest_steps"]) == (8, 1, 2)
    assert found["largest"] == pytest.approx(2 * tensor.scale)


def test_both_other_kernels_are_compared_and_told_in_plain_values():
    found = per_op.differences_by_kernels(Subject(INT8, 0), Options((INT8,)), "litert", silent)
    assert [entry["compared_with"] for entry in found] == ["no-delegate", "reference"]
    assert all(entry["largest_steps"] <= 1 for entry in json.loads(json.dumps(found)))


def test_a_comparison_that_fails_says_why(tmp_path):
    found = per_op.differences_by_kernels(Subject(tmp_path / "none.tflite", 0), Options(()), "litert", silent)
    assert [entry["different"] for entry in found] == [None, None]
    assert "none.tflite" in found[0]["reason"]


def test_a_file_that_went_away_is_a_reason(tmp_path):
    path = tmp_path / "none.tflite"
    assert per_op.per_op(Subject(path, 0), Options(()), "litert", silent)["reason"].startswith("cannot read the file")
