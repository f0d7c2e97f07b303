from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.low_rank.decompositions import METHODS, full_ranks, outlines
from tfcompress.low_rank.factoring import check_factorable, factored, rewrite
from tfcompress.low_rank.places import Place, places_of
from tfcompress.low_rank.rank_choice import model_cost
from tfcompress.low_rank.rank_options import RankOption, cost_of, methods_of, why_not
from tfcompress.low_rank.recomposition import recomposed
from tfcompress.low_rank.response import responses
from tfcompress.models.profile import profile
from tfcompress.models.samples import Samples
from tfcompress.stages.low_rank import LowRank
from tfcompress.stages.rewriting import RewritingContext

LAYERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "dense": ("Dense", {"units": 6, "activation": "relu"}, (9,)),
    "over-time": ("Dense", {"units": 9, "use_bias": False}, (4, 3, 6)),
    "same": ("Conv2D", {"filters": 7, "kernel_size": 3, "padding": "same", "activation": "relu"}, (6, 5, 4)),
    "strided": ("Conv2D", {"filters": 5, "kernel_size": (3, 2), "strides": (1, 2)}, (7, 6, 4)),
    "dilated": ("Conv2D", {"filters": 5, "kernel_size": 3, "dilation_rate": (2, 1), "padding": "same"}, (7, 6, 4)),
    "pointwise": ("Conv2D", {"filters": 5, "kernel_size": 1, "strides": 2, "use_bias": False}, (5, 5, 4)),
    "causal": ("Conv1D", {"filters": 6, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, (9, 4)),
    "series": ("Conv1D", {"filters": 6, "kernel_size": 4, "padding": "same"}, (9, 4)),
    "look-up": ("Embedding", {"input_dim": 20, "output_dim": 6}, (5,)),
}

CASES = [
    pytest.param(name, method, id=f"{name}-{method}")
    for name, (kind, more, _) in LAYERS.items()
    for method in METHODS
    if method == "svd" or ("Conv" in kind and more["kernel_size"] != 1)
    if not (method == "spatial" and kind == "Conv1D")
    if not (method == "cp" and (name in ("strided", "causal")))
]


def single(keras: Any, kind: str, more: dict[str, Any], shape: tuple[int, ...]) -> Any:
    keras.utils.set_random_seed(3)
    layer = getattr(keras.layers, kind)(**more)
    dtype = "int32" if kind == "Embedding" else "float32"
    model = keras.Sequential([keras.Input(shape, dtype=dtype, name="x"), layer])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


def samples_of(model: Any, count: int = 24) -> np.ndarray:
    """Return samples whose channels are of unlike size, with a mean."""
    rng, shape = np.random.default_rng(1), model.inputs[0].shape[1:]
    if "int" in model.inputs[0].dtype:
        return rng.integers(0, 8, (count, *shape)).astype(np.int32)
    spread = np.linspace(0.1, 3.0, shape[-1])
    return (rng.normal(size=(count, *shape)) * spread + 0.5).astype(np.float32)


def option(place: Place, method: str, ranks: tuple[int, ...]) -> RankOption:
    return RankOption(method, ranks, 1.0, cost_of(place, outlines(method, place.kernel.shape, ranks)))


@pytest.mark.parametrize(("name", "method"), CASES)
def test_factors_of_a_layer(name: str, method: str, keras: Any) -> None:
    """Full rank is exact; samples never make it worse on them; costs are right; and it can all be put together."""
    model = single(keras, *LAYERS[name])
    x = samples_of(model)
    expected = model(x).numpy()
    path, place = next(iter(places_of(model).found.items()))
    full = full_ranks(method, place.kernel.shape)
    whole = factored(model, {path: option(place, method, full)})(x).numpy()
    assert np.allclose(whole, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))
    moments = responses(model, [place], {"x": x})
    low = option(place, method, tuple(max(1, rank // 3) for rank in full))
    plain, aware = (factored(model, {path: low}, given) for given in (None, moments))
    if place.core.__class__.__name__ == "Embedding" or place.core.activation is keras.activations.linear:
        errors = [float(((made(x).numpy() - expected) ** 2).mean()) for made in (plain, aware)]
        assert errors[1] <= errors[0] * (1 + 1e-5)
    assert aware.layers[-1].name == model.layers[-1].name
    if not place.is_embedding:
        assert model_cost(aware).macs == profile(aware).macs == low.cost.macs
    together = recomposed(aware)
    assert [type(layer) for layer in together.layers] == [type(layer) for layer in model.layers]
    assert np.allclose(together(x), aware(x), atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_steps_of_a_time_distributed_layer_share_its_factors(keras: Any) -> None:
    inner = keras.layers.Conv2D(6, 3, padding="same", name="inner")
    model = keras.Sequential([keras.Input((3, 5, 4, 4), name="x"), keras.layers.TimeDistributed(inner, name="steps")])
    x = samples_of(model)
    place = places_of(model).found["steps"]
    made = factored(
        model,
        {"steps": option(place, "spatial", full_ranks("spatial", (3, 3, 4, 6)))},
        responses(model, [place], {"x": x}),
    )
    assert [layer.name for layer in made.layers] == ["steps_factor1", "steps"]
    assert np.allclose(made(x), model(x), atol=1e-4)
    assert np.allclose(recomposed(made)(x), model(x), atol=1e-4)
    assert profile(made).macs == option(place, "spatial", (12,)).cost.macs


def branching(keras: Any) -> Any:
    """Return a model with a nested one, a layer that is called twice, a normalization, masks and two outputs."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inside = keras.Sequential(
        [keras.Input((8, 8, 16)), layers.Conv2D(16, 3, padding="same", name="deep")], name="inside"
    )
    image = keras.Input((8, 8, 16), name="image")
    words = keras.Input((6,), dtype="int32", name="words")
    shared = layers.Conv2D(16, 3, padding="same", activation="relu", name="shared")
    x = layers.BatchNormalization(name="norm")(shared(image))
    x = layers.Add(name="sum")([shared(x), inside(x)])
    x = layers.DepthwiseConv2D(3, name="each")(x)
    x = layers.Conv2D(16, 3, groups=2, name="halves")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    y = layers.Embedding(40, 24, mask_zero=True, name="table")(words)
    y = layers.LSTM(8, name="state")(y)
    x = layers.Concatenate(name="both")([x, y])
    x = layers.Dense(64, activation="relu", kernel_regularizer="l2", name="wide", trainable=False)(x)
    scores = layers.Dense(48, activation="softmax", name="scores")(x)
    return keras.Model([image, words], {"scores": scores, "height": layers.Dense(1, name="height")(x)})


def given(count: int = 12) -> Samples:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(count, 8, 8, 16)).astype(np.float32)
    return Samples({"image": image, "words": rng.integers(0, 40, (count, 6)).astype(np.int32)})


@pytest.fixture(scope="module")
def whole(keras: Any) -> Any:
    return branching(keras)


def names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]


def test_a_whole_model_keeps_its_names_its_outputs_and_what_its_layers_are(whole: Any, keras: Any) -> None:
    stage = LowRank(target=0.5, of="bytes", round_to=1)
    found = rewrite(whole, stage, RewritingContext(samples=given()))
    model, before, after = found.model, model_cost(whole), model_cost(found.model)
    assert after.bytes <= 0.5 * before.bytes
    assert model.output_names == whole.output_names
    assert [tensor.name for tensor in model.inputs] == [tensor.name for tensor in whole.inputs]
    assert "shared_factor1" in names(model)
    assert "table_factor1" in names(model)
    assert model.get_layer("inside").layers[-1].name == "deep"
    table, last = model.get_layer("table_factor1"), model.get_layer("table")
    assert (table.mask_zero, last.use_bias, last.units) == (True, False, 24)
    first, wide = model.get_layer("wide_factor1"), model.get_layer("wide")
    assert (first.trainable, wide.trainable) == (False, False)
    assert all(isinstance(layer.kernel_regularizer, keras.regularizers.L2) for layer in (first, wide))
    assert wide.activation is keras.activations.relu
    assert first.activation is keras.activations.linear
    told = " ".join(found.notes)
    assert f"{before.macs:,} → {after.macs:,} multiply-accumulates" in told
    assert f"{before.parameters:,} → {after.parameters:,} parameters" in told
    assert "'each' (depthwise: few weights, and each of them counts)" in told
    assert "'halves' (it has 2 groups)" in told
    assert "'state' (LSTM is not taken apart)" in told
    assert "'table' multiply now, where they only looked up" in told


def test_a_mask_goes_through_the_factors_of_an_embedding(keras: Any) -> None:
    table = keras.layers.Embedding(30, 12, mask_zero=True, name="table")
    model = keras.Sequential([keras.Input((5,), dtype="int32", name="x"), table, keras.layers.GRU(4, name="state")])
    x = np.array([[3, 4, 0, 0, 0], [1, 2, 3, 4, 5]], np.int32)
    place = places_of(model).found["table"]
    made = factored(model, {"table": option(place, "svd", (12,))})
    assert np.allclose(made(x), model(x), atol=1e-5)
    assert not np.allclose(model(np.maximum(x, 1)), model(x), atol=1e-3)


def test_without_samples_the_energy_of_the_weights_chooses(whole: Any) -> None:
    found = rewrite(whole, LowRank(target=0.6), RewritingContext())
    assert model_cost(found.model).macs <= 0.6 * model_cost(whole).macs
    assert "of the energy of their weights they keep" in " ".join(found.notes)
    assert "'table' (it only looks up: no multiply-accumulates to save)" in " ".join(found.notes)


def test_what_was_taken_apart_is_put_together_before_it_is_taken_apart_again(whole: Any) -> None:
    first = rewrite(whole, LowRank(target=0.6), RewritingContext()).model
    again = rewrite(first, LowRank(target=0.7), RewritingContext(original=whole)).model
    assert model_cost(again).macs <= 0.7 * model_cost(first).macs
    assert not any("factor1_factor1" in name for name in names(again))


def test_more_is_kept_where_more_is_left(whole: Any) -> None:
    inputs = given()
    expected = whole([inputs.inputs["image"], inputs.inputs["words"]])["scores"].numpy()

    def off(target: float) -> float:
        made = rewrite(whole, LowRank(target=target, method="svd", round_to=1), RewritingContext(samples=inputs)).model
        got = made([inputs.inputs["image"], inputs.inputs["words"]])["scores"].numpy()
        return float(((got - expected) ** 2).mean())

    assert off(0.9) < off(0.3)


@pytest.mark.parametrize(
    ("stage", "error", "message"),
    [
        (LowRank(target=0.001), UsageError, r"low_rank\.target must be at least 0\.\d+ of the multiply-accumulates"),
        (LowRank(scope=("shred",)), UsageError, r"low_rank\.scope matches no layer with a kernel: 'shred' \(did you"),
        (LowRank(scope=("each",)), UnsupportedError, r"finds nothing to take apart .*'each': depthwise"),
        (LowRank(scope=("height",), method="cp"), UnsupportedError, r"'height': no rank takes fewer"),
        (LowRank(of="latency"), UsageError, r"low_rank\.of must be 'macs', .* where no latency can be measured"),
    ],
    ids=["too little", "misspelt", "depthwise", "too small", "no latency"],
)
def test_what_cannot_be_done_is_said(stage: LowRank, error: type[Exception], message: str, whole: Any) -> None:
    with pytest.raises(error, match=message):
        rewrite(whole, stage, RewritingContext())


def test_a_look_at_the_model_finds_what_the_work_would_not(whole: Any) -> None:
    check_factorable(whole, LowRank(target=0.9))
    for target in (0.001, 0.2, 0.5):
        try:
            rewrite(whole, LowRank(target=target), RewritingContext())
        except UsageError as refusal:
            with pytest.raises(UsageError, match=f"^{re.escape(str(refusal))}$"):
                check_factorable(whole, LowRank(target=target))
        else:
            check_factorable(whole, LowRank(target=target))
    for stage, message in (
        (LowRank(scope=("each",)), "depthwise"),
        (LowRank(scope=("height",), method="cp"), "no rank"),
    ):
        with pytest.raises(UnsupportedError, match=f"finds nothing to take apart .*{message}"):
            check_factorable(whole, stage)


def test_by_latency_only_what_is_faster_by_itself_is_taken_apart(whole: Any) -> None:
    """The ratio of latencies is here that of multiply-accumulates, but that two convolutions hate to be apart."""

    def ratio(before: Any, after: Any) -> float:
        alone = names(before)[-1] == "shared" and len(before.layers) == 1
        return 1.5 if alone else model_cost(after).macs / model_cost(before).macs

    stage = LowRank(target=0.85, of="latency", method="svd", round_to=1)
    found = rewrite(whole, stage, RewritingContext(latency_ratio=ratio))
    assert "shared_factor1" not in names(found.model)
    assert model_cost(found.model).macs <= 0.85 * model_cost(whole).macs
    with pytest.raises(UsageError, match=r"low_rank\.target must be at least 0\.\d+ of the latency of this model here"):
        rewrite(
            whole, LowRank(target=0.3, of="latency", method="svd", round_to=1), RewritingContext(latency_ratio=ratio)
        )


def refused(keras: Any, layer: Any, shape: tuple[int, ...]) -> str:
    return next(iter(places_of(keras.Sequential([keras.Input(shape), layer])).refused.values()))


def test_what_cannot_be_taken_apart_is_named(keras: Any) -> None:
    layers = keras.layers
    assert refused(keras, layers.Dense(4, kernel_constraint="non_neg"), (4,)).startswith("a constraint on its kernel")
    assert refused(keras, layers.SeparableConv2D(4, 3), (5, 5, 4)).startswith("depthwise")
    assert refused(keras, layers.Conv2DTranspose(4, 3), (5, 5, 4)) == "Conv2DTranspose is not taken apart"
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    assert refused(keras, layers.TimeDistributed(inner), (3, 4)) == "a model inside a TimeDistributed"

    class Own(layers.Dense):
        pass

    assert refused(keras, Own(4), (4,)) == "Own is not taken apart"


@pytest.mark.parametrize(
    ("name", "method", "methods"),
    [
        ("dense", "cp", ("svd",)),
        ("pointwise", "tucker", ("svd",)),
        ("series", "spatial", ("svd",)),
        ("series", "auto", ("svd", "tucker")),
        ("same", "auto", ("svd", "spatial", "tucker")),
        ("same", "cp", ("cp",)),
    ],
)
def test_methods_are_those_that_mean_something(name: str, method: str, methods: tuple[str, ...], keras: Any) -> None:
    place = next(iter(places_of(single(keras, *LAYERS[name])).found.values()))
    assert methods_of(place, method) == methods


@pytest.mark.parametrize(
    ("name", "message"), [("strided", "along one axis, which take no strides"), ("causal", "no causal padding")]
)
def test_cp_refuses_what_depthwise_convolutions_cannot_do(name: str, message: str, keras: Any) -> None:
    place = next(iter(places_of(single(keras, *LAYERS[name])).found.values()))
    assert message in why_not(place, "cp", "macs", projected=False)
