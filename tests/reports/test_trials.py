"""tfcompress.reports.trials."""

from __future__ import annotations

from typing import Any

from tfcompress.reports.trials import trial_sentences, trial_table


def trial(name: str, db: float | None, **more: Any) -> dict[str, Any]:
    found = {"name": name, "agreement_db": db, "top1": None, "seconds": 0.0, "refusal": "", "chosen": False}
    return {**found, **more}


def test_each_way_is_a_row_and_the_one_that_was_kept_is_marked() -> None:
    ways = [
        trial("minmax", 20.04, top1=0.975),
        trial("minmax + bias", 31.26, top1=1.0, seconds=2.5, chosen=True),
        trial("mse <b>", None, refusal="no kernel for FLOOR; give --float-ops allow"),
    ]
    found = {"trials": ways, "held_back": 100}
    assert list(trial_sentences(found)) == [
        "best of 3 ways on 100 samples held back: minmax 20.0 dB, minmax + bias 31.3 dB (kept), mse <b> -"
    ]
    page = trial_table(found)
    assert page.count("<tr") == 1 + len(ways)
    assert all(text in page for text in ("97.5 %", "2.5 s", ">kept<", "mse &lt;b&gt;", "no kernel for FLOOR<"))
    assert "give --float-ops" not in page


def test_where_one_way_was_enough_there_is_a_sentence_and_no_table() -> None:
    found = {"trials": [trial("minmax", 41.0, chosen=True)], "held_back": 50}
    assert list(trial_sentences(found)) == ["minmax agrees by 41.0 dB on 50 samples held back: no other way was tried"]
    assert trial_table(found) == ""


def test_places_of_the_largest_agree_by_how_many_are_the_same() -> None:
    found = {"trials": [trial("minmax", None, top1=0.985, chosen=True)], "held_back": 50}
    (sentence,) = trial_sentences(found)
    assert sentence == "minmax gives the same on 98.5 % of 50 samples held back: no other way was tried"


def test_reports_without_trials_say_nothing_of_them() -> None:
    assert list(trial_sentences({})) == []
    assert trial_table({}) == ""
