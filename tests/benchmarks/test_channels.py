"""The tables about removed channels say what was measured."""

from __future__ import annotations

from pathlib import Path

from benchmarks import channels


def test_what_is_fixed_is_counted_by_the_class_that_fixes_it() -> None:
    reasons = [
        "feeds output 'predictions'",
        "layer 'norm_1' (LayerNormalization) takes statistics over its channels",
        "layer 'norm_2' (LayerNormalization) takes statistics over its channels",
    ]
    assert channels.fixed_by(reasons) == "2 LayerNormalization, 1 output"
    assert channels.fixed_by([]) == ""


def test_a_row_of_surgery_says_what_was_reached_and_what_the_file_came_to(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(bytes(89_000))
    (tmp_path / "smaller").write_bytes(bytes(4_100))
    figures = {
        "macs": 24_460_000,
        "removed": 0.5004,
        "parameters": 2_000_000,
        "parameters_left": 920_000,
        "groups": 21,
        "pinned": ["feeds output 'predictions'"],
        "forward": True,
        "gradients": 1.0,
        "file": str(tmp_path / "whole"),
        "file_left": str(tmp_path / "smaller"),
        "fastest_ms": [5.0, 4.0],
        "seconds": 1.32,
    }
    assert channels.surgery_row("Net", figures) == [
        *("Net", "24.5 M", "50.0 %", "46.0 %", "21", "1 output"),
        *("finite", "100 %", "4.1 kB / 89 kB", "0.80", "1.3 s"),
    ]
    failed = channels.surgery_row("Net", {"error": "took longer than 900 s"})
    assert failed[:2] == ["Net", "failed: took longer than 900 s"]
    assert len(failed) == 11
