import numpy as np
import pytest

from tests.models import small_models
from tests.models.small_models import GRAPHS, build
from tfcompress.models.bridge import to_keras2
from tfcompress.models.profile import profile


def macs_of(keras_module, shape, *layers, dtype=None):
    """Return the multiply-accumulates of every layer of a sequential model, by class name."""
    model = keras_module.Sequential([keras_module.Input(shape, dtype=dtype), *layers])
    return [(layer.type, layer.macs) for layer in profile(model).layers]


def test_dense_layers_multiply_by_their_kernel_once_for_every_vector(keras_module):
    layers = keras_module.layers
    assert macs_of(keras_module, (8,), layers.Dense(6), layers.Dense(3)) == [("Dense", 8 * 6), ("Dense", 6 * 3)]
    assert macs_of(keras_module, (5, 7, 8), layers.Dense(6)) == [("Dense", 5 * 7 * 8 * 6)]


def test_convolutions_use_their_kernel_at_every_output_position(keras_module):
    layers = keras_module.layers
    found = macs_of(
        keras_module,
        (8, 8, 3),
        layers.Conv2D(4, 3, padding="same"),
        layers.Conv2D(6, 3, strides=2, padding="same", groups=2),
        layers.Conv2D(5, 3, dilation_rate=1),
        layers.DepthwiseConv2D(2, depth_multiplier=3),
        layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
        layers.SeparableConv2D(7, 3, padding="same"),
    )
    assert found == [
        ("Conv2D", 8 * 8 * 3 * 3 * 3 * 4),
        ("Conv2D", 4 * 4 * 3 * 3 * (4 // 2) * 6),
        ("Conv2D", 2 * 2 * 3 * 3 * 6 * 5),
        ("DepthwiseConv2D", 1 * 1 * 2 * 2 * 5 * 3),
        ("Conv2DTranspose", 1 * 1 * 3 * 3 * 15 * 2),
        ("SeparableConv2D", 2 * 2 * (3 * 3 * 2 + 2 * 7)),
    ]


def test_convolutions_in_one_and_three_dimensions(keras_module):
    layers = keras_module.layers
    assert macs_of(keras_module, (12, 4), layers.Conv1D(5, 3, padding="causal", dilation_rate=2)) == [
        ("Conv1D", 12 * 3 * 4 * 5)
    ]
    assert macs_of(keras_module, (6, 6, 6, 2), layers.Conv3D(3, 3)) == [("Conv3D", 4**3 * 3**3 * 2 * 3)]


def test_recurrent_layers_multiply_at_every_step(keras_module):
    layers = keras_module.layers
    found = macs_of(
        keras_module,
        (6, 4),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(5)),
        layers.GRU(2, return_sequences=True),
        layers.SimpleRNN(7),
    )
    assert found == [
        ("Bidirectional", 2 * 6 * (4 * 4 * 3 + 3 * 4 * 3)),
        ("TimeDistributed", 6 * 6 * 5),
        ("GRU", 6 * (5 * 3 * 2 + 2 * 3 * 2)),
        ("SimpleRNN", 6 * (2 * 7 + 7 * 7)),
    ]


def test_attention_is_its_projections_and_two_products(keras_module):
    query, value = keras_module.Input((4, 6)), keras_module.Input((5, 7))
    attention = keras_module.layers.MultiHeadAttention(2, 3, value_dim=8, name="attention")
    rows = {r.name: r for r in profile(keras_module.Model([query, value], attention(query, value))).layers}
    projections = 4 * 6 * (2 * 3) + 5 * 7 * (2 * 3) + 5 * 7 * (2 * 8) + 4 * (2 * 8) * 6
    assert rows["attention"].macs == projections + 4 * 5 * (2 * 3) + 4 * 5 * (2 * 8)

    dot = keras_module.layers.Attention(name="dot")
    assert profile(keras_module.Model(query, dot([query, query]))).macs == 4 * 4 * 6 + 4 * 4 * 6


def test_einsum_dense_multiplies_over_all_its_letters(keras_module):
    layers = keras_module.layers
    layer = layers.EinsumDense("abc,cde->abde", output_shape=(None, 3, 2))
    assert macs_of(keras_module, (5, 4), layer) == [("EinsumDense", 5 * 4 * 3 * 2)]
    layer = layers.EinsumDense("...x,xy->...y", output_shape=6)
    assert macs_of(keras_module, (5, 4), layer) == [("EinsumDense", 5 * 4 * 6)]


def test_what_multiplies_element_by_element_counts_as_nothing(keras_module):
    layers = keras_module.layers
    found = macs_of(
        keras_module, (10,), layers.Embedding(20, 4), layers.LayerNormalization(), layers.PReLU(), dtype="int32"
    )
    assert found == [("Embedding", 0), ("LayerNormalization", 0), ("PReLU", 0)]


def test_matrix_products_outside_layers_are_counted_in_both_kerases(keras, tf_keras):
    model = build(small_models.raw_ops, keras)
    products = 24 * 5 * 2
    expected = 8 * 8 * 3 * 3 * 3 * 4 + products + 2 * 2
    assert profile(model).macs == expected
    assert profile(to_keras2(model)).macs == expected
    assert profile(build(small_models.raw_ops, tf_keras)).macs == expected


def test_products_of_transposed_and_constant_matrices_are_counted(keras):
    x = keras.Input((4, 6))
    assert profile(keras.Model(x, keras.ops.matmul(np.ones((3, 4), "float32"), x))).macs == 3 * 4 * 6


def test_what_cannot_be_counted_is_listed_and_not_in_the_sum(keras_module):
    profiled = profile(build(small_models.lambda_layer, keras_module))
    assert (profiled.macs, profiled.not_counted) == (4 * 2, ("twice_less_one",))


def test_an_open_size_leaves_a_layer_uncounted(keras_module):
    i = keras_module.Input((None, None, 3))
    profiled = profile(keras_module.Model(i, keras_module.layers.Conv2D(2, 3, name="conv")(i)))
    assert (profiled.macs, profiled.not_counted) == (None, ("conv",))
    assert profiled.layers[0].output_shape == (None, None, 2)


@pytest.mark.parametrize("kind", GRAPHS)
def test_all_weights_are_parameters_and_both_kerases_cost_the_same(kind, keras, tf_keras):
    model, other = build(kind, keras), build(kind, tf_keras)
    ours, theirs = profile(model), profile(other)
    assert ours.parameters == model.count_params() == theirs.parameters
    assert ours.nonzero == sum(np.count_nonzero(w) for w in model.get_weights())
    assert ours.macs == theirs.macs


def test_shared_layers_cost_weights_once_and_work_every_time(keras_module):
    profiled = profile(build(small_models.shared, keras_module))
    rows = {row.name: row for row in profiled.layers}
    assert (rows["twice"].parameters, rows["twice"].macs) == (4 * 4 + 4, 2 * 4 * 4)
    dense = next(row for name, row in rows.items() if name.startswith("inner/"))
    assert (dense.parameters, dense.macs) == (4 * 3 + 3, 2 * 4 * 3)


def test_nested_models_are_shown_layer_by_layer(keras_module):
    names = [row.name for row in profile(build(small_models.nested, keras_module)).layers]
    assert [name.count("/") for name in names] == [1, 2, 2, 0, 0]
    assert names[1].startswith("backbone/inner/")


def test_zeros_are_not_counted_as_nonzero(keras_module):
    model = build(small_models.frozen, keras_module)
    model.get_layer("body").set_weights([np.zeros((4, 3)), np.ones(3)])
    row = next(row for row in profile(model).layers if row.name == "body")
    assert (row.parameters, row.nonzero, row.output_shape, row.dtype) == (4 * 3 + 3, 3, (3,), "float32")


def test_of_a_subclassed_model_the_parameters_are_known(keras_module):
    profiled = profile(build(small_models.subclassed, keras_module))
    assert (profiled.parameters, profiled.macs) == (4 * 2 + 2, None)
    assert len(profiled.not_counted) == 1


@pytest.mark.slow
def test_what_tfmots_wrappers_add_is_not_counted(tf_keras):
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    plain = profile(build(small_models.residual_plain, tf_keras))
    clustering = {
        "number_of_clusters": 4,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.LINEAR,
    }
    for wrap in (
        tfmot.quantization.keras.quantize_model,
        tfmot.sparsity.keras.prune_low_magnitude,
        lambda model: tfmot.clustering.keras.cluster_weights(model, **clustering),
    ):
        found = profile(wrap(build(small_models.residual_plain, tf_keras)))
        assert (found.parameters, found.macs, found.not_counted) == (plain.parameters, plain.macs, ())
        assert [row.name for row in found.layers] == [row.name for row in plain.layers]
