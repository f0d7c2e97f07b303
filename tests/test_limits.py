"""tfcompress.limits."""

from __future__ import annotations

import pytest

from tfcompress.limits import LATENCY_UNITS, SIZE_UNITS, Limit, read_limit, read_size


@pytest.mark.parametrize(
    ("text", "units", "limit"),
    [
        ("49000", SIZE_UNITS, Limit(49_000, relative=False)),
        ("49KB", SIZE_UNITS, Limit(49_000, relative=False)),
        ("1 KiB", SIZE_UNITS, Limit(1024, relative=False)),
        ("1.5mb", SIZE_UNITS, Limit(1_500_000, relative=False)),
        ("1.25x", SIZE_UNITS, Limit(1.25, relative=True)),
        ("250us", LATENCY_UNITS, Limit(0.25, relative=False)),
        ("2", LATENCY_UNITS, Limit(2, relative=False)),
        (".5X", LATENCY_UNITS, Limit(0.5, relative=True)),
    ],
)
def test_a_limit_is_a_number_with_a_unit_or_a_ratio(text: str, units: dict[str, float], limit: Limit) -> None:
    assert read_limit(text, units) == limit


def test_a_ratio_goes_by_what_it_is_compared_with() -> None:
    assert Limit(1.5, relative=True).beside(200) == 300
    assert Limit(1.5, relative=False).beside(200) == 1.5


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "0x", "12ms", "1e3", "1,5KB", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number above 0 with one of B, KB, KiB, MB, MiB, or with x"):
        read_limit(text, SIZE_UNITS)


def test_a_size_that_is_compared_with_nothing_is_in_bytes() -> None:
    assert read_size("64KB") == 64_000
    assert read_size("64KiB") == 65_536
    for text in ("1.1x", "a lot"):
        with pytest.raises(ValueError, match=r"^a number above 0 with one of B, KB, KiB, MB, MiB$"):
            read_size(text)
