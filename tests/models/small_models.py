"""Small seeded models of many kinds, each buildable with Keras 3 (K=keras) and with Keras 2 (K=tf_keras)."""

import numpy as np


def mlp(K):
    return K.Sequential([K.Input((8,), name="x"), K.layers.Dense(6, activation="relu"), K.layers.Dense(3, name="y")])


def convnet(K):
    L = K.layers
    return K.Sequential(
        [
            K.Input((8, 8, 1)),
            L.Conv2D(4, 3, padding="same", activation="relu"),
            L.MaxPooling2D(2),
            L.ZeroPadding2D(1),
            L.Conv2D(4, 3, strides=2),
            L.BatchNormalization(),
            L.LeakyReLU(0.2) if K.__name__ == "keras" else L.LeakyReLU(alpha=0.2),
            L.Flatten(),
            L.Dropout(0.2),
            L.Dense(3, activation="softmax"),
        ]
    )


def residual(K):
    L = K.layers
    i = K.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(i))
    x = L.ReLU(6.0)(x)
    y = L.Conv2D(4, 3, padding="same")(x)
    x = L.Activation("relu")(L.Add(name="block/add" if K.__name__ == "tf_keras" else "block_add")([x, y]))
    return K.Model(i, L.Dense(2)(L.GlobalAveragePooling2D(keepdims=True)(x)), name="residual")


def mobile(K):
    L = K.layers
    i = K.Input((8, 8, 3))
    x = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(i)
    x = L.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.1)(L.BatchNormalization(axis=-1)(x))
    x = L.SeparableConv2D(4, 3, padding="same", activation="swish")(x)
    x = L.Conv2D(4, 3, padding="same", groups=2)(x)
    x = L.Conv2D(4, 3, padding="same", dilation_rate=2)(x)
    x = L.Conv2DTranspose(2, 3, strides=2, padding="same", activation="elu")(x)
    x = L.UpSampling2D(2, interpolation="bilinear")(x)
    x = L.Cropping2D(1)(x)
    return K.Model(i, L.GlobalMaxPooling2D()(x))


def hard(K):
    """Activations of which the two Kerases think differently."""
    L = K.layers
    i = K.Input((6,))
    x = L.Dense(6, activation="hard_sigmoid")(i)
    x = L.Activation("hard_sigmoid")(x)
    x = L.Dense(6, activation="gelu")(x)
    x = L.PReLU()(L.Dense(6, activation="selu")(x))
    x = L.LSTM(4, recurrent_activation="hard_sigmoid")(L.Reshape((3, 2))(x))
    return K.Model(i, L.Softmax()(x))


def hard_silu(K):
    i = K.Input((6,))
    return K.Model(i, K.layers.Activation("hard_silu")(K.layers.Dense(6, activation="hard_swish")(i)))


def preprocessed(K):
    L = K.layers
    i = K.Input((8, 8, 3))
    n = L.Normalization()
    n.adapt(np.random.default_rng(0).random((16, 8, 8, 3), dtype=np.float32))
    x = L.Conv2D(4, 3, activation="relu")(n(L.Rescaling(1 / 255.0, offset=0.5)(i)))
    return K.Model(i, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


def normalized_columns(K):
    L = K.layers
    i = K.Input((4,))
    n = L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0])
    return K.Model(i, L.Dense(2)(n(i)))


def attention(K):
    L = K.layers
    i = K.Input((8, 8, 3))
    x = L.Reshape((4, 6))(L.Conv2D(6, 4, strides=4)(i))
    y = L.LayerNormalization()(x)
    y = L.MultiHeadAttention(2, 3)(y, value=y)
    x = L.Add()([x, y])
    x = L.Add()([x, L.Dense(6)(L.Dense(8, activation="gelu")(L.LayerNormalization(epsilon=1e-5)(x)))])
    return K.Model(i, L.Dense(2)(L.GlobalAveragePooling1D()(x)))


def recurrent(K):
    L = K.layers
    i = K.Input((6, 4))
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(i)
    x = L.TimeDistributed(L.Dense(4, activation="tanh"))(x)
    x = L.GRU(3, return_sequences=True)(x)
    x = L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="sum")(x)
    return K.Model(i, L.Dense(2)(x))


def tokens(K):
    L = K.layers
    i = K.Input((10,), dtype="int32", name="ids")
    x = L.Embedding(20, 4, mask_zero=True)(i)
    return K.Model(i, L.Dense(2, name="label")(L.LSTM(4)(x)))


def sequence(K):
    L = K.layers
    return K.Sequential(
        [
            K.Input((12, 4)),
            L.Conv1D(4, 5, padding="causal", dilation_rate=2),
            L.BatchNormalization(),
            L.MaxPooling1D(2),
            L.SeparableConv1D(4, 3),
            L.GlobalAveragePooling1D(),
            L.Dense(2),
        ]
    )


def volume(K):
    L = K.layers
    return K.Sequential(
        [K.Input((6, 6, 6, 1)), L.Conv3D(2, 3, activation="relu"), L.MaxPooling3D(2), L.Flatten(), L.Dense(2)]
    )


def nested(K):
    L = K.layers
    inner = K.Sequential([K.Input((6, 6, 4)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization()], name="inner")
    i = K.Input((8, 8, 3))
    backbone = K.Model(i, inner(L.Conv2D(4, 3, activation="relu")(i)), name="backbone")
    j = K.Input((8, 8, 3))
    return K.Model(j, L.Dense(2)(L.GlobalAveragePooling2D()(backbone(j))))


def shared(K):
    """One dense layer called twice, one model called twice."""
    L = K.layers
    a, b = K.Input((4,), name="a"), K.Input((4,), name="b")
    dense = L.Dense(4, activation="relu", name="twice")
    inner = K.Sequential([K.Input((4,)), L.Dense(3)], name="inner")
    x = L.Subtract()([inner(dense(a)), inner(dense(b))])
    return K.Model([a, b], L.Dense(1)(x))


def multi_io(K):
    L = K.layers
    image, meta = K.Input((6, 6, 1), name="img"), K.Input((3,), name="meta")
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(image))
    z = L.Concatenate()([x, L.Dense(4)(meta)])
    return K.Model([image, meta], [L.Dense(3, name="cls")(z), L.Dense(1, name="reg")(z)])


def dict_io(K):
    L = K.layers
    b, a = K.Input((3,), name="b"), K.Input((2,), name="a")
    z = L.Concatenate()([L.Dense(2)(a), b])
    return K.Model({"b": b, "a": a}, {"second": L.Dense(2, name="second")(z), "first": L.Dense(3, name="first")(z)})


def raw_ops(K):
    """Operations of the language on tensors, with constants, slices and a function of two tensors."""
    L = K.layers
    i = K.Input((8, 8, 3))
    x = i / 127.5 - 1.0
    x = L.Conv2D(4, 3, padding="same")(x)
    x = x * L.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    x = 1.0 - x[:, 1:-1, ::2, :]
    if K.__name__ == "keras":
        x = K.ops.concatenate([x, K.ops.mean(x, axis=-1, keepdims=True)], axis=-1)
        x = K.ops.matmul(K.ops.reshape(x, (-1, 24, 5)), K.ops.ones((5, 2)))
    else:
        import tensorflow as tf

        x = tf.concat([x, tf.reduce_mean(x, axis=-1, keepdims=True)], axis=-1)
        x = tf.matmul(tf.reshape(x, (-1, 24, 5)), tf.ones((5, 2)))
    return K.Model(i, L.Dense(2)(L.GlobalAveragePooling1D()(x)))


def frozen(K):
    L = K.layers
    i = K.Input((4,))
    return K.Model(i, L.Dense(2, name="head")(L.Dense(3, name="body", trainable=False)(i)))


def lambda_layer(K):
    L = K.layers
    i = K.Input((4,))
    return K.Model(i, L.Dense(2)(L.Lambda(lambda t: t * 2.0 - 1.0, name="twice_less_one")(i)))


def subclassed(K):
    class Sub(K.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = K.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Sub()
    model(np.zeros((1, 4), "float32"))
    return model


GRAPHS = (
    mlp,
    convnet,
    residual,
    mobile,
    hard,
    preprocessed,
    normalized_columns,
    attention,
    recurrent,
    tokens,
    sequence,
    volume,
    nested,
    shared,
    multi_io,
    dict_io,
    raw_ops,
    frozen,
    lambda_layer,
)
"""Every model that is a graph, in both Kerases."""


def build(kind, K):
    """Build *kind* with *K*, every weight drawn by one seed (vectors away from 0 and 1, so that a mix-up is seen)."""
    K.backend.clear_session()
    K.utils.set_random_seed(7)
    model = kind(K)
    generator = np.random.default_rng(7)
    for layer in model.layers:
        if "Normalization" in type(layer).__name__ and not hasattr(layer, "gamma"):
            continue
        layer.set_weights([_drawn(generator, w) for w in layer.get_weights()])
    return model


def _drawn(generator, weight):
    if weight.ndim < 2:
        return generator.uniform(0.3, 0.9, weight.shape)
    return generator.normal(0, 1 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape)
