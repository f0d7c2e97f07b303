"""Heads, key and value sizes of attention, and the width between two dense layers, as channels of a Transformer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.channels.channel_models import filled
from tests.channels.dead_channels import kill_
from tfcompress.channels import criteria, sensitivity
from tfcompress.channels.compensation import compensate_
from tfcompress.channels.cost import CostModel
from tfcompress.channels.groups import groups
from tfcompress.channels.removal import remove_channels
from tfcompress.channels.surgery import narrow
from tfcompress.models.profile import profile
from tfcompress.models.samples import Samples
from tfcompress.recipe import Channels

keras = pytest.importorskip("keras")
layers = keras.layers

TOKENS, REMEMBERED, WIDTH = 6, 4, 8


@dataclass(frozen=True)
class Block:
    """What a small Transformer is made of."""

    heads: int = 2
    keys: int = 3
    values: int = 4
    hidden: int = 5
    bias: bool = True
    grouped: bool = False
    across: bool = False
    mask: str = "none"
    first: bool = True
    activation: str = "gelu"
    seed: int = 0


BLOCKS = st.builds(
    Block,
    heads=st.integers(1, 3),
    keys=st.integers(1, 4),
    values=st.integers(1, 4),
    hidden=st.integers(2, 6),
    bias=st.booleans(),
    grouped=st.booleans(),
    across=st.booleans(),
    mask=st.sampled_from(["none", "causal", "given"]),
    first=st.booleans(),
    activation=st.sampled_from(["relu", "gelu", "silu", "tanh"]),
    seed=st.integers(0, 99),
)


def transformer(block: Block) -> Any:
    """A block over a stream of WIDTH channels, normalized before its parts or behind them; seeded weights."""
    keras.utils.set_random_seed(block.seed)
    stream = keras.Input((TOKENS, WIDTH), name="stream")
    inputs, memory, options = [stream], None, {}
    if block.across:
        inputs.append(keras.Input((REMEMBERED, WIDTH), name="memory"))
        memory = inputs[-1]
    if block.mask == "given":
        inputs.append(keras.Input((TOKENS, REMEMBERED if block.across else TOKENS), dtype="bool", name="mask"))
        options = {"attention_mask": inputs[-1]}
    elif block.mask == "causal" and not block.across:
        options = {"use_causal_mask": True}
    if block.grouped:
        # Heads of one number, as many as there are tokens: there Keras 3.15 itself answers wrongly.
        attention = layers.GroupQueryAttention(max(2, block.keys), 2 * block.heads, block.heads, name="attention")
    else:
        sizes = {"key_dim": block.keys, "value_dim": block.values, "use_bias": block.bias}
        attention = layers.MultiHeadAttention(block.heads, **sizes, name="attention")

    def attend(x: Any) -> Any:
        return attention(x, x if memory is None else memory, **options)

    def feed(x: Any) -> Any:
        hidden = layers.Dense(block.hidden, activation=block.activation, name="hidden")(x)
        return layers.Dense(WIDTH, name="back")(layers.Dropout(0.1)(hidden))

    x = stream
    for part in (attend, feed):
        norm = layers.LayerNormalization()
        x = layers.Add()([x, part(norm(x))]) if block.first else norm(layers.Add()([x, part(x)]))
    return filled(keras.Model(inputs, layers.Dense(3, name="scores")(x)), block.seed)


def inputs_for(model: Any, count: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Values by input; every position may look at one at least."""
    rng = np.random.default_rng(seed)
    found = {t.name: rng.normal(size=(count, *t.shape[1:])).astype("float32") for t in model.inputs}
    if "mask" in found:
        found["mask"] = found["mask"] > 0
        found["mask"][..., 0] = True
    return found


def answers(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model([inputs[t.name] for t in model.inputs], training=False))


def forget_(model: Any, group: Any, gone: list[int]) -> None:
    """Zero only what READS the channels; nothing reads keys but the scores: there queries are zeroed."""
    users = [m for m in group.members if m.role == "reads"]
    users = users or [m for m in group.members if m.weight.startswith("query/")]
    for member in users:
        values = np.array(member.variable.numpy())
        np.moveaxis(values, member.axis, 0)[np.isin(member.channel_of, gone)] = 0
        member.variable.assign(values)


@settings(max_examples=12, deadline=None)
@given(block=BLOCKS, by_readers=st.booleans(), data=st.data())
def test_what_does_nothing_inside_a_block_goes_with_equal_outputs(block: Block, by_readers: bool, data: Any) -> None:
    model = transformer(block)
    inputs = inputs_for(model)
    free = [group for group in groups(model) if not group.pinned]
    keep = {}
    for group in free:
        stays = data.draw(st.sets(st.integers(0, group.channels - 1), min_size=1), label=group.name)
        keep[group.name] = sorted(stays)
        gone = sorted(set(range(group.channels)) - stays)
        forget_(model, group, gone) if by_readers else kill_(group, gone)
    costs = CostModel.of(model).of_kept(keep)
    expected = answers(model, inputs)
    smaller = narrow(model, keep)
    assert (profile(smaller).macs, smaller.count_params()) == (costs.macs, costs.parameters)
    np.testing.assert_allclose(
        answers(smaller, inputs), expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max())
    )


def test_the_stream_stays_and_what_is_inside_the_blocks_goes() -> None:
    found = {group.name: group for group in groups(transformer(Block()))}
    free = {name: (group.channels, group.unit) for name, group in found.items() if not group.pinned}
    # A head is as many numbers as it has values; a number of the keys or values is one in each of the two heads.
    heads = {"attention:heads": (2, 4), "attention:values": (4, 2), "attention:keys": (3, 2)}
    assert free == {**heads, "hidden": (5, 1)}
    assert "tied to input 'stream'" in found["attention"].pinned


def test_a_head_is_the_unit_where_widths_are_multiples_of_eight() -> None:
    model = transformer(Block(heads=3, keys=8, values=8, hidden=16))
    wanted = Channels(remove=0.25, scope=("attention",))
    smaller = remove_channels(model, wanted).model.get_layer("attention")
    assert (smaller.num_heads, smaller.key_dim, smaller.value_dim) == (2, 8, 8)


@pytest.mark.parametrize("block", [Block(mask="given"), Block(grouped=True, across=True)])
def test_the_cost_is_projections_by_length_and_products_by_heads(block: Block) -> None:
    asked = REMEMBERED if block.across else TOKENS
    asking_heads = block.heads * (2 if block.grouped else 1)
    values = block.keys if block.grouped else block.values
    projections = TOKENS * WIDTH * asking_heads * (block.keys + values)
    projections += asked * WIDTH * block.heads * (block.keys + values)
    products = TOKENS * asked * asking_heads * (block.keys + values)
    dense = TOKENS * WIDTH * (2 * block.hidden + 3)
    assert profile(transformer(block)).macs == projections + products + dense


@pytest.fixture(scope="module")
def copied_head() -> Any:
    """A Transformer whose second head mixes what the first one mixes, at twice the size."""
    model = transformer(Block(heads=2, keys=3, values=4))
    attention = model.get_layer("attention")
    for dense, factor in ((attention.query_dense, 1.0), (attention.key_dense, 1.0), (attention.value_dense, 2.0)):
        for variable, axis in ((dense.kernel, 1), (dense.bias, 0)):
            values = np.moveaxis(np.array(variable.numpy()), axis, 0)
            values[1] = factor * values[0]
            variable.assign(np.moveaxis(values, 0, axis))
    return model


def test_the_head_that_stays_says_what_a_head_like_it_said(copied_head: Any) -> None:
    inputs = inputs_for(copied_head, 64)
    keep = {"attention:heads": [0]}
    copy = sensitivity.copy_of(copied_head)
    assert compensate_(groups(copy), keep, copy, inputs) == 1
    expected = answers(copied_head, inputs)
    far, near = (np.abs(answers(narrow(m, keep), inputs) - expected).max() for m in (copied_head, copy))
    assert near < 0.01 * far


def test_activation_of_a_head_is_what_the_last_projection_reads(copied_head: Any) -> None:
    wanted = [group for group in groups(copied_head) if group.name in ("attention:heads", "attention:values")]
    found = criteria.scores(copied_head, wanted, "activation", samples=Samples(inputs_for(copied_head, 16)))
    np.testing.assert_allclose(found["attention:heads"], [2 / 3, 4 / 3], rtol=1e-5)
    assert found["attention:values"].shape == (4,)
    assert len(set(found["attention:values"])) == 4


@pytest.mark.parametrize("criterion", ["l1", "l2", "taylor"])
def test_every_criterion_judges_heads_keys_and_values(criterion: str) -> None:
    model = transformer(Block())
    free = [group for group in groups(model) if not group.pinned]
    samples = Samples(inputs_for(model, 8), np.zeros((8, TOKENS), "int64"))
    found = criteria.scores(model, free, criterion, samples=samples)
    assert set(found) == {group.name for group in free}
    assert all((each > 0).all() for each in found.values())


def test_sensitivity_takes_heads_keys_and_values_away_one_group_at_a_time(copied_head: Any) -> None:
    inputs, seen = inputs_for(copied_head), []

    def evaluate(changed: Any) -> float:
        seen.append(answers(changed, inputs))
        return 0.0

    scores = {"attention:heads": np.array([0.0, 1.0]), "attention:keys": np.arange(3.0)}
    found = sensitivity.analyse(copied_head, scores, evaluate, fractions=(0.5,))
    assert [curve.group for curve in found.curves] == list(scores)
    whole, without_head, without_keys = seen
    expected = answers(narrow(copied_head, {"attention:heads": [1]}), inputs)
    np.testing.assert_allclose(without_head, expected, atol=1e-5)
    assert np.abs(without_keys - whole).max() > 1e-3
    np.testing.assert_array_equal(answers(copied_head, inputs), whole)


def test_a_layer_that_bears_the_name_of_the_last_projection_is_not_taken_for_it() -> None:
    given = keras.Input((6, 4))
    x = layers.Conv1D(5, 3, name="attention_output")(layers.Dense(3, name="body")(given))
    (body,) = [group for group in groups(keras.Model(given, layers.Dense(2)(x))) if group.name == "body"]
    (reader,) = [member for member in body.members if member.role == "reads"]
    assert reader.reading_axes == (1,)
    model = transformer(replace(Block(), seed=1))
    assert {m.reading_axes for g in groups(model) for m in g.members if m.weight == "attention_output/kernel"} == {
        (0, 1)
    }


def test_heads_that_are_projected_by_hand_are_as_wide_too() -> None:
    given = keras.Input((6, 8))
    x = layers.EinsumDense("btd,dhk->bthk", (None, 4, 5), name="query")(given)
    x = layers.EinsumDense("bthk,hkd->btd", (None, 8), name="back")(x)
    units = {group.name: group.unit for group in groups(keras.Model(given, layers.Dense(2)(x)))}
    assert (units["query:h"], units["query"], units["back"]) == (5, 4, 1)
