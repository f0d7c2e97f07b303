import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UnsupportedError
from tfcompress.models.specs import Signature, TensorSpec, random_inputs, unique_names


@given(st.lists(st.text(max_size=8), max_size=6))
def test_names_are_valid_different_and_stay_when_they_are_made_again(names):
    made = unique_names(names)
    assert len(made) == len(names) == len(set(made))
    assert all(name.isidentifier() or name[0].isdigit() for name in made)
    assert not any(name.startswith("_") for name in made)
    assert unique_names(made) == made


def test_names_keep_what_a_signature_can_hold():
    assert unique_names(["block/out", "dense", "dense", "dense_1", "_x", ""]) == [
        "block_out",
        "dense",
        "dense_1",
        "dense_1_1",
        "t_x",
        "t",
    ]


def test_random_inputs_are_the_same_for_the_same_seed_and_fit_the_specs():
    signature = Signature((TensorSpec("x", (4, None), "float32"), TensorSpec("ids", (5,), "int32")), ())
    first, second, other = (random_inputs(signature, 3, seed) for seed in (1, 1, 2))
    assert first["x"].shape == (3, 4, 96)
    assert first["x"].dtype == np.float32
    assert first["ids"].dtype == np.int32
    assert set(np.unique(first["ids"])) == {0, 1}
    np.testing.assert_array_equal(first["x"], second["x"])
    assert not np.array_equal(first["x"], other["x"])


def test_random_sequences_end_in_padding_where_the_model_tells_it():
    signature = Signature((TensorSpec("steps", (30, 4), "float32"), TensorSpec("flat", (5,), "float32")), ())
    drawn = random_inputs(signature, 50, 0, padding=-1.0)
    padded = (drawn["steps"] == -1).all(-1)
    assert set(padded.sum(-1)) == {1, 2, 3}
    assert all((np.diff(row.astype(int)) >= 0).all() for row in padded)
    assert (drawn["flat"] != -1).all()


def test_random_inputs_refuse_what_is_not_numeric():
    with pytest.raises(UnsupportedError, match="input 'text' must hold numbers, it holds string"):
        random_inputs(Signature((TensorSpec("text", (), "string"),), ()), 1, 0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int32", "bool"])
@pytest.mark.parametrize("ends", [(0.0, 255.0), (-3.5, 2.5), (0.2, 0.8)])
def test_random_inputs_fill_the_ranges_that_they_are_given(dtype: str, ends: tuple[float, float]) -> None:
    signature = Signature((TensorSpec("x", (500,), dtype), TensorSpec("y", (500,), "float32")), ())
    drawn = random_inputs(signature, 4, 0, ranges={"x": ends})
    assert drawn["x"].dtype == dtype
    assert abs(drawn["y"].std() - 1) < 0.1  # of it nothing is said
    if dtype.startswith("float"):
        low, high = float(drawn["x"].min()), float(drawn["x"].max())
        assert ends[0] <= low < ends[0] + 0.02 * (ends[1] - ends[0])
        assert ends[1] - 0.02 * (ends[1] - ends[0]) < high <= ends[1]
    elif dtype == "uint8":
        assert drawn["x"].max() <= max(1, ends[1])
    elif dtype == "int32" and ends[1] > 1:
        assert (drawn["x"].min(), drawn["x"].max()) == (np.ceil(ends[0]), np.floor(ends[1]))
