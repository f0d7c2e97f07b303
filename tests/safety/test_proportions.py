import pytest

from tfcompress.safety.proportions import FREE_EXTENT, LARGEST_TENSOR, MOST_ENDS, find_excess


def layer(**config):
    return {
        "class_name": "Functional",
        "config": {"layers": [{"class_name": "X", "config": {"name": "one", **config}}]},
    }


@pytest.mark.parametrize("entry", ["units", "filters", "input_dim", "output_dim", "key_dim", "num_heads"])
def test_a_weight_cannot_be_longer_than_all_weights_together(entry):
    more = FREE_EXTENT + 1
    assert find_excess(layer(**{entry: more}), more) == ""
    assert find_excess(layer(**{entry: more}), more - 1) == (
        f"its layer 'one' says {entry}={more:,}, but the file holds {more - 1:,} weights in all"
    )
    assert find_excess(layer(**{entry: FREE_EXTENT}), 0) == ""


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("batch_shape", [None, 50_000, 50_000, 3]),
        ("batch_input_shape", [1, LARGEST_TENSOR + 1]),
        ("target_shape", [1 << 16, 1 << 16]),
        ("n", LARGEST_TENSOR + 1),
        ("size", [1 << 20, 1 << 20]),
        ("padding", [[0, 0], [1 << 31, 1 << 31]]),
        ("num_tokens", 10**15),
        ("shape", [1] * 65),
        ("shape", [10**400]),
    ],
)
def test_a_tensor_of_billions_of_numbers_is_out_of_proportion(entry, value):
    assert f"its layer 'one' says {entry}=" in find_excess(layer(**{entry: value}), 1000)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("batch_shape", [None, 1024, 1024, 3]),
        ("input_shape", [[None, 8, 8, 728], [None, 8, 8, 728]]),  # of two tensors, not of one
        ("padding", [[3, 3], [3, 3]]),
        ("padding", "same"),
        ("target_shape", [-1, 64]),
        ("n", True),
    ],
)
def test_honest_sizes_are_in_proportion(entry, value):
    assert find_excess(layer(**{entry: value}), 1000) == ""


@pytest.mark.parametrize("ends", ["input", "output"])
def test_a_model_of_countless_inputs_or_outputs_is_out_of_proportion(ends):
    model = {"class_name": "Functional", "config": {"name": "net", f"{ends}_layers": [["one", 0, 0]] * MOST_ENDS}}
    assert find_excess(model, 1000) == ""
    model["config"][f"{ends}_layers"].append(["one", 0, 0])
    assert find_excess({"config": {"layers": [model]}}, 1000) == (
        f"its model 'net' says that it has 10,001 {ends}s, more than 10,000"
    )
