"""tfcompress.reports.mixed_precision."""

from __future__ import annotations

from typing import Any

from tfcompress.reports.mixed_precision import choice_rows, mixed_sentences, mixed_tables, plan_rows, planned_floats


def plan(layers: dict[str, str], db: float | None, **more: Any) -> dict[str, Any]:
    found = {
        "layers": layers,
        "predicted_db": 30.0,
        "agreement_db": db,
        "top1": None,
        "predicted_bytes": 1000,
        "predicted_top1": 0.98,
    }
    return {
        **found,
        "size_bytes": 1010,
        "predicted_ms": None,
        "latency_ms": None,
        "refusal": "",
        "chosen": False,
        **more,
    }


def layer(name: str, chosen: str, **refused: str) -> dict[str, Any]:
    noise = {"int8": 1e-3, "float": 0.0}
    return {
        "layer": name,
        "op": "CONV_2D",
        "chosen": chosen,
        "noise": noise,
        "size_bytes": {"int8": 0, "float": 2500},
        "latency_ms": {},
        "refused": refused,
    }


def mixed(*plans: dict[str, Any]) -> dict[str, Any]:
    layers = [layer("conv<1>", "float"), layer("conv2", "int8", int4="no kernel"), layer("conv3", "int8", int4="none")]
    found = {"layers": layers, "plans": list(plans), "largest_bytes": 2000, "limit": "size 2KB", "held_back": 100}
    return {"mixed": {**found, "notes": ["CONV_2D at 'odd' stays as it is: its kernel is stored sparse"]}}


def test_the_kept_plan_is_told_with_what_was_predicted_and_what_is_not_to_be_had() -> None:
    found = mixed(
        plan({}, 25.0), plan({"conv<1>": "float"}, 29.04, top1=0.99, chosen=True), plan({}, None, refusal="no")
    )
    assert list(mixed_sentences(found)) == [
        "1 op in float, best of 2 plans within 2,000 B (size 2KB): 29.0 dB (predicted 30.0) on 100 samples held back, "
        "all int8 25.0 dB",
        "predictions from single layers miss what 2 files measured by at most 5.0 dB, and changed top-1 by at most 1.0 "
        "points",
        "no int4 for conv2, conv3: no kernel",
        "CONV_2D at 'odd' stays as it is: its kernel is stored sparse",
    ]
    assert planned_floats(found) == 1
    assert [row[2] for row in plan_rows(found)] == ["25.0 dB", "29.0 dB", "-"]
    assert choice_rows(found)[0][3:5] == ("int8 0.001, float 0", "float +2,500")
    page = mixed_tables(found)
    assert all(text in page for text in ("conv&lt;1&gt;", ">kept<", "1.0 pt", "2.0 pt", "int4: no kernel"))


def test_where_all_int8_is_best_that_is_said() -> None:
    found = mixed(plan({}, 31.0, chosen=True), plan({"conv2": "int4"}, 20.0))
    assert next(mixed_sentences(found)).startswith("all int8 is best within 2,000 B (size 2KB): 31.0 dB, better than 1")


def test_reports_of_other_files_say_nothing_of_it() -> None:
    for found in ({}, {"mixed": None}):
        assert list(mixed_sentences(found)) == plan_rows(found) == choice_rows(found) == []
        assert mixed_tables(found) == ""
        assert planned_floats(found) == 0
