import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from tfcompress.reports import edge, html, printing, wording
from tfcompress.reports import findings as digest
from tfcompress.reports import report as r
from tfcompress.tasks.score import Difference, Figure, Score, untested

DOCUMENT = edge.read_measurement(Path(__file__).parents[1] / "data" / "edge_format_1.json")
BEFORE, AFTER = DOCUMENT["models"]

SLIM = {"name": "slim", "before_bytes": 10_000, "after_bytes": 8_750}


def score(top1, chance=None, **more):
    figures = {"top1": Figure(top1, top1 - 0.02, top1 + 0.02)} | {name: Figure(value) for name, value in more.items()}
    return Score(task="classification", samples=1000, main="top1", figures=figures, chance=chance)


def error(value, samples=10):
    figures = {name: Figure(value * times, unit="label", better="lower") for name, times in (("mae", 1), ("rmse", 2))}
    return Score(task="regression", samples=samples, main="mae", figures=figures)


def difference(value, verdict, low=None, high=None, p=0.3, **more):
    values = {"figure": "top1", "test": "McNemar", **more}
    return Difference(value=value, low=low, high=high, p=p, verdict=verdict, **values)


def a_report(**changes):
    source = r.SourceModel(
        name="net <1>.h5",
        writer="keras2",
        parameters=1000,
        nonzero=1000,
        macs=5_000_000,
        layers=(
            r.Layer(name="conv", type="Conv2D", output_shape=(None, 8), parameters=900, nonzero=450, macs=10),
            r.Layer(name="flat", type="Flatten", output_shape=(64,)),
        ),
    )
    baseline = r.Baseline(size_bytes=4000, gzip_bytes=3000, sha256=BEFORE["sha256"], score=score(0.9, top5=0.99))
    result = r.ResultFile(
        name="net <1>-int8.tflite",
        sha256=AFTER["sha256"],
        size_bytes=1000,
        gzip_bytes=750,
        quantize="int8",
        parameters=1000,
        nonzero=500,
        score=score(0.89, top5=0.98),
        operators={"CONV_2D": 2, "SOFTMAX": 1},
        verification={
            "float_ops": [],
            "ops_by_dtype": {"int8": 3},
            "samples": 50,
            "real_samples": True,
            "agreement": [{"name": "scores", "sqnr_db": 30.04, "top1": 0.98}],
        },
        runtimes=(
            r.Runtime(runtime="litert", version="2.3.0", verdict="runs", how="tried"),
            r.Runtime(
                runtime="tflite-runtime", version="2.9", verdict="should refuse", how="op versions", reason="too new"
            ),
        ),
        promises=(
            r.PromiseRecord(layer="a", what="sparsity", asked=0.5, got=0.5),
            r.PromiseRecord(layer="b", what="sparsity", asked=0.5, got=0.625),
        ),
    )
    values = {
        "tool_version": "0.1.0",
        "created_utc": "2026-01-02T03:04:05Z",
        "recipe_name": "int8",
        "recipe": {"format": 1},
        "seeds": {"seed": 0},
        "versions": {"python": "3.11.7", "tensorflow": None},
        "machine": r.Machine(system="Linux 6", architecture="x86_64"),
        "source": source,
        "baseline": baseline,
        "result": result,
        "comparison": r.comparison_of(source, baseline, result, main=difference(-0.01, "same", -0.009, 0.007)),
        "warnings": ("the test split is small",),
    }
    return r.Report(**{**values, **changes})


def measured():
    return edge.join_measurement(a_report(), DOCUMENT)


def printed(show, *arguments, width=110):
    stream = io.StringIO()
    show(*arguments, Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def cells(text, name):
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.split(name, 1)[1].split()


def test_a_report_is_printed_before_and_after():
    text = printed(printing.print_report, a_report())
    assert cells(text, "file ") == ["4,000", "B", "1,000", "B", "4x", "smaller"]
    assert cells(text, "non-zero parameters") == ["1,000", "500", "2x", "fewer"]
    assert cells(text, "accuracy, 1,000 samples") == ["90.00", "%", "89.00", "%", "-1.00", "pt"]
    assert cells(text, "95 % interval") == ["88.0..92.0", "87.0..91.0"]
    assert "latency" not in text


@pytest.mark.parametrize(
    ("sqnr_db", "spread_db", "mark", "ratio"),
    [
        (45.0, 43.0, "✓", "45.0 dB"),
        (
            60.0,
            31.0,
            "✓",
            "31.0 dB about its mean (60.0 dB with it)",
        ),
        (
            60.0,
            6.0,
            "!",
            "6.0 dB about its mean (60.0 dB with it)",
        ),
    ],
)
def test_what_a_constant_adds_to_the_agreement_is_no_tick(sqnr_db, spread_db, mark, ratio):
    report = a_report()
    found = {"name": "scores", "sqnr_db": sqnr_db, "spread_db": spread_db}
    verification = {**report.result.verification, "agreement": [found]}
    result = dataclasses.replace(report.result, verification=verification)
    line = f"{mark} agreement: scores against the Keras model, 50 real samples: {ratio}"
    assert line in printed(printing.print_report, dataclasses.replace(report, result=result), width=160)


def test_its_findings_are_sentences():
    text = printed(printing.print_report, a_report())
    for sentence in (
        "✓ ops: all 3 are int8",
        "✓ agreement: scores against the Keras model, 50 real samples: 30.0 dB, the same top-1 on 98.0 %",
        "✓ accuracy: no significant difference from float, between -0.90 and +0.70 pt (p = 0.3, McNemar)",
        "✓ promise: sparsity kept in 2 layers: requested 0.5, got 0.5 to 0.625",
        "✓ runtime: litert 2.3.0 runs it (tried)",
        "! runtime: tflite-runtime 2.9 should refuse it (op versions): too new",
        "! warning: the test split is small",
    ):
        assert sentence in text


@pytest.mark.parametrize(("equal", "rounded", "near", "mark"), [(1.0, [], True, "✓"), (0.93, ["LSTM"], False, "!")])
def test_agreement_in_integers_says_what_is_not_exact(equal, rounded, near, mark):
    output = {"name": "scores", "top1": 1.0, "near": 1.0}
    exact = {"samples": 1000, "equal": equal, "agreement": [output], "rounded": rounded, "near": near, "kernels": []}
    report = a_report()
    result = dataclasses.replace(report.result, verification={"real_samples": True, "exact": exact})
    text = printed(printing.print_report, dataclasses.replace(report, result=result))
    line = f"{mark} agreement: file against the model in integers, 1,000 real samples: {100 * equal:.2f} % of the"
    line += " values equal, the same top-1 of scores on 100.0 %, 100.00 % at most 2 steps apart"
    assert line in " ".join(text.split())
    assert text.count("; not exact in LSTM") == len(rounded)


def test_a_file_that_the_reference_kernels_refuse_is_said_to_be():
    report = a_report()
    note = "not compared with the reference kernels: litert refuses this file"
    result = dataclasses.replace(report.result, verification={"kernel_note": note})
    assert f"! agreement: {note}" in printed(printing.print_report, dataclasses.replace(report, result=result))


def test_a_measurement_adds_latency_with_its_conditions():
    text = printed(printing.print_report, measured())
    assert f"latency on {DOCUMENT['environment']['cpu']}" in text
    samples = len(AFTER["timing"]["samples_ns"])
    assert f"latency: median of {samples:,} inferences, alternating with the other files" in text
    assert f"litert {DOCUMENT['runtime']['version']}, 1 thread, XNNPACK" in text
    assert cells(text, "energy of an inference") == ["-", "-", "not", "measured"]


def test_reports_are_compared_a_row_each_within_a_narrow_terminal():
    text = printed(printing.print_comparison, [dataclasses.replace(measured(), recipe_name="float32"), measured()])
    assert "…" not in text
    assert cells(text, "int8")[:5] == ["1,000", "B", "750", "B", "4x"]
    assert text.count("latency: median of") == 1
    assert "! int8: the test split is small" in text


def test_without_measurements_there_is_no_latency_column():
    assert "latency" not in printed(printing.print_comparison, [a_report()])


def test_latency_is_compared_with_the_first_report_of_the_same_run_only():
    alone = dataclasses.replace(a_report(), baseline=None)
    first, second = edge.join_measurement(alone, DOCUMENT), edge.join_measurement(alone, DOCUMENT)
    assert printing.latency_speedup(second, first) == 1
    other = dataclasses.replace(first, edge=(dataclasses.replace(first.edge[0], created_utc="earlier"),))
    assert printing.latency_speedup(second, other) is None
    assert printing.latency_speedup(alone, first) is None


def test_the_least_report_prints_and_has_a_page():
    least = a_report(
        baseline=None,
        comparison=r.Comparison(),
        source=r.SourceModel(name="m", writer="savedmodel"),
        result=r.ResultFile(name="m.tflite", sha256="ab", size_bytes=1, gzip_bytes=1, quantize="none"),
    )
    assert "no test data" in printed(printing.print_report, least)
    assert "1 B" in printed(printing.print_comparison, [least])
    assert "no test data was given" in html.to_html(least)
    assert digest.findings(dataclasses.replace(least, warnings=())) == []


@pytest.mark.parametrize(
    ("changes", "topic", "text", "good"),
    [
        ({"verification": {"float_ops": ["NEG at 'x'"]}}, "ops", "1 of 3 compute in float: NEG at 'x'", False),
        ({"verification": {"float_ops": []}}, "ops", "none of 3 computes in float", True),
        (
            {"verification": {"float_ops": [], "ops_by_dtype": {"int8": 1, "int32": 1, "bool": 1}}},
            "ops",
            "1 of 3 output int8, the others 1 int32, 1 bool; none computes in float",
            True,
        ),
        (
            {"quantize": "int16x8", "verification": {"float_ops": [], "ops_by_dtype": {"int16": 3}}},
            "ops",
            "all 3 are int16x8",
            True,
        ),
        ({"quantize": "dynamic"}, "ops", "3, dynamic as asked", True),
        ({"verification": {"calibration": "mse, by our rules"}}, "ranges", "chosen by mse, by our rules", None),
        (
            {"verification": {"packings": [{**SLIM, "proven_in": ["LiteRT", "tensorflow"], "dropped": ""}]}},
            "bytes",
            "slim took 1,250 of 10,000 bytes (12.5 %) away; outputs bit-equal in LiteRT, tensorflow",
            True,
        ),
        (
            {"verification": {"packings": [{**SLIM, "proven_in": [], "dropped": "in LiteRT output 'x' differs"}]}},
            "bytes",
            "slim was left out: in LiteRT output 'x' differs",
            False,
        ),
    ],
)
def test_what_was_checked_is_said_in_a_sentence(changes, topic, text, good):
    report = a_report()
    report = dataclasses.replace(report, result=dataclasses.replace(report.result, **changes))
    assert digest.Finding(topic, text, good) in digest.findings(report)


@pytest.mark.parametrize(
    ("found", "text", "good"),
    [
        (difference(-0.03, "worse", p=0.0001), "significantly worse than float (p < 0.001, McNemar)", False),
        (difference(0.03, "better", p=0.0001), "significantly better than float (p < 0.001, McNemar)", True),
        (
            difference(-0.2, "cannot tell", -0.41, 0.01, p=0.06),
            "cannot tell whether it differs from float, between -41.00 and +1.00 pt (p = 0.06, McNemar); "
            "more test samples would tell",
            None,
        ),
    ],
)
def test_only_a_verdict_makes_a_tick_or_a_warning(found, text, good):
    report = a_report(comparison=r.Comparison(main=found))
    assert digest.Finding("accuracy", text, good) in digest.findings(report)


def scored(before, after, main=None):
    report = a_report()
    return dataclasses.replace(
        report,
        baseline=dataclasses.replace(report.baseline, score=before),
        result=dataclasses.replace(report.result, score=after),
        comparison=r.Comparison(main=main or untested(before, after)),
    )


def test_a_regression_shows_errors():
    text = printed(printing.print_report, scored(error(0.5), error(0.625)))
    assert cells(text, "MAE, 10 samples") == ["0.5", "0.625", "+0.125"]
    assert cells(text, "RMSE") == ["1", "1.25"]
    text = printed(printing.print_comparison, [scored(error(0.5), error(0.625))])
    assert ("MAE" in text, "MAE 0.625" in text, "0.625" in cells(text, "int8")) == (True, False, True)
    mixed = printed(printing.print_comparison, [scored(error(0.5), error(0.625)), a_report()])
    assert ("MAE 0.625" in mixed, "89.00 %" in mixed) == (True, True)


def test_a_regression_that_got_worse_has_a_verdict():
    found = difference(0.125, "worse", 0.1, 0.15, 1e-9, figure="mae", unit="label", better="lower", test="paired t")
    text = "significantly worse than float, between +0.1 and +0.15 (p < 0.001, paired t)"
    assert digest.Finding("MAE", text, good=False) in digest.findings(scored(error(0.5), error(0.625), found))


def test_a_regression_is_not_said_to_have_the_same_top_1():
    output = {"name": "scores", "sqnr_db": 30.0, "top1": 0.5, "near": 1.0}
    exact = {"samples": 9, "equal": 1.0, "agreement": [output], "rounded": [], "near": True, "kernels": []}
    report = a_report()
    result = dataclasses.replace(report.result, verification={"samples": 9, "agreement": [output], "exact": exact})
    for task, said in (("regression", 0), ("classification", 2)):
        made = dataclasses.replace(report, result=result, data={"tasks": {"scores": task}})
        assert printed(printing.print_report, made).count("the same top-1") == said


@pytest.mark.parametrize(("task", "said"), [("regression", True), ("classification", False)])
def test_a_regression_says_how_many_different_values_its_file_gives(task: str, said: bool) -> None:
    output = {"name": "y", "sqnr_db": 30.0, "top1": None, "near": 1.0, "distinct": 1187}
    report = a_report()
    result = dataclasses.replace(report.result, verification={"samples": 9, "agreement": [output]})
    made = dataclasses.replace(report, result=result, data={"tasks": {"y": task}})
    assert ("1,187 different values" in printed(printing.print_report, made)) == said


@pytest.mark.parametrize(("task", "said"), [("regression", "equal in 98.4 % of the values"), (None, "the same top-1")])
def test_an_output_of_whole_numbers_is_said_to_be_equal(task: str | None, said: str) -> None:
    output = {"name": "places", "sqnr_db": None, "top1": 0.984, "near": None, "cosine": None}
    report = a_report()
    result = dataclasses.replace(report.result, verification={"samples": 9, "agreement": [output]})
    made = dataclasses.replace(report, result=result, data={"tasks": {"places": task} if task else {}})
    assert said in printed(printing.print_report, made)


def test_a_float_model_at_chance_is_said_first_and_loudly():
    report = scored(score(0.105, chance=0.1), score(0.104, chance=0.1))
    first, *_ = digest.findings(report)
    assert first.good is False
    assert first.text == (
        "the float model itself does no better than always answering the most frequent class: 10.50 % (8.5..12.5) "
        "against 10.00 % on 1,000 samples; check the labels, their order and the preprocessing (--scale) before "
        "anything else"
    )
    better = scored(score(0.9, chance=0.1), score(0.1, chance=0.1))
    assert not any("itself does no better" in found.text for found in digest.findings(better))


def test_a_file_that_grew_is_warned_of():
    report = a_report(comparison=r.Comparison(size_ratio=0.8))
    assert digest.Finding("size", "the file is 1.25x larger than the float file", good=False) in digest.findings(report)
    assert not any(found.topic == "size" for found in digest.findings(a_report()))


def test_the_arithmetic_of_a_loop_is_compared_where_it_was_counted():
    report = a_report()
    result = dataclasses.replace(report.result, macs=1000)
    assert r.comparison_of(report.source, report.baseline, result).macs_ratio == 5_000_000 / 1000
    counted = dataclasses.replace(result, operators={"WHILE": 1})
    assert r.comparison_of(report.source, report.baseline, counted).macs_ratio == 5_000_000 / 1000
    unknown = dataclasses.replace(counted, macs=None)
    assert r.comparison_of(report.source, report.baseline, unknown).macs_ratio is None


def test_the_arithmetic_of_a_part_is_not_compared_and_the_parts_are_named():
    report = a_report()
    source = dataclasses.replace(report.source, not_counted=tuple(f"loop{n}" for n in range(7)))
    result = dataclasses.replace(report.result, macs=2_000)
    assert r.comparison_of(source, report.baseline, result).macs_ratio is None
    old = dataclasses.replace(report, source=source, result=result, comparison=r.Comparison(macs_ratio=2500.0))
    row = next(row for row in digest.quantities(old) if row.name == "multiply-accumulates")
    assert (row.before, row.after, row.change) == ("5 M at least", "2,000", "")
    text = "those of loop0, loop1, loop2, loop3, loop4 and 2 more in the model are not counted"
    assert digest.Finding("multiply-accumulates", text) in digest.findings(old)


def test_why_the_arithmetic_of_the_file_is_not_known_is_said():
    report = a_report()
    note = "a loop (WHILE) runs as often as its data say, which the file does not"
    result = dataclasses.replace(report.result, verification={"macs_note": note})
    looped = dataclasses.replace(report, result=result)
    sentence = f"multiply-accumulates: those of the file are not known: {note}"
    assert sentence in printed(printing.print_report, looped)
    assert note in html.to_html(looped)


def test_a_file_that_grew_is_warned_of_among_others_too():
    report = a_report(comparison=r.Comparison(size_ratio=0.8), warnings=())
    text = printed(printing.print_comparison, [a_report(warnings=()), report])
    assert text.count("! int8: the file is 1.25x larger than the float file") == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, ""), (4.0, "4x smaller"), (0.5, "2x larger"), (1.0001, "the same"), (0, "")],
)
def test_a_ratio_is_said_in_words(value, words):
    assert digest.changed("smaller", "larger", value) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.size(9_999_999), "9,999,999 B"),
        (wording.size(12_345_678), "12.3 MB"),
        (wording.count(999), "999"),
        (wording.count(1_234_567), "1.235 M"),
        (wording.count(2_500_000_000), "2.5 G"),
        (wording.duration(12.345), "12.3 ms"),
        (wording.duration(0.0512), "51.2 µs"),
        (wording.seconds(3.21), "3.2 s"),
        (wording.seconds(133), "2 min 13 s"),
        (wording.joules(0.0123), "12.3 mJ"),
        (wording.probability(0.0005), "p < 0.001"),
        (wording.probability(0.0433), "p = 0.043"),
        (wording.figure_difference(Difference(figure="top1", value=-0.0042)), "-0.42 pt"),
    ],
)
def test_numbers_are_written_with_their_units(text, expected):
    assert text == expected


HOSTILE = ("a[/b]", "[red]a", "a[bold]b", "[link=http://b]a", "\\[a]", "naïve 模型", "a\x1b[31mb", "[/]", "a\udce9")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_printed_as_they_are_wherever_they_stand(name):
    """Square brackets are no commands to the terminal, and end no run with an error at its last line."""
    layers = tuple(
        r.Layer(name=each, type="Conv2D", output_shape=(None, 8), parameters=1, nonzero=1) for each in (name, "b")
    )
    report = a_report(recipe_name=name, warnings=(f"about {name}",))
    report = dataclasses.replace(
        report,
        source=dataclasses.replace(report.source, name=f"{name}.h5", layers=layers, not_counted=(name,)),
        result=dataclasses.replace(
            report.result, name=f"{name}.tflite", layers=(r.FileLayer(name=name, ops=("CONV_2D",)),), layers_note=name
        ),
    )
    seen = name.replace("\x1b", r"\x1b").replace("\udce9", r"\xe9")  # a terminal's commands, and what is no UTF-8
    whole = printed(printing.print_report, report, width=160)
    assert f"{seen}.h5 → {seen}.tflite" in whole
    assert f"warning: about {seen}" in whole
    assert f"those of {seen} in the model" in whole
    assert seen in whole.splitlines()[2]
    beside = printed(printing.print_comparison, [report, report], width=160)
    assert beside.count(f"{seen}: about {seen}") == 2
    by_layer = printed(printing.print_layers, report, width=300)
    assert seen in by_layer


@pytest.mark.parametrize("figure", ["top1", "own[/figure]", "own[red]figure"])
def test_a_figure_of_the_users_own_heads_its_column_whatever_it_is_called(figure):
    own = Score(task="classification", samples=10, main=figure, figures={figure: Figure(0.75)})
    report = a_report()
    report = dataclasses.replace(report, result=dataclasses.replace(report.result, score=own))
    title = {"top1": "accuracy"}.get(figure, figure)
    assert title in printed(printing.print_comparison, [report], width=200)
    assert title in printed(printing.print_report, report, width=200)
