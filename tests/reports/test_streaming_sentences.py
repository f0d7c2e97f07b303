"""tfcompress.reports.streaming."""

from __future__ import annotations

from typing import Any

from tests.reports.test_microcontroller import NPU
from tfcompress.reports.streaming import alike, streaming_sentences

WHOLE = {"windows": 64, "equal": 64, "steps": 0.0, "error": 0.0, "agreement_db": 200.0}
FOUND: dict[str, Any] = {
    "name": "kws-int8-streaming.tflite",
    "size_bytes": 11_660,
    "hop": 2,
    "window": 49,
    "frames_seen": 49,
    "first_answer": 25,
    "kept": "external",
    "states": [{}, {}],
    "state_bytes": 544,
    "macs": 4_576,
    "whole_macs": 90_240,
    "real_samples": True,
    "whole": WHOLE,
    "keras": WHOLE,
    "written": None,
    "micro": None,
    "tested": None,
}


def told(**changed: Any) -> list[tuple[str, bool | None]]:
    return list(streaming_sentences({"streaming": {**FOUND, **changed}}))


def test_a_file_without_a_stream_has_no_sentences() -> None:
    assert list(streaming_sentences({})) == []


def test_a_stream_is_told_with_its_state_work_and_proof() -> None:
    about, work, proof = told()
    assert about == (
        "kws-int8-streaming.tflite: 11,660 B, takes 2 frames of a window of 49 at a time; the caller keeps 2 states of "
        "544 B; answers are right from step 25 on (49 frames)",
        None,
    )
    assert work[0] == "a step takes 4,576 multiply-accumulates, the whole window 90,240: 19.7 times as many"
    assert proof == (
        "fed frame by frame (real windows): answers equal to those of the file of the whole window in every bit on 64 "
        "windows",
        True,
    )


def test_what_differs_by_rounding_is_neither_good_nor_bad() -> None:
    apart = {**WHOLE, "equal": 60, "steps": 1.0}
    assert told(whole=apart)[2][1] is None
    assert alike(apart, "it").endswith("in every bit on 60 of 64 windows, the others within 1 step")
    assert alike({**apart, "steps": 0.0, "error": 0.0123}, "it").endswith("within 0.012")


def test_a_file_of_the_whole_window_with_other_numbers_is_told_apart() -> None:
    proof, written = told(written={**WHOLE, "equal": 3, "steps": 4.0})[2:]
    assert proof[0].endswith("to those of a file of the whole window with the same numbers in every bit on 64 windows")
    assert written == (
        "the file of the whole window written beside it has other numbers: answers equal to those of that file in "
        "every bit on 3 of 64 windows, the others within 4 steps",
        None,
    )


def test_a_stream_without_state_or_count_of_work() -> None:
    about, work, _ = told(states=[], state_bytes=0, macs=None, hop=1)
    assert "takes 1 frame of a window of 49 at a time; no state; answers" in about[0]
    assert work[0] == "multiply-accumulates of a step: not known"


def test_a_microcontroller_and_test_samples_are_told() -> None:
    micro = {"version": "0.1", "reference": WHOLE, "least_arena_bytes": 9_552, "state_bytes": 544}
    tested = {"runtime": "LiteRT 2.3.0", "samples": 400, "figure": "accuracy", "value": 0.9, "low": 0.87, "high": 0.93}
    sentences = [text for text, _ in told(kept="internal", micro=micro, tested={**tested, "unit": "fraction"})]
    assert "the file keeps 2 states" in sentences[0]
    assert sentences[3] == (
        "in TensorFlow Lite Micro 0.1: answers equal to those of the reference kernels in every bit on 64 windows; "
        "runs in an arena of 9,552 B (states of 544 B among it)"
    )
    assert sentences[4] == "accuracy frame by frame 90.00 % (87.0..93.0) on 400 test samples (LiteRT 2.3.0)"


def test_what_an_accelerator_and_look_up_tables_make_of_a_step_is_told() -> None:
    lookup = {
        "name": "kws-int8-streaming-tflm.tflite",
        "size_bytes": 8_000,
        "tables": [{"bits": 3}, {"bits": 2}],
        "equal_samples": 1_632,
        "tflite_micro": "0.1",
        "arena_bytes": 9_000,
    }
    sentences = [text for text, _ in told(npu=NPU, lookup=lookup)][3:]
    assert sentences[0].startswith("a step: estimate for ethos-u55-128, not measured: SRAM 51,840 B")
    assert sentences[1] == "a step: all ops run on the ethos-u55-128, by Vela's estimate"
    assert sentences[2].startswith(
        "kws-int8-streaming-tflm.tflite: 8,000 B, 2 kernels as look-up tables of 2 to 3 bits"
    )
