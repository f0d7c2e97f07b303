"""What debugging found, as a page and as rows."""

from __future__ import annotations

from tfcompress.reports.debug_facts import DebugFacts, SampleRow, TensorRow
from tfcompress.reports.debug_page import COLUMNS, debug_chart, facts_line, sample_rows, tensor_rows, to_debug_page
from tfcompress.reports.remark import Remark, by_gravity

ROWS = (
    TensorRow(0, "input", "image", "", "int8", (1, 4), snr_db=42.0, used=1.0, clipped=0.0, distinct=250),
    TensorRow(7, "CONV_2D", "a<b/conv", "place", "int8", (1, 4), 3.0, 39.0, 0.9, 0.205, 256, kernel_steps=1.0),
    TensorRow(9, "SUM", "", "", "float32", (1, 4), kernel_db=31.0),
)
REMARKS = (Remark("fault", "a<b/conv", "20.5% lie beyond", "calibrate"), Remark("note", "f", "small"))
WORST = (SampleRow(5, 0.25, False),)
FACTS = DebugFacts("f.tflite", "m.keras", "d.npz (test)", 32, "litert 2.3.0", 48.0, 1, ROWS, WORST, REMARKS)


def test_rows_say_what_is_not_known_by_a_dash_and_guesses_by_a_question_mark() -> None:
    first, second, third = tensor_rows(FACTS)
    assert first == ("image", "input", "int8", "42.0 dB", "—", "100%", "0.0%", "250", "—")
    assert second == ("a<b/conv?", "CONV_2D", "int8", "3.0 dB", "39.0 dB", "90%", "20.5%", "256", "1 steps")
    assert third == ("tensor 9", "SUM", "float32", "—", "—", "—", "—", "—", "31 dB")
    assert all(len(row) == len(COLUMNS) for row in (first, second, third))
    assert sample_rows(FACTS) == [("5", "0.25", "another")]


def test_the_page_holds_everything_escaped_and_loads_nothing() -> None:
    page = to_debug_page(FACTS)
    assert "<h1>f.tflite against m.keras</h1>" in page
    assert "a&lt;b" in page
    assert "a<b" not in page
    assert "20.5% lie beyond; calibrate" in page
    assert "http" not in page
    assert facts_line(FACTS) in page


def test_a_bar_stands_for_every_tensor_whose_ratio_is_known() -> None:
    drawn = debug_chart(ROWS)
    assert drawn.count("<rect") == 2
    assert drawn.count('class="low"') == 1  # 3 dB
    assert "42 dB" in drawn


def test_a_page_without_faults_says_so() -> None:
    facts = DebugFacts("f.tflite", "m.keras", "d", 1, "litert", None, None, ROWS[:1], (), ())
    page = to_debug_page(facts)
    assert "Nothing was found." in page
    assert "The worst samples" not in page
    assert "XNNPACK against" not in facts_line(facts)


def test_faults_come_first_and_keep_their_order() -> None:
    remarks = [Remark(gravity, str(n), "") for n, gravity in enumerate(("note", "fault", "risk", "fault"))]  # type: ignore[arg-type]
    assert [remark.where for remark in by_gravity(remarks)] == ["1", "3", "2", "0"]
    assert str(Remark("note", "conv", "is odd")) == "conv: is odd"
