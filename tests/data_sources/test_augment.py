import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.data.augment import augmented, check_images
from tfcompress.errors import DataError


def numbered(count=64, side=16):
    return np.arange(count * side * side, dtype=np.float32).reshape(count, side, side, 1)


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_others():
    x = numbered()
    out = augmented(x, "flip", (0, 1, 0))
    same = (out == x).all(axis=(1, 2, 3))
    mirrored = (out == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 16 < same.sum() < 48


def test_a_shift_moves_by_at_most_an_eighth_and_repeats_the_edge():
    x = numbered()
    out = augmented(x, "flip-shift", (0, 1, 0))
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    middle = out[:, 8, 8, 0] - x[:, 0, 0, 0]
    rows, columns = middle // 16, middle % 16
    assert set(rows) == {6, 7, 8, 9, 10}
    assert set(columns) == {5, 6, 7, 8, 9, 10}
    assert all(len(set(image.ravel())) >= 14 * 14 for image in out)


def test_the_same_seed_varies_the_same_way_and_another_does_not():
    x = numbered()
    assert np.array_equal(augmented(x, "flip-shift", (0, 1, 0)), augmented(x, "flip-shift", (0, 1, 0)))
    assert not np.array_equal(augmented(x, "flip-shift", (0, 1, 0)), augmented(x, "flip-shift", (0, 2, 0)))


@pytest.mark.parametrize(("x", "got"), [({"a": 1, "b": 2}, "2 inputs"), (np.zeros((4, 8)), r"shape \(4, 8\)")])
def test_what_is_no_image_is_refused(x, got):
    with pytest.raises(DataError, match=f"'flip' needs images of shape .*, got {got}; leave it out"):
        check_images(x, "flip")


@settings(max_examples=20)
@given(seed=st.integers(0, 99), epoch=st.integers(0, 50), order=st.permutations(range(32)))
def test_an_alternating_flip_mirrors_each_image_in_every_other_epoch_wherever_it_stands(seed, epoch, order):
    x = numbered(32)
    now, later = (augmented(x, "alternating-flip", (seed, number, 0)) for number in (epoch, epoch + 1))
    mirrored = (now == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert 4 < mirrored.sum() < 28
    assert np.array_equal(later, now[:, :, ::-1])
    assert np.array_equal(augmented(x[order], "alternating-flip", (seed, epoch, 3)), now[order])
