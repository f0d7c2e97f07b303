"""The teacher's first layer gives patches in numbers that tell nothing of each other; shifts move pictures whole."""

from __future__ import annotations

import numpy as np

from benchmarks.teacher import FARTHEST_SHIFT, shifted, whitening


def test_whitened_patches_are_uncorrelated_and_of_variance_one() -> None:
    drawn = np.random.default_rng(0)
    smooth = np.cumsum(drawn.normal(size=(200, 12, 12, 3)), axis=1) + drawn.normal(size=(200, 12, 1, 3))
    pictures = (smooth - smooth.mean((0, 1, 2))) / smooth.std((0, 1, 2))
    kernel = whitening(pictures)
    assert kernel.shape == (2, 2, 3, 24)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    patches = np.stack([pictures[:, i : i + 11, j : j + 11] for i in range(2) for j in range(2)], axis=3)
    found = patches.reshape(-1, 12) @ kernel[..., :12].reshape(12, 12)
    np.testing.assert_allclose(found.T @ found / len(found), np.eye(12), atol=0.06)


def test_a_shift_moves_a_picture_and_fills_with_zeros() -> None:
    pictures = np.random.default_rng(0).integers(1, 256, (40, 9, 8, 3), dtype=np.uint8)
    moved = shifted(pictures, np.random.default_rng(1))
    assert moved.shape == pictures.shape
    middle = (slice(FARTHEST_SHIFT, -FARTHEST_SHIFT),) * 2
    for picture, result in zip(pictures, moved, strict=True):
        border = np.pad(picture, ((FARTHEST_SHIFT,) * 2, (FARTHEST_SHIFT,) * 2, (0, 0)))
        places = [(i, j) for i in range(2 * FARTHEST_SHIFT + 1) for j in range(2 * FARTHEST_SHIFT + 1)]
        assert any(np.array_equal(border[i : i + 9, j : j + 8], result) for i, j in places)
        assert result[middle].all()
