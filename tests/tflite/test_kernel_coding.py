"""Kernels as a stream of bits: what is written is read again, in about the bits that its values are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.bit_coding import Decoder, Tree
from edge_runner.graph import read_graph
from edge_runner.kernel_stream import BOOK_A_CHANNEL, NO_BOOK, ONE_BOOK, KernelCoder, KernelPlan, to_bytes
from tests.tflite.make_files import FOLDER
from tfcompress.tflite.kernel_coding import Encoder, PlannedKernel, kernel_bits, planned_kernels


@given(
    parts=st.lists(st.tuples(st.integers(1, 8), st.lists(st.integers(0, 2**16), max_size=40)), min_size=1, max_size=4)
)
def test_numbers_of_any_width_come_back_in_their_order(parts: list[tuple[int, list[int]]]) -> None:
    parts = [(bits, [number % (1 << bits) for number in numbers]) for bits, numbers in parts]
    encoder = Encoder()
    for bits, numbers in parts:
        encoder.numbers(Tree(bits), len(numbers), numbers)
    decoder = Decoder(encoder.finish())
    assert [decoder.numbers(Tree(bits), len(numbers)) for bits, numbers in parts] == [numbers for _, numbers in parts]


@st.composite
def kernels(draw: st.DrawFn) -> PlannedKernel:
    """Draw a kernel of few or of many values, told in any of the ways in which it can be."""
    width = draw(st.sampled_from([4, 8, 16, 32]))
    channels, size = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    most = draw(st.integers(1, 9))
    values = draw(st.lists(st.integers(0, (1 << width) - 1), min_size=most, max_size=most, unique=True))
    draws = st.lists(st.sampled_from(values), min_size=size, max_size=size)
    rows = np.array(draw(st.lists(draws, min_size=channels, max_size=channels)), np.int64)
    book = draw(st.sampled_from([ONE_BOOK, BOOK_A_CHANNEL, *([NO_BOOK] if width <= 8 else [])]))
    own = max(len(np.unique(row)) for row in rows)
    longest = {NO_BOOK: 0, ONE_BOOK: len(np.unique(rows)), BOOK_A_CHANNEL: own}[book]
    return PlannedKernel(0, KernelPlan(0, rows.size, channels, width, draw(st.booleans()), book, longest), rows)


@settings(max_examples=60)
@given(st.lists(kernels(), min_size=1, max_size=4))
def test_kernels_told_in_any_way_come_back_one_after_the_other(planned: list[PlannedKernel]) -> None:
    assert [each.plan.problem() for each in planned] == [""] * len(planned)
    coder = KernelCoder(Decoder(kernel_bits(planned)))
    for each in planned:
        assert coder.code(each.plan) == each.channels.tolist()
        assert len(to_bytes(each.plan, each.channels.tolist())) == each.plan.size_bytes


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
def test_what_is_planned_of_a_file_are_its_own_bytes(path) -> None:
    content = path.read_bytes()
    end = 0
    for each in planned_kernels(read_graph(content), content):
        plan = each.plan
        assert (plan.problem(), plan.gap) == ("", each.start - end)
        stored = content[each.start : each.start + plan.size_bytes]
        told = to_bytes(plan, each.channels.tolist())
        assert told[:-1] == stored[:-1]
        assert told[-1] & 15 == stored[-1] & 15 if plan.width == 4 and plan.elements % 2 else told == stored
        end = each.start + plan.size_bytes


@settings(max_examples=6)
@given(values=st.integers(2, 64), seed=st.integers(0, 99))
def test_values_drawn_alike_take_their_logarithm_in_bits_and_little_more(values: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    book = draw.choice(256, values, replace=False)
    rows = draw.choice(book, (4, 500))
    plan = KernelPlan(0, rows.size, 4, 8, False, ONE_BOOK, len(np.unique(rows)))
    bits = 8 * len(kernel_bits([PlannedKernel(0, plan, rows)]))
    least = rows.size * np.log2(values)
    assert least * 0.97 <= bits <= least * 1.1 + 12 * values + 64  # the book, and what learning costs


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"width": 5}, "encoded in an unknown way"),
        ({"book": 3}, "encoded in an unknown way"),
        ({"channels": 5}, "channels do not divide it"),
        ({"channels": 0}, "channels do not divide it"),
        ({"book": NO_BOOK}, "encoded in an unknown way"),
        ({"longest": 257}, "book is too long"),
        ({"longest": 0}, "book is too long"),
    ],
)
def test_a_plan_that_no_kernel_has_says_why(changed: dict[str, int], problem: str) -> None:
    good = KernelPlan(0, 12, 4, 8, False, ONE_BOOK, 3)
    assert good.problem() == ""
    assert problem in good._replace(**changed).problem()
