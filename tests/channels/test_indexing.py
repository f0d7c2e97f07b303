"""Raw operations that select, split, stack, turn and sum up axes: a model cut behind any chain of them stays exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.channels.channel_models import filled
from tests.channels.dead_channels import free_groups, kill_, outputs_of
from tfcompress.channels.groups import Group, groups
from tfcompress.channels.surgery import narrow

keras = pytest.importorskip("keras")
layers, ops = keras.layers, keras.ops

STEPS: dict[str, Callable[[Any], Any]] = {
    "first channels": lambda x: x[:, :, : x.shape[-1] - 1],
    "last channels": lambda x: x[..., -max(2, x.shape[-1] - 2) :],
    "rows": lambda x: x[:, 1:3],
    "a new axis": lambda x: x[:, :, None][:, :, 0],
    "halves swapped": lambda x: ops.concatenate(ops.split(x, [x.shape[-1] // 2], axis=-1)[::-1], axis=-1),
    "rows swapped": lambda x: ops.concatenate(ops.split(x, 2, axis=1)[::-1], axis=1),
    "stacked and summed": lambda x: ops.sum(ops.stack([x, x * 2.0], axis=1), axis=1),
    "stacked last": lambda x: ops.max(ops.stack([x, ops.relu(x)], axis=-1), axis=-1),
    "turned and back": lambda x: ops.swapaxes(ops.relu(ops.swapaxes(x, 1, 2)), 1, 2),
    "moved and back": lambda x: ops.moveaxis(ops.tanh(ops.moveaxis(x, -1, 1)), 1, -1),
    "tiled rows": lambda x: ops.tile(x, (1, 2, 1))[:, : x.shape[1]],
    "repeated rows": lambda x: ops.repeat(x, 2, axis=1)[:, ::2],
    "twice": lambda x: layers.Concatenate()([x, x]),
    "mean of rows": lambda x: x + ops.mean(x, axis=1, keepdims=True),
    "largest row": lambda x: x - ops.max(x, axis=1, keepdims=True),
    "sum of channels": lambda x: x * ops.sum(x, axis=-1, keepdims=True),
    "a constant each": lambda x: x * np.linspace(0.5, 2.0, x.shape[-1]).astype("float32"),
    "products of rows": lambda x: ops.matmul(ops.matmul(x, ops.swapaxes(x, 1, 2)), x) * 0.1,
    "by letters": lambda x: ops.einsum("btc,bsc,bsd->btd", x, x, x) * 0.1,
    "dense": lambda x: layers.Dense(6)(x),
    "gate": lambda x: x * layers.Dense(x.shape[-1], activation="sigmoid")(x),
    "square root": lambda x: ops.sqrt(ops.abs(x)),
}


def cut(model: Any, group: Group, rng: np.random.Generator) -> list[int]:
    """Kill some channels of a group; return those that stay, one of each part among them."""
    chosen = set(rng.choice(group.channels, rng.integers(1, group.channels), replace=False).tolist())
    for part in group.parts:
        if not chosen.intersection(part):
            chosen.add(part[0])
    kill_(group, sorted(set(range(group.channels)) - chosen))
    return sorted(chosen)


def check(model: Any, seed: int) -> bool:
    """Cut all groups whose dead channels are nowhere told from none, and compare; say whether there were any."""
    rng = np.random.default_rng(seed)
    keep = {group.name: cut(model, group, rng) for group in free_groups(model) if not group.emits}
    expected, smaller = outputs_of(model), narrow(model, keep)
    for one, other in zip(expected, outputs_of(smaller), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(one).max())))
    return any(len(keep[group.name]) < group.channels for group in groups(model) if group.name in keep)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), steps=st.lists(st.sampled_from(list(STEPS)), min_size=1, max_size=4))
def test_any_chain_of_operations_stays_exact(seed: int, steps: list[str]) -> None:
    given_tensor = keras.Input((4, 3))
    x = layers.Dense(6, activation="relu", name="body")(given_tensor)
    for step in steps:
        if x.shape[-1] < 3 or (x.shape[1] < 4 and step in ("rows", "rows swapped")):
            continue
        x = STEPS[step](x)
    check(filled(keras.Model(given_tensor, layers.Dense(2, name="scores")(layers.Flatten()(x))), seed), seed)


@pytest.mark.parametrize("step", STEPS)
def test_each_operation_lets_channels_go(step: str) -> None:
    """A pinned group is exact, too: none of these operations need one."""
    given_tensor = keras.Input((4, 3))
    x = STEPS[step](layers.Dense(6, activation="relu", name="body")(given_tensor))
    model = filled(keras.Model(given_tensor, layers.Dense(2, name="scores")(layers.Flatten()(x))))
    assert check(model, 3)
    (body,) = (group for group in groups(model) if "body" in group.producers)
    assert (body.pinned, body.emits) == ("", "")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda x: x[..., 2], "takes one of them"),
        (lambda x: x[..., ::2], "takes them with gaps"),
        (lambda x: x[..., ::-1], "takes them with gaps"),
        (lambda x: ops.mean(x, axis=-1), "takes statistics over its channels"),
        (lambda x: ops.max(x, axis=-1), "takes statistics over its channels"),
        (lambda x: ops.repeat(x, 2, axis=-1), "repeats them"),
        (lambda x: ops.tile(x, (1, 1, 2)), "repeats them"),
        (lambda x: ops.softmax(x, axis=-1), "mixes channels"),
        (lambda x: ops.flip(x, axis=-1), "cannot be narrowed"),
        (lambda x: ops.cumsum(x, axis=-1), "cannot be narrowed"),
        (lambda x: ops.roll(x, 1, axis=-1), "cannot be narrowed"),
    ],
)
def test_what_looks_at_channels_by_their_number_keeps_all_of_them(step: Any, reason: str) -> None:
    given_tensor = keras.Input((4, 3))
    x = step(layers.Dense(6, name="body")(given_tensor))
    model = keras.Model(given_tensor, layers.Dense(2)(layers.Flatten()(x)))
    (body,) = (group for group in groups(model) if "body" in group.producers)
    assert reason in body.pinned


@pytest.mark.parametrize(
    ("step", "emits"),
    [
        (ops.sigmoid, True),
        (ops.exp, True),
        (lambda x: x + 1.0, True),
        (ops.cos, True),
        (lambda x: ops.maximum(x, 0.5), True),
        (ops.relu, False),
        (ops.sin, False),
        (lambda x: ops.minimum(x, 0.5), False),
        (lambda x: ops.square(x) * 3.0, False),
        (lambda x: ops.exp(x) - 1.0, False),
    ],
)
def test_a_dead_channel_that_is_not_zero_where_it_is_read_is_told(step: Any, emits: bool) -> None:
    given_tensor = keras.Input((3,))
    x = step(layers.Dense(6, name="body")(given_tensor))
    (body,) = free_groups(keras.Model(given_tensor, layers.Dense(2)(x)))
    assert bool(body.emits) is emits
