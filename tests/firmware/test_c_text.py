"""Text that C and C++ compilers read."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.firmware.c_text import byte_lines, comment, float_literal, identifier, numbers


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_from_its_literal(value: float) -> None:
    text = float_literal(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text)
    assert np.float32(text.removesuffix("f")) == np.float32(value)


def test_what_no_literal_writes_is_a_macro() -> None:
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert numbers(values).split() == ["NAN,", "INFINITY,", "-INFINITY,"]


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "bool"])
def test_whole_numbers_come_back(dtype: str) -> None:
    limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, -1, 0, np.iinfo(dtype).max)
    values = np.array(limits, dtype)
    text = numbers(values).replace("INT32_MIN", str(-(2**31))).replace("INT64_MIN", str(-(2**63)))
    assert [int(found) for found in re.findall(r"-?\d+(?=[),])", text)] == [int(value) for value in values]


@given(st.binary(max_size=99))
def test_bytes_come_back(content: bytes) -> None:
    assert bytes(int(text, 16) for text in re.findall(r"0x(..),", byte_lines(content))) == content


@given(st.text())
def test_no_name_ends_a_comment(text: str) -> None:
    made = comment(text)
    assert "*/" not in made
    assert "\\" not in made
    assert made.isprintable()


@pytest.mark.parametrize("name", ["", "1net", "a-b", "größe", "_x", "a" * 65])
def test_what_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--name must be letters"):
        identifier(name)
