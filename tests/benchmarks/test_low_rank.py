"""The table of factors of low rank says what was measured."""

from __future__ import annotations

from benchmarks import low_rank


def test_a_line_says_what_is_left_and_what_it_costs() -> None:
    figures = {
        "before": {"macs": 264_192, "parameters": 267_928},
        "after": {"macs": 132_000, "parameters": 136_000},
        "ratio": 0.614,
        "whole": 0.91234,
        "at once": 0.9,
        "by weights": 0.85,
        "tuned": 0.91,
        "bytes": 550_000,
    }
    assert low_rank.line(low_rank.Case("autoencoder", 0.5), figures) == [
        *("autoencoder", "50% of the macs", "auto", "132,000 / 264,192", "136,000 / 267,928", "550,000 B", "0.61"),
        *("AUC 91.23 %", "AUC 90.00 %", "AUC 85.00 %", "AUC 91.00 %"),
    ]


def test_what_was_not_measured_is_a_dash_and_what_failed_is_said() -> None:
    case = low_rank.Case("vgg", 0.5, "cp", tuned=False)
    cost = {"macs": 1, "parameters": 1}
    bare = {"before": cost, "after": cost, "ratio": 1.0, "whole": 0.7, "at once": 0.6, "by weights": 0.5}
    assert low_rank.line(case, bare)[5::5] == ["-", "-"]
    failed = low_rank.line(case, {"error": "took longer than 3600 s"})
    assert failed[3] == "failed: took longer than 3600 s"
    assert len(failed) == len(low_rank.HEAD)
