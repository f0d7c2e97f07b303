import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import OutputError, UsageError
from tfcompress.reports import report as r
from tfcompress.tasks.score import Difference, Figure, Score

NAMES = st.text(max_size=8)
RATIOS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.none() | st.integers(0, 2**53)
JSON = st.dictionaries(
    NAMES, st.none() | st.booleans() | st.integers(-9, 9) | NAMES | st.lists(NAMES, max_size=2), max_size=3
)
SCORES = st.builds(
    lambda value, low, classes: Score(
        task="t",
        samples=9,
        main="top1",
        figures={"top1": Figure(value, low), "x": Figure(low, unit="label", better="lower")},
        per_class=classes,
        chance=low,
    ),
    RATIOS,
    RATIOS,
    st.dictionaries(NAMES, st.floats(0, 1), max_size=2),
)
FILES = st.text(st.characters(exclude_characters="/", exclude_categories=("C", "Zl", "Zp", "Zs")), min_size=1).filter(
    lambda name: name not in (".", "..")
)
RESULTS = st.builds(
    r.ResultFile,
    name=FILES,
    score=st.none() | SCORES,
    parameters=COUNTS,
    verification=JSON,
    operators=st.dictionaries(NAMES, st.integers(0, 9)),
)
SOURCES = st.builds(r.SourceModel, parameters=COUNTS, layers=st.lists(st.builds(r.Layer), max_size=2).map(tuple))
MEASUREMENTS = st.builds(
    r.Measurement,
    samples_ns=st.lists(st.integers(1, 10**9), max_size=5).map(tuple),
    summary=st.dictionaries(NAMES, RATIOS, max_size=2),
)
EDGES = st.builds(r.EdgeRun, environment=JSON, result=MEASUREMENTS, baseline=st.none() | MEASUREMENTS)
TRAININGS = st.builds(
    r.TrainingRecord,
    history=st.dictionaries(NAMES, st.lists(RATIOS, max_size=3).map(tuple), max_size=2),
    wall_seconds=RATIOS,
)
DIFFERENCES = st.builds(lambda v, low: Difference(figure="top1", value=v, low=low, p=low), st.floats(-1, 1), RATIOS)
REPORTS = st.builds(
    r.Report,
    recipe=JSON,
    data=st.none() | JSON,
    source=SOURCES,
    result=RESULTS,
    training=st.none() | TRAININGS,
    baseline=st.none() | st.builds(r.Baseline, score=st.none() | SCORES),
    comparison=st.builds(
        r.Comparison, size_ratio=RATIOS, main=st.none() | st.builds(Difference, value=st.floats(-1, 1))
    ),
    edge=st.lists(EDGES, max_size=2).map(tuple),
    wall_seconds=st.dictionaries(NAMES, RATIOS, max_size=2),
    seeds=st.dictionaries(NAMES, st.integers(0, 2**32 - 1), max_size=2),
    warnings=st.lists(NAMES, max_size=2).map(tuple),
)


def score(top1):
    return Score(task="classification", samples=10, main="top1", figures={"top1": Figure(top1)})


def a_report(**changes):
    values = {
        "tool_version": "0.1.0",
        "created_utc": "2026-01-02T03:04:05Z",
        "recipe_name": "int8",
        "recipe": {"format": 1},
        "seeds": {"train": 0},
        "versions": {"python": "3.11.7", "tensorflow": None},
        "machine": r.Machine(system="Linux 6", architecture="x86_64"),
        "source": r.SourceModel(name="net.h5", writer="keras2", parameters=1000, nonzero=1000),
        "baseline": r.Baseline(size_bytes=4000, gzip_bytes=3000, score=score(0.9)),
        "result": r.ResultFile(
            name="net.tflite",
            sha256="ab",
            size_bytes=1000,
            gzip_bytes=750,
            quantize="int8",
            nonzero=500,
            score=score(0.8),
        ),
    }
    return r.Report(**{**values, **changes})


@given(REPORTS)
def test_what_is_written_is_read_back_equal(report):
    assert r.from_json(report.to_json()) == report


def test_the_format_number_comes_first():
    assert next(iter(json.loads(a_report().to_json()).items())) == ("format", r.FORMAT)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_written_as_null(value):
    report = a_report(comparison=r.Comparison(size_ratio=value), recipe={"x": [value]}, wall_seconds={"load": value})
    plain = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert plain["comparison"]["size_ratio"] is None
    assert plain["recipe"]["x"] == [None]
    assert plain["wall_seconds"] == {"load": None}


def test_numpy_numbers_are_written_as_plain_ones():
    np = pytest.importorskip("numpy")
    report = a_report(recipe={"a": np.float32(0.5), "b": np.arange(3), "c": np.bool_(1)})
    assert json.loads(report.to_json())["recipe"] == {"a": 0.5, "b": [0, 1, 2], "c": True}


def test_what_json_has_no_word_for_is_a_bug():
    with pytest.raises(TypeError, match="a report cannot hold set"):
        a_report(recipe={"a": {1}}).to_json()


def test_a_ratio_above_one_is_a_gain():
    report = a_report()
    compared = r.comparison_of(report.source, report.baseline, report.result)
    assert compared.size_ratio == 4000 / 1000
    assert compared.gzip_ratio == 3000 / 750
    assert compared.parameter_ratio == 1000 / 500
    assert compared.speedup is None


def test_scores_that_were_not_tested_differ_without_a_verdict():
    report = a_report()
    found = r.comparison_of(report.source, report.baseline, report.result).main
    assert found == Difference(figure="top1", value=pytest.approx(0.8 - 0.9))
    given = Difference(figure="top1", value=0.25, p=0.5, test="McNemar", verdict="cannot tell")
    assert r.comparison_of(report.source, report.baseline, report.result, main=given).main is given


def test_what_was_not_measured_compares_to_nothing():
    report = a_report()
    assert r.comparison_of(r.SourceModel(name="m", writer="keras3"), None, report.result) == r.Comparison()


def edited(**changes):
    return json.dumps({**a_report().to_dict(), **changes})


def edited_score(**changes):
    plain = a_report().to_dict()
    plain["baseline"]["score"] |= changes
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "report is not JSON: "),
        ("[]", "report is not a report of tfcompress"),
        ('{"tool": "edge_runner", "format": 1}', "report is not a report of tfcompress"),
        (
            edited(format=r.FORMAT + 1),
            f"format must be at most {r.FORMAT}, got {r.FORMAT + 1}; a newer tfcompress wrote it: upgrade tfcompress",
        ),
        (edited(format=0), f"format must be a whole number between 1 and {r.FORMAT}, got 0"),
        (edited(format=True), f"format must be a whole number between 1 and {r.FORMAT}, got True"),
        (edited(sedes={}), r"report has no key 'sedes' \(did you mean 'seeds'\?\)"),
        (edited(machine=None), "report.machine must be an object, got None"),
        (edited(machine={}), "report.machine lacks the key 'system'"),
        (edited(warnings="no"), "report.warnings must be a list, got 'no'"),
        (edited(warnings=[1]), r"report.warnings\[0\] must be text, got 1"),
        (edited(seeds={"a": 0.5}), "report.seeds.a must be a whole number, got 0.5"),
        (edited(seeds=[]), "report.seeds must be an object"),
        (edited_score(main="mae"), "report.baseline.score: main must be one of top1, got 'mae'"),
        (
            edited_score(figures={"top1": {"value": 0.5, "better": "more"}}),
            "report.baseline.score.figures.top1.better must be one of higher, lower, got 'more'",
        ),
        (edited(wall_seconds={"a": "1"}), "report.wall_seconds.a must be a number, got '1'"),
    ],
)
def test_what_is_not_a_report_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        r.from_json(text)


def test_a_promise_holds_text_or_a_number_and_nothing_else():
    kept = r.PromiseRecord(layer="dense", what="sparsity", asked=0.5, got=1)
    report = a_report(
        result=r.ResultFile(name="a", sha256="", size_bytes=1, gzip_bytes=1, quantize="", promises=(kept,))
    )
    assert r.from_json(report.to_json()).result.promises == (kept,)
    plain = report.to_dict()
    plain["result"]["promises"][0]["got"] = []
    with pytest.raises(UsageError, match=r"promises\[0\].got must be str or int or float, got \[\]"):
        r.from_json(json.dumps(plain))


def test_a_report_is_loaded_from_its_file_or_its_folder(tmp_path):
    report = a_report()
    report.save(tmp_path / "report.json")
    assert r.read_report(tmp_path) == r.read_report(tmp_path / "report.json") == report


def test_a_report_that_cannot_be_read_or_written_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"report '.*report.json' cannot be read: No such file or directory"):
        r.read_report(tmp_path)
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read: not UTF-8 text"):
        r.read_report(tmp_path / "bad.json")
    with pytest.raises(OutputError, match="cannot write"):
        a_report().save(tmp_path / "none" / "report.json")


def test_reading_a_report_imports_nothing_heavy():
    code = "import sys, tfcompress.reports.report, tfcompress.reports.facts; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "tensorflow", "pandas", "rich"}.isdisjoint(done.stdout.split())
