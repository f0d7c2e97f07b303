import hypothesis.extra.numpy as some
import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from tfcompress.recipe import Prune
from tfcompress.weights.masks import pruned
from tfcompress.weights.score_masks import kept

VALUES = st.floats(-8, 8, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0])  # ties and zeros among them


@st.composite
def kernels_and_stages(draw):
    pattern = draw(st.sampled_from(["unstructured", "2:4", "block"]))
    if pattern == "unstructured":
        stage = Prune(sparsity=draw(st.floats(0.01, 0.99)))
        shape = draw(some.array_shapes(max_dims=4, max_side=5))
    elif pattern == "2:4":
        stage, shape = (
            Prune(pattern="2:4"),
            (*draw(some.array_shapes(max_dims=2, max_side=3)), 8, draw(st.integers(1, 4))),
        )
    else:
        stage = Prune(
            sparsity=draw(st.floats(0.01, 0.99)),
            pattern="block",
            block_shape=(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        )
        shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    return draw(some.arrays(np.float32, shape, elements=VALUES)), stage


@settings(deadline=None, max_examples=3000)
@given(kernels_and_stages())
def test_both_modules_keep_the_same_weights(drawn):
    kernel, stage = drawn
    mine = np.where(kept(np.abs(kernel), stage.sparsity, stage), kernel, 0)
    assert np.array_equal(mine, pruned(kernel, stage))
    assert mine.dtype == kernel.dtype
