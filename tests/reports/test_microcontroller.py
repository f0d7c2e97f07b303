"""tfcompress.reports.microcontroller."""

from __future__ import annotations

from typing import Any

from tfcompress.reports.microcontroller import micro_sentences, micro_table

ARENA = {
    "total_bytes": 56_080,
    "head_bytes": 49_152,
    "tail_bytes": 6_928,
    "parts": [{"name": "Persistent buffer data", "used_bytes": 588, "requested_bytes": 536, "allocations": 12}],
}
NPU: dict[str, Any] = {
    "accelerator": "ethos-u55-128",
    "version": "5.2.0",
    "system_config": "High_End",
    "memory_mode": "Shared_Sram",
    "clock_hz": 5e8,
    "sram_bytes": 51_840,
    "dram_bytes": 0,
    "flash_bytes": 79_296,
    "file_bytes": 85_408,
    "cycles": 201_795,
    "npu_cycles": 190_000,
    "inference_ms": 0.404,
    "npu_ops": 41,
    "cpu_ops": [],
}
FOUND: dict[str, Any] = {
    "target": "tflm",
    "runtime": "tflite-micro",
    "version": "0.dev1",
    "arena": ARENA,
    "least_arena_bytes": 56_096,
    "planned_arena_bytes": 52_224,
    "flash_bytes": 87_104,
    "samples": 64,
    "equal": 64,
    "kernel_steps": 0.0,
    "kernel_error": 0.0,
    "kernel_note": "",
    "agreement_db": 24.51,
    "real_samples": True,
    "most_arena_bytes": None,
    "most_flash_bytes": None,
    "tested": None,
    "npu": None,
}


def said(**changed: Any) -> dict[str, bool | None]:
    return dict(micro_sentences({"micro": {**FOUND, **changed}}))


def test_a_file_for_another_target_says_nothing() -> None:
    assert list(micro_sentences({})) == list(micro_sentences({"micro": None})) == []
    assert micro_table({"micro": None}) == ""


def test_what_runs_says_how_many_samples_are_equal_and_what_it_takes() -> None:
    assert said() == {
        "runs in TensorFlow Lite Micro (tflite-micro 0.dev1): outputs equal to the reference kernels' in every bit on "
        "64 samples, real; 24.5 dB to the model": True,
        "runs in an arena of 56,096 B, keeps head 49,152 B, tail 6,928 B (measured on 64 bits; a 32-bit "
        "chip's tail is shorter); the tensors alone, planned from the file: 52,224 B": True,
    }


def test_samples_that_differ_are_counted_and_are_no_failure() -> None:
    first, good = next(iter(said(equal=62, kernel_steps=3.0).items()))
    assert "on 62 of 64 samples, the others within 3 steps, real" in first
    assert "within 1 step, real" in next(iter(said(equal=62, kernel_steps=1.0)))
    assert "within 1.2e-07, real" in next(iter(said(equal=62, kernel_error=1.2e-7)))
    assert good is None
    text = next(iter(said(kernel_note="litert refuses this file")))
    assert "64 samples, not compared with the reference kernels (litert refuses this file), real" in text


def test_scratch_memory_of_kernels_is_told_with_the_op_that_asks_for_most() -> None:
    asking = [
        {"op": "MEAN", "where": "MEAN at layer 'pool'", "size_bytes": 64},
        {"op": "SVDF", "where": "SVDF at layer 'memory'", "size_bytes": 128},
    ]
    kept = "keeps head 49,152 B, tail 6,928 B (measured on 64 bits; a 32-bit chip's tail is shorter)"
    planned = "; the tensors alone, planned from the file: 52,224 B"
    for scratch, words in (
        (None, ""),
        ([], ", no scratch memory of kernels"),
        (asking, "; of the head at most 128 B are kernels' scratch memory (SVDF at layer 'memory')"),
    ):
        text = list(said(scratch=scratch))[1]
        assert text == f"runs in an arena of 56,096 B, {kept}{words}{planned}"
    table = micro_table({"micro": {**FOUND, "scratch": asking}})
    assert table.count("scratch memory of ") == 2
    assert "scratch memory of MEAN at layer" in table
    assert "each op measured alone" in table
    assert "each op measured alone" not in micro_table({"micro": FOUND})


def test_the_file_with_look_up_tables_is_told_with_what_it_was_scored_and_keeps() -> None:
    tested = {"samples": 999, "equal": 999, "figure": "top1", "value": 0.8569, "low": 0.834, "high": 0.877}
    lookup = {
        "name": "net-tflm.tflite",
        "size_bytes": 42_944,
        "tables": [{"bits": 3}],
        "equal_samples": 32,
        "tflite_micro": "0.dev1",
        "arena_bytes": 61_728,
        "arena": {"head_bytes": 54_272, "tail_bytes": 7_424},
        "tested": {**tested, "unit": "fraction"},
    }
    first, second = (text for text, _ in micro_sentences({"lookup": lookup}))
    assert first.endswith("(in an arena of at least 61,728 B, keeps head 54,272 B, tail 7,424 B)")
    assert second == (
        "net-tflm.tflite: accuracy there 85.69 % (83.4..87.7) on 999 test samples, 999 of them equal to those of the "
        "file without tables in every bit"
    )
    older = {name: value for name, value in lookup.items() if name not in ("arena", "tested")}
    assert [text for text, _ in micro_sentences({"lookup": older})] == [
        first.replace(", keeps head 54,272 B, tail 7,424 B", "")
    ]


def test_accuracy_and_limits_are_told() -> None:
    tested = {"samples": 999, "equal": 986, "figure": "top1", "value": 0.8569, "low": 0.834, "high": 0.877}
    lines = list(said(tested={**tested, "unit": "fraction"}, most_arena_bytes=64e3, most_flash_bytes=1e5))
    assert lines[1] == (
        "accuracy there 85.69 % (83.4..87.7) on 999 test samples, 986 of them equal to the reference kernels' in "
        "every bit"
    )
    assert lines[2].endswith("; within the limit of 64,000 B; file within 100,000 B of flash")
    (*_, (text, good)) = micro_sentences({"micro": {**FOUND, "most_arena_bytes": 56_095.0, "most_flash_bytes": 1e5}})
    assert text.endswith("; above the limit of 56,095 B; file within 100,000 B of flash")
    assert good is False


def test_another_form_of_what_stays_on_the_cpu_is_told_once() -> None:
    left = [
        {"op": op, "where": f"{op} at layer 'a'", "reason": "r", "rewrite": advice}
        for op, advice in (("SELECT", "a sum of halves"), ("GREATER", "a sum of halves"), ("LOG", ""))
    ]
    sentences = said(npu={**NPU, "cpu_ops": left})
    assert list(sentences)[-1] == "the NPU would take another form of SELECT, GREATER: a sum of halves"


def test_an_estimate_is_called_one_in_every_sentence() -> None:
    left = [{"op": "SELECT", "where": "SELECT at layer 'embedding'", "reason": "Unsupported opType"}]
    for npu, last, good in (
        (NPU, "all ops run on the ethos-u55-128, by Vela's estimate", True),
        (
            {**NPU, "cpu_ops": left},
            "1 op stays on the CPU, by Vela's estimate: SELECT at layer 'embedding' (Unsupported opType)",
            False,
        ),
    ):
        found = list(said(npu=npu).items())[2:]
        assert found[0][0].startswith(
            "estimate for ethos-u55-128, not measured: SRAM 51,840 B, flash 79,296 B, compiled"
        )
        assert "201,795 cycles an inference (0.404 ms at 500 MHz; Vela 5.2.0, High_End, Shared_Sram)" in found[0][0]
        assert found[1] == (last, good)


def test_the_recorder_s_table_is_shown() -> None:
    table = micro_table({"micro": FOUND})
    for text in (
        "56,096 B",
        "56,080 B",
        "49,152 B",
        "6,928 B",
        "52,224 B",
        "Persistent buffer data",
        "588 B",
        "536 B",
        ">12<",
    ):
        assert text in table
