"""Small Keras 3 models, one for every way in which channels can depend on each other."""

import importlib

import numpy as np

from tfcompress.models.keras_private import functional

keras = importlib.import_module("keras")
layers, ops = keras.layers, keras.ops


def plain(x):
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, name="first")(x)))
    x = layers.MaxPooling2D(2)(x)
    return layers.Flatten()(layers.Conv2D(4, 2, activation="relu", name="second")(x))


def residual(x):
    x = layers.Conv2D(6, 3, padding="same", name="stem")(x)
    y = layers.BatchNormalization(scale=False)(layers.Conv2D(6, 3, padding="same", use_bias=False, name="branch")(x))
    y = layers.Conv2D(6, 1, name="tail")(layers.Activation("gelu")(y))
    return layers.GlobalAveragePooling2D()(layers.Add()([x, y]))


def merged(x):
    a, b, c, d = (layers.Conv2D(4, 1, name=f"c{n}")(x) for n in range(4))
    x = layers.Subtract()([layers.Maximum()([a, b]), layers.Average()([c, d])])
    return layers.GlobalMaxPooling2D()(layers.Minimum()([x, layers.Multiply()([a, d])]))


def squeeze_excite(x):
    x = layers.Conv2D(6, 3, name="body")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="swish", name="squeeze")(gate)
    x = layers.Multiply()([x, layers.Conv2D(6, 1, activation="sigmoid", name="excite")(gate)])
    return layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="after")(x))


def gated_by_place(x):
    x = layers.Conv2D(6, 3, name="body")(x)
    x = layers.Multiply()([x, layers.Conv2D(1, 1, activation="sigmoid", name="gate")(x)])
    return layers.GlobalAveragePooling2D()(x)


def dense_blocks(x):
    for n in range(3):
        y = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, layers.Conv2D(3, 3, padding="same", name=f"grow{n}")(y)])
    x = layers.Conv2D(5, 1, name="transition")(x)
    return layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2)(x))


def added_to_concatenated(x):
    """A group whose first producer makes only a part of its channels."""
    a, b = layers.Conv2D(3, 1, name="a")(x), layers.Conv2D(4, 1, name="b")(x)
    c = layers.Conv2D(7, 1, name="c")(layers.Concatenate()([a, b]))
    return layers.GlobalAveragePooling2D()(layers.Add()([layers.Concatenate()([a, b]), c]))


def depthwise(x):
    x = layers.Conv2D(5, 1, name="expand")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    return layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, use_bias=False, name="project")(x))


def separable(x):
    x = layers.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu", name="one")(x)
    return layers.Flatten()(layers.SeparableConv2D(4, 3, name="two")(x))


def grouped_whole(x):
    """As many groups as channels in each of them: whole groups go."""
    x = layers.Conv2D(12, 1, name="before")(x)
    x = layers.ReLU()(layers.Conv2D(8, 3, groups=4, name="grouped")(x))
    return layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="after")(x))


def grouped_within(x):
    """Few wide groups: the same channel of every group goes."""
    x = layers.Conv2D(12, 1, name="before")(x)
    x = layers.ReLU()(layers.Conv2D(8, 3, groups=2, name="grouped")(x))
    return layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="after")(x))


def grouped_first(x):
    return layers.GlobalAveragePooling2D()(layers.Conv2D(9, 3, groups=3, name="grouped")(x))


def transposed(x):
    x = layers.Conv2DTranspose(5, 3, strides=2, activation="elu", name="up")(x)
    x = layers.UpSampling2D(2)(layers.ZeroPadding2D(1)(layers.Cropping2D(1)(x)))
    return layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(4, 2, name="again")(x))


def normalized_in_groups(x):
    x = layers.GroupNormalization(4)(layers.Conv2D(8, 3, name="body")(x))
    return layers.GlobalAveragePooling2D()(layers.Activation("swish")(x))


def normalized_by_length(x):
    x = layers.Dense(6, name="a")(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(6, name="b")(layers.RMSNormalization(epsilon=0.01)(x))
    return layers.UnitNormalization()(x)


def slopes(x):
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(6, 3, name="a")(x))
    x = layers.PReLU()(layers.Conv2D(4, 3, name="b")(x))
    return layers.Flatten()(layers.LeakyReLU()(layers.Dropout(0.5)(x)))


def reshaped(x):
    x = layers.Conv2D(6, 3, name="body")(x)
    x = layers.Permute((2, 1))(layers.Reshape((-1, 6))(x))
    return layers.Flatten()(layers.Permute((2, 1))(x))


def shuffled(x):
    """Channel shuffle: (4 x 2) channels are turned into (2 x 4)."""
    x = layers.Conv2D(8, 1, name="body")(x)
    x = ops.transpose(layers.Reshape((8, 8, 4, 2))(x), (0, 1, 2, 4, 3))
    return layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="after")(layers.Reshape((8, 8, 8))(x)))


def raw_operations(x):
    x = layers.Conv2D(6, 3, name="a")(x) * np.linspace(0.5, 2.0, 6, dtype=np.float32)
    x = ops.relu(x) - 0.5 * ops.tanh(layers.Conv2D(6, 3, name="b")(ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))))
    x = x * ops.relu6(x + 3.0) / 6.0
    x = ops.concatenate([x[:, 1:-1, ::2, :], x[:, 1:-1, 1::2, :]], axis=2)
    return ops.mean(ops.squeeze(ops.expand_dims(x, 1), 1), axis=(1, 2)) + ops.max(x, axis=(1, 2))


def split_channels(x):
    x = layers.Conv2D(8, 3, name="body")(x)
    one, two, three = ops.split(x, [3, 5], axis=-1)
    x = ops.concatenate([three, x[..., 2:6], one], axis=-1)
    total = layers.Concatenate()([layers.Conv2D(4, 1, name="after")(x), ops.sum(two, axis=-1, keepdims=True)])
    return layers.GlobalAveragePooling2D()(total)


def multiplied(x):
    x = layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x))
    a, b, c = (layers.Dense(n, name=name)(x) for n, name in ((5, "a"), (5, "b"), (4, "c")))
    scores = ops.softmax(ops.matmul(a, ops.transpose(b, (0, 2, 1))))
    return ops.mean(ops.matmul(scores, c) + ops.einsum("btc,btd->bcd", c, c)[:, :1, :], axis=1)


def heads_by_hand(x):
    x = layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x))
    query, key, value = (
        ops.transpose(layers.Reshape((64, 2, 5))(layers.Dense(10, name=name)(x)), (0, 2, 1, 3)) for name in "qkv"
    )
    scores = ops.softmax(ops.matmul(query, ops.swapaxes(key, 2, 3)))
    x = layers.Reshape((64, 10))(ops.moveaxis(ops.matmul(scores, value), 1, 2))
    return layers.GlobalAveragePooling1D()(layers.Dense(4, name="out")(x))


def attention(x):
    x = layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x))
    y = layers.MultiHeadAttention(3, 4, value_dim=5, output_shape=8, name="attention")(x, x)
    y = layers.Dense(6, activation="relu", name="mlp")(y)
    return layers.GlobalAveragePooling1D()(layers.Add()([x, y]))


def transformer(x):
    x = layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x))
    x = layers.Add()([x, layers.MultiHeadAttention(4, 2, name="attention")(layers.LayerNormalization()(x), x)])
    y = layers.Dense(6, name="out")(layers.Dense(8, activation="gelu", name="mlp")(layers.LayerNormalization()(x)))
    return layers.GlobalAveragePooling1D()(layers.Add()([x, y]))


def shared_heads(x):
    x = layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x))
    y = layers.Dense(6, name="other")(x)
    x = layers.GroupQueryAttention(3, num_query_heads=6, num_key_value_heads=3, name="attention")(x, y)
    return layers.GlobalAveragePooling1D()(x)


def scored(x):
    a, b, c = (layers.Reshape((64, -1))(layers.Conv2D(n, 1, name=f"to{n}")(x)) for n in (6, 5, 4))
    keys = layers.Dense(6, name="keys")(b)
    x = layers.Attention(use_scale=True)([a, c, keys])
    x = layers.Concatenate()([x, layers.AdditiveAttention()([a, b, layers.Dense(6, name="more")(b)])])
    return layers.GlobalAveragePooling1D()(x)


def einsum(x):
    x = layers.EinsumDense("bhwc,cnd->bhwnd", (None, None, 4, 3), bias_axes="nd", activation="relu", name="make")(x)
    x = layers.EinsumDense("bhwnd,ndo->bhwo", (None, None, 5), bias_axes="o", name="read")(x)
    return layers.GlobalAveragePooling2D()(layers.EinsumDense("...i,ij->...j", 4, name="last")(x))


def sequence(x):
    x = layers.Reshape((32, 6))(x)
    x = layers.Conv1D(6, 3, padding="causal", name="causal")(x)
    x = layers.MaxPooling1D(2)(layers.BatchNormalization()(x))
    x = layers.SeparableConv1D(5, 3, name="separable")(layers.DepthwiseConv1D(3, name="depthwise")(x))
    return layers.GlobalAveragePooling1D()(layers.Conv1DTranspose(4, 2, name="up")(x))


def volume(x):
    x = layers.Reshape((4, 4, 4, 3))(x)
    x = layers.AveragePooling3D(2)(layers.Conv3D(5, 2, padding="same", activation="relu", name="a")(x))
    return layers.Flatten()(layers.Conv3DTranspose(4, 2, name="b")(x))


def lstm(x):
    x = layers.LSTM(6, return_sequences=True, name="first")(layers.Reshape((16, 12))(x))
    return layers.LSTM(4, unit_forget_bias=False, name="second")(layers.Dropout(0.2)(x))


def gru(x):
    x = layers.Reshape((16, 12))(x)
    y, state = layers.GRU(5, return_sequences=True, return_state=True, name="first")(x)
    y = layers.GRU(5, reset_after=False, return_sequences=True, name="second")(y, initial_state=state)
    return layers.SimpleRNN(4, name="third")(y)


def both_ways(x):
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="joined")(layers.Reshape((16, 12))(x))
    x = layers.TimeDistributed(layers.Dense(5, activation="tanh", name="step"), name="each")(x)
    return layers.Bidirectional(layers.GRU(4), merge_mode="sum", name="added")(x)


def images_in_time(x):
    x = layers.Reshape((3, 8, 8, 1))(x)
    x = layers.TimeDistributed(layers.Conv2D(4, 3, name="inside"), name="each")(x)
    return layers.GlobalAveragePooling2D()(layers.ConvLSTM2D(3, 3, name="cell")(x))


def model_in_time(x):
    frame = keras.Input((8, 8, 1))
    inner = keras.Model(frame, layers.Flatten()(layers.Conv2D(4, 3, name="conv")(frame)), name="inner")
    x = layers.TimeDistributed(inner, name="each")(layers.Reshape((3, 8, 8, 1))(x))
    return layers.GRU(4, name="reader")(x)


def resized(x):
    x = ops.image.resize(layers.Conv2D(5, 3, name="body")(x), (9, 9))
    return layers.GlobalAveragePooling2D()(ops.max_pool(x, 2) + ops.average_pool(x, 2))


def channels_first(x):
    # 6 and 4 places a side, 5 and 3 channels: with as many of both Keras adds a bias along the wrong axis
    x = layers.Permute((3, 1, 2))(x)
    x = layers.Conv2D(5, 3, data_format="channels_first", name="a")(x)
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.Conv2D(3, 3, data_format="channels_first", name="b")(x)
    return layers.GlobalAveragePooling2D(data_format="channels_first")(x)


def windows(x):
    """Windows become a batch and back again (Liu et al. 2021, Swin)."""
    x = ops.reshape(layers.Dense(6, name="body")(x), (-1, 2, 4, 2, 4, 6))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, 6))
    x = x + layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = ops.transpose(ops.reshape(x, (-1, 2, 2, 4, 4, 6)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, 8 * 8 * 6))


def pixels_from_channels(x):
    x = layers.Reshape((8, 8, 2, 2, 4))(layers.Conv2D(16, 3, padding="same", name="body")(x))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, 16, 4))
    return layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="after")(x))


def normalized_by_hand(x):
    x = layers.Conv2D(6, 3, name="body")(x)
    x = (x - ops.mean(x, axis=(1, 2), keepdims=True)) / ops.sqrt(ops.var(x, axis=(1, 2), keepdims=True) + 0.1)
    return layers.GlobalMaxPooling2D()(x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 0.1))


def cells(x):
    x = layers.RNN(layers.GRUCell(5), return_sequences=True, name="gru")(layers.Reshape((16, 12))(x))
    return layers.RNN(layers.LSTMCell(4), name="lstm")(x)


def highway(x):
    x = layers.Dense(6, name="in")(layers.Flatten()(x))
    gate = layers.Dense(6, activation="sigmoid", name="gate")(x)
    return layers.Dense(6, activation="relu", name="new")(x) * gate + x * (1.0 - gate)


def nested(x):
    inner = keras.Sequential([layers.Conv2D(6, 3, name="a"), layers.BatchNormalization(name="norm")], name="inner")
    deep = keras.Input((6, 6, 5))
    middle = keras.Model(deep, layers.Conv2D(4, 1, name="b")(inner(deep)), name="middle")
    return layers.GlobalAveragePooling2D()(middle(layers.Conv2D(5, 3, name="outer")(x)))


def shared(x):
    stem, twice = layers.Conv2D(6, 3, padding="same", name="stem"), layers.Conv2D(6, 3, padding="same", name="twice")
    norm = layers.BatchNormalization(name="norm")
    x = stem(x)
    return layers.GlobalAveragePooling2D()(layers.Concatenate()([twice(twice(x)), norm(x), norm(twice(x))]))


def shared_model(x):
    deep = keras.Input((8, 8, 4))
    tower = keras.Model(deep, layers.Conv2D(5, 3, activation="relu", name="body")(deep), name="tower")
    a, b = tower(layers.Conv2D(4, 1, name="a")(x)), tower(layers.Conv2D(4, 1, name="b")(x))
    return layers.GlobalAveragePooling2D()(layers.Subtract()([a, b]))


def skips(x):
    """A U-Net: what was pooled comes back through a transposed convolution, beside what was not."""
    a = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", name="down")(x)))
    b = layers.Conv2D(8, 3, padding="same", activation="relu", name="bottom")(layers.MaxPooling2D(2)(a))
    x = layers.Concatenate()([layers.Conv2DTranspose(5, 2, strides=2, name="up")(b), a])
    x = layers.Concatenate()([layers.Conv2D(4, 3, padding="same", name="join")(x), layers.UpSampling2D(2)(b)])
    return layers.GlobalAveragePooling2D()(x)


def shuffled_halves(x):
    """ShuffleNet v2: one half passes, the other one is worked on, then they take turns."""
    x = layers.Conv2D(8, 1, name="stem")(x)
    for n in range(2):
        a, b = ops.split(x, 2, axis=-1)
        b = layers.DepthwiseConv2D(3, padding="same")(layers.Conv2D(4, 1, activation="relu", name=f"in{n}")(b))
        b = layers.Conv2D(4, 1, name=f"out{n}")(b)
        x = ops.transpose(ops.reshape(ops.concatenate([a, b], -1), (-1, 8, 8, 2, 4)), (0, 1, 2, 4, 3))
        x = ops.reshape(x, (-1, 8, 8, 8))
    return layers.GlobalAveragePooling2D()(x)


def along_tokens(x):
    """Layers that work along another axis than the channels': fewer channels are fewer products there, too."""
    x = layers.Permute((2, 1))(layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x)))
    x = layers.EinsumDense("bct,tu->bcu", (6, 7), name="einsum")(layers.Dense(5, use_bias=False, name="dense")(x))
    return layers.EinsumDense("bcu,cuo->bo", 3, name="read")(x)


def scaled(x):
    """ConvNeXt's block, with a BatchNormalization in place of its LayerNormalization."""
    scale = importlib.import_module("keras.src.applications.convnext").LayerScale
    x = layers.Conv2D(6, 1, name="stem")(x)
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x))
    y = layers.Dense(6, name="back")(layers.Dense(12, activation="gelu", name="wide")(y))
    return layers.GlobalAveragePooling2D()(layers.Add()([x, scale(0.1, 6, name="scale")(y)]))


def dotted(x):
    x = layers.Reshape((64, -1))(layers.Conv2D(6, 1, name="body")(x))
    a, b, c = (layers.Dense(n, name=name)(x) for n, name in ((5, "a"), (5, "b"), (4, "c")))
    x = layers.Dot((2, 1))([layers.Softmax()(layers.Dot((2, 2))([a, b])), c])
    one, other = layers.Dense(5, name="one")(x[:, 0]), layers.Dense(5, name="other")(x[:, 1])
    return layers.Concatenate()([layers.Dot(1, normalize=True)([one, other]), layers.GlobalAveragePooling1D()(x)])


TOPOLOGIES = (
    plain, residual, merged, squeeze_excite, gated_by_place, dense_blocks, added_to_concatenated, depthwise, separable,
    grouped_whole, grouped_within, grouped_first, transposed, normalized_in_groups, normalized_by_length, slopes,
    reshaped, shuffled, raw_operations, split_channels, multiplied, heads_by_hand, attention, transformer, einsum,
    sequence, volume, lstm, gru, both_ways, images_in_time, model_in_time, resized, scored, shared_heads,
    channels_first, windows, pixels_from_channels, normalized_by_hand, cells, highway,
    nested, shared, shared_model, skips, shuffled_halves, along_tokens, scaled, dotted,
)  # fmt: skip


def model_of(topology):
    """A model with one image in, one dense layer out, and numbers in every weight that give no channel away."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.Dense(3, name="scores")(topology(image)), name=topology.__name__)
    return filled(model)


def tokens():
    ids = keras.Input((6,), dtype="int32", name="ids")
    x = layers.Embedding(11, 6, mask_zero=True, name="table")(ids)
    return filled(keras.Model(ids, layers.Dense(2, name="scores")(layers.LSTM(4, name="reader")(x))))


def flattened_tokens():
    ids = keras.Input((9,), dtype="int32", name="ids")
    x = layers.Flatten()(layers.Embedding(11, 6, name="table")(ids))
    return filled(keras.Model(ids, layers.Dense(2, name="scores")(x)))


def flattened_series():
    series = keras.Input((9, 2), name="series")
    x = layers.Permute((2, 1))(layers.Dense(4, name="body")(layers.Permute((2, 1))(series)))
    return filled(keras.Model(series, layers.Dense(2, name="scores")(layers.Flatten()(x))))


def many_ends():
    image, meta = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="meta")
    body = layers.Conv2D(5, 3, activation="relu", name="body")(image)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(body), layers.Dense(4, name="side")(meta)])
    outputs = {"kind": layers.Dense(3, name="kind")(x), "map": layers.Conv2D(1, 1, name="map")(body)}
    return filled(keras.Model({"image": image, "meta": meta}, outputs))


def sequential():
    return filled(
        keras.Sequential(
            [
                keras.Input((8, 8, 3), name="image"),
                layers.Conv2D(6, 3, activation="relu", name="a"),
                layers.BatchNormalization(name="norm"),
                layers.Flatten(),
                layers.Dense(5, activation="tanh", name="b"),
                layers.Dense(2, name="scores"),
            ],
            name="row",
        )
    )


def masked_tokens():
    """A mask goes along with the tokens, into every layer that asks for it."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    x = layers.Embedding(11, 6, mask_zero=True, name="table")(ids)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(x)
    x = layers.TimeDistributed(layers.Dense(5, activation="relu", name="step"), name="each")(x)
    x = layers.Attention()([x, layers.GRU(5, return_sequences=True, name="gru")(x)])
    x = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 3, name="heads")(x, x))
    return filled(keras.Model(ids, layers.Dense(2, name="scores")(x)))


def two_towers():
    """One encoder of two images, compared by a product: each of its uses is a call of the same layers."""
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu", name="body")(image))
    encoder = keras.Model(image, layers.Dense(5, name="code")(x), name="encoder")
    ends = [keras.Input((8, 8, 3), name=name) for name in ("left", "right")]
    one, other = (encoder(end) for end in ends)
    x = layers.Concatenate()([layers.Dot(1)([one, other]), ops.abs(one - other)])
    return filled(keras.Model(ends, layers.Dense(2, name="scores")(x)))


WHOLE_MODELS = (tokens, flattened_tokens, flattened_series, many_ends, sequential, masked_tokens, two_towers)


def filled(model, seed=0):
    """Put seeded numbers into all weights, biases and statistics too."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(0.0, 0.4, variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
    return model


def samples_for(model, seed=0):
    """Two samples in the structure that the model is called with."""
    rng = np.random.default_rng(seed)

    def one(tensor):
        shape = (2, *tensor.shape[1:])
        return rng.integers(1, 10, shape) if "int" in str(tensor.dtype) else rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(one, functional(model).input)
