import numpy as np
import pytest

from tfcompress.weights.code_book_sizes import Storage, stored_bytes

TABLES = Storage(tables=True)


def kernel(values, rows=144, channels=8):
    """Every channel holds the same values, one after the other."""
    return np.repeat(np.resize(np.arange(values, dtype=np.float32), (rows, 1)), channels, axis=1)


@pytest.mark.parametrize(("values", "bits"), [(2, 1), (4, 2), (5, 3), (8, 3), (16, 4)])
def test_a_table_takes_whole_bits_an_index_and_its_values_for_every_channel(values, bits):
    assert stored_bytes(kernel(values), 16, -1, TABLES) == 144 * 8 * bits // 8 + 8 * values + 112


def test_channels_have_tables_of_their_own_also_where_the_kernel_has_one_code_book():
    assert stored_bytes(kernel(4), 4, None, TABLES) == stored_bytes(kernel(4), 4, -1, TABLES)


def test_a_kernel_that_a_table_makes_no_smaller_stays_as_it_is():
    assert stored_bytes(kernel(16, rows=9), 16, -1, TABLES) == 9 * 8
    assert stored_bytes(np.arange(9000, dtype=np.float32), 256, None, TABLES) == 9000


def test_a_package_takes_the_entropy_of_the_indices_and_its_values():
    halves = np.repeat(np.array([0.0, 1.0], np.float32), 400).reshape(100, 8)
    quarter = np.where(np.arange(800) % 4 == 0, 1.0, 0.0).astype(np.float32).reshape(100, 8)
    assert stored_bytes(halves, 2, None, Storage()) == pytest.approx((800 * 1 + 2 * 6) / 8)
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert stored_bytes(quarter, 2, None, Storage(value_bits=32)) == pytest.approx((800 * entropy + 2 * 32) / 8)
