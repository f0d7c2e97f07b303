import copy
import dataclasses
import json
import statistics
from pathlib import Path

import pytest

from tfcompress.errors import UsageError
from tfcompress.reports import edge
from tfcompress.reports import findings as digest
from tfcompress.reports import report as r
from tfcompress.reports.measurements import Compared, faster

GOLDEN = sorted((Path(__file__).parents[1] / "data").glob("edge_format_*.json"))


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def document(request):
    return edge.read_measurement(request.param)


@pytest.fixture
def report(document):
    """A report of the golden file's int8 model, its float model as the baseline."""
    before, after = document["models"]
    return r.Report(
        tool_version="0.1.0",
        created_utc="2026-01-02T03:04:05Z",
        recipe_name="int8",
        recipe={},
        seeds={},
        versions={},
        machine=r.Machine(system="Linux", architecture="x86_64"),
        source=r.SourceModel(name="blobs.keras", writer="keras3"),
        baseline=r.Baseline(size_bytes=before["size_bytes"], gzip_bytes=before["gzip_bytes"], sha256=before["sha256"]),
        result=r.ResultFile(
            name="blobs_int8.tflite",
            sha256=after["sha256"],
            size_bytes=after["size_bytes"],
            gzip_bytes=after["gzip_bytes"],
            quantize="int8",
        ),
    )


def test_a_measurement_joins_by_the_files_hash(report, document):
    (run,) = edge.join_measurement(report, document).edge
    before, after = document["models"]
    assert run.result.sha256 == after["sha256"]
    assert run.result.samples_ns == tuple(after["timing"]["samples_ns"])
    assert run.result.median_ms == after["timing"]["summary"]["median_ms"]
    opening = [process["load_ns"] + process["allocate_ns"] for process in after["timing"]["processes"]]
    assert run.result.load_ms == pytest.approx(statistics.median(opening) / 1e6)
    counted, main = after["accuracy"]["outputs"]["scores"], run.result.score.main_figure
    assert run.result.score.task == counted["task"] == "classification"
    assert (main.value, main.low, main.high) == tuple(counted[name] for name in ("top1", "top1_low", "top1_high"))
    assert run.result.energy_joules is None
    assert run.baseline.sha256 == before["sha256"]
    assert (run.runtime, run.runtime_version, run.threads) == ("litert", document["runtime"]["version"], 1)


def test_the_speedup_is_edge_runners_own_where_it_compared_them(report, document):
    document["comparisons"] = [
        {"first": 1, "second": 0, "ratio": 0.5, "low": 0.4, "high": 0.8, "confidence": 0.99, "verdict": "slower"}
    ]
    (run,) = edge.join_measurement(report, document).edge
    assert run.compared == Compared(ratio=1 / 0.5, low=1 / 0.8, high=1 / 0.4, confidence=0.99, verdict="faster")
    assert run.speedup == 1 / 0.5
    document["comparisons"][0].update(first=0, second=1)
    assert edge.join_measurement(report, document).edge[0].compared.verdict == "slower"


def test_a_file_measured_several_ways_joins_as_first_measured(report, document):
    document["models"].append(copy.deepcopy(document["models"][1]))
    document["models"][2]["settings"] = {"threads": 4, "kernels": "default"}
    assert edge.join_measurement(report, document).edge[0].threads == 1


def test_an_assumed_energy_is_none(report, document):
    document["models"][1]["energy"].update(joules_per_inference=0.5, kind="assumed")
    assert edge.join_measurement(report, document).edge[0].result.energy_joules is None
    document["models"][1]["energy"]["kind"] = "measured"
    assert edge.join_measurement(report, document).edge[0].result.energy_joules == 0.5


def test_a_document_of_format_1_with_a_hole_is_refused():
    document = json.loads(GOLDEN[0].read_text())
    del document["models"][0]["timing"]["first_ns"]
    with pytest.raises(UsageError, match=r"e.json is not a complete measurement by edge_runner: KeyError 'first_ns'"):
        edge.check_measurement(document, "e.json")


def timed(*turns):
    """A measurement of these turns, in nanoseconds."""
    samples = tuple(value for turn in turns for value in turn)
    median_ms = sorted(samples)[len(samples) // 2] / 1e6
    return r.Measurement(sha256="", samples_ns=samples, summary={"median_ms": median_ms}, blocks=tuple(map(len, turns)))


def test_the_speedup_is_the_median_of_the_turns_ratios():
    before, after = timed([20, 20, 26], [40, 40, 40], [30, 30, 30]), timed([10, 10], [20, 99, 20], [10, 10, 10])
    assert faster(before, after) == sorted([20 / 10, 40 / 20, 30 / 10])[1]


def test_a_slow_spell_that_one_files_median_fell_into_makes_no_speedup():
    turns = [[10] * 5, [10] * 5, [14] * 5, [14] * 5]
    before, after = timed(*turns[:3], turns[3] * 9), timed(turns[0] * 9, *turns[1:])
    assert before.median_ms / after.median_ms == 14 / 10
    assert faster(before, after) == 1


def test_files_timed_apart_are_compared_by_their_medians():
    assert faster(timed([30, 30, 30]), timed([10, 10, 10])) == pytest.approx(3)
    assert faster(timed([30] * 3), timed([10] * 3, [10] * 3)) == pytest.approx(3)
    assert faster(None, timed([1])) is None


def test_the_speedup_goes_into_the_comparison(report, document):
    joined = edge.join_measurement(report, document)
    assert joined.comparison.speedup == joined.edge[0].speedup > 0


def test_without_the_float_file_in_the_run_there_is_no_speedup(report, document):
    document["models"] = document["models"][1:]
    joined = edge.join_measurement(report, document)
    assert joined.edge[0].baseline is None
    assert joined.comparison.speedup is None


def test_a_float_file_that_failed_there_is_left_out(report, document):
    document["models"][0]["status"] = "failed"
    assert edge.join_measurement(report, document).edge[0].baseline is None


def test_measurements_add_up_and_the_last_speedup_stands(report, document):
    twice = edge.join_measurement(edge.join_measurement(report, document), document)
    assert len(twice.edge) == 2
    document["models"] = document["models"][1:]
    assert edge.join_measurement(twice, document).comparison.speedup == twice.comparison.speedup


def test_the_joined_report_is_written_and_read_back(report, document):
    joined = edge.join_measurement(report, document)
    assert r.from_json(joined.to_json()) == joined


def test_a_measurement_of_other_bytes_never_joins(report, document):
    other = dataclasses.replace(report, result=dataclasses.replace(report.result, sha256="0" * 64))
    with pytest.raises(
        UsageError, match=r"e.json must hold blobs_int8.tflite with sha256 000000000000…, got blobs_float.tflite"
    ):
        edge.join_measurement(other, document, "e.json")


def test_a_failed_measurement_does_not_join(report, document):
    document["models"][1].update(status="failed", reason="its process was killed by SIGSEGV")
    with pytest.raises(UsageError, match="failed on that device: its process was killed by SIGSEGV"):
        edge.join_measurement(report, document)


@pytest.mark.parametrize("missing", ["timing", "memory", "sha256"])
def test_a_document_with_a_hole_is_refused(report, document, missing):
    broken = copy.deepcopy(document)
    del broken["models"][1][missing]
    with pytest.raises(UsageError, match="the measurement is not a complete measurement by edge_runner: KeyError"):
        edge.join_measurement(report, broken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tool": "tfcompress"}, "is not a measurement by edge_runner; give the file that `edge_runner -o` wrote"),
        ({"format": 5}, "format must be at most 4, got 5; a newer edge_runner wrote it: upgrade tfcompress"),
        ({"format": 0}, "format must be a whole number between 1 and 4, got 0"),
        ({"format": "1"}, "format must be a whole number between 1 and 4, got '1'"),
        ({"models": None}, "models must be a list, got None"),
    ],
)
def test_what_is_no_measurement_is_refused(tmp_path, document, changes, message):
    path = tmp_path / "e.json"
    path.write_text(json.dumps({**document, **changes}))
    with pytest.raises(UsageError, match=message):
        edge.read_measurement(path)


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"e.json' cannot be read: No such file or directory"):
        edge.read_measurement(tmp_path / "e.json")
    (tmp_path / "e.json").write_text("{")
    with pytest.raises(UsageError, match=r"e.json' cannot be read: not JSON: Expecting"):
        edge.read_measurement(tmp_path / "e.json")


def test_every_format_number_has_a_golden_file():
    assert [path.name for path in GOLDEN] == [f"edge_format_{number}.json" for number in range(1, edge.FORMAT + 1)]


def test_a_row_says_the_verdict_with_its_interval(report, document):
    pair = {"first": 0, "second": 1, "ratio": 2.0, "low": 1.25, "high": 2.5, "confidence": 0.99, "verdict": "faster"}
    document["comparisons"] = [pair]
    said = [
        row.change
        for row in digest.quantities(edge.join_measurement(report, document))
        if row.name.startswith("latency on")
    ]
    assert said == ["2x faster (1.25..2.5)"]
    pair.update(ratio=1.01, low=0.9, high=1.1, verdict="indistinguishable")
    said = [
        row.change
        for row in digest.quantities(edge.join_measurement(report, document))
        if row.name.startswith("latency on")
    ]
    assert said == ["indistinguishable (0.9..1.1)"]
