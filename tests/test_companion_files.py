"""tfcompress.companion_files: names, and what the report says of the files; how they are written, tests/firmware."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tfcompress.companion_files import COMPILED_SUFFIX, lookup_facts, lookup_name, streaming_facts, streaming_name
from tfcompress.files import sha256
from tfcompress.tflite.lookup_tables import KernelTable, LookupFile
from tfcompress.tflite.micro.arena import ArenaUse
from tfcompress.tflite.micro.record import MicroTest

TABLE = KernelTable(3, "CONV_2D", "kernel", 2, 0, 900, 300)
LOOKUP = LookupFile(b"abc", 9, (TABLE,), 16, "0", ArenaUse(total_bytes=90, head_bytes=40, tail_bytes=50), 96)


@given(st.from_regex(r"[a-z.-]{1,9}", fullmatch=True))
def test_no_two_files_beside_one_have_the_same_name(stem: str) -> None:
    names = [f"{stem}.tflite", streaming_name(f"{stem}.tflite")]
    names += [made for name in tuple(names) for made in (lookup_name(name), name.replace(".tflite", COMPILED_SUFFIX))]
    assert len(set(names)) == 6
    assert all(name.startswith(stem) and name.endswith(".tflite") for name in names)


def test_what_was_measured_of_tables_is_told_and_what_was_not_is_null() -> None:
    told = lookup_facts(LOOKUP, "net.tflite") or {}
    assert (told["name"], told["size_bytes"], told["sha256"]) == ("net-tflm.tflite", 3, sha256(b"abc"))
    assert told["tables"][0]["bits"] == 2
    assert (told["arena_bytes"], told["arena"]["head_bytes"], told["tested"]) == (96, 40, None)
    test = MicroTest(samples=5, equal=5, figure="top1", value=0.8, low=None, high=None, unit="fraction")
    scored = LookupFile(b"abc", 9, (TABLE,), 16, "0", LOOKUP.arena, 96, test)
    assert (lookup_facts(scored, "net.tflite") or {})["tested"]["equal"] == 5


def test_nothing_is_told_of_files_that_there_are_not() -> None:
    assert lookup_facts(None, "net.tflite") is None
    assert streaming_facts(None, "net.tflite") is None
