"""What a check-up found, as rows and lines."""

from __future__ import annotations

import dataclasses

from tfcompress.reports.checkup_facts import CheckupFacts, LayerCheck, RewriteOffer
from tfcompress.reports.checkup_rows import COLUMNS, layer_rows, offer_lines

CONV = LayerCheck("conv", "Conv2D", (None, 8), 1234, "native", True, kernel_kurtosis=3.25, kernel_spread=1.5)
NORM = LayerCheck("ln", "LayerNormalization", (4,), 8, "tfmot", True, tuple("abcd"), value_kurtosis=2.0)
OWN = LayerCheck("mine", "Mine", (4,), 0, "native", None, reason="a class of your own")
GOOD, BAD = RewriteOffer("drop", "Dropout goes", 0.0, True), RewriteOffer("bn", "it goes", 0.5, False)
FACTS = CheckupFacts("m.keras", "keras3", "", (CONV, NORM, OWN), (GOOD, BAD), ())


def test_a_row_a_layer_with_values_before_weights() -> None:
    assert layer_rows(FACTS) == [
        ("conv", "Conv2D", "anyx8", "native", "yes", "", "1,234", "3.2", "1.5"),
        ("ln", "LayerNormalization", "4", "tfmot", "yes", "4 ops", "8", "2.0", ""),
        ("mine", "Mine", "4", "native", "?", "", "0", "", ""),
    ]
    assert all(len(row) == len(COLUMNS) for row in layer_rows(FACTS))


def test_offers_say_what_was_proven_and_how_to_have_it() -> None:
    assert list(offer_lines(FACTS)) == [
        "can be rewritten: drop: Dropout goes; outputs differ by 0e+00 of the largest",
        "left as it is: bn: it goes, but outputs differ by 5e-01",
        "give --rewrite -o OUT.keras to have it done, for export: what acts in training only is gone then",
    ]
    done = list(offer_lines(dataclasses.replace(FACTS, written="out.keras")))
    assert done[0].startswith("rewritten: drop")
    assert done[-1] == "written: out.keras"
    assert list(offer_lines(dataclasses.replace(FACTS, rewrites=(BAD,))))[1:] == []
