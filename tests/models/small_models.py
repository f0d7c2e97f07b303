"""Small seeded models of many kinds, each buildable with Keras 3 (k=keras) and with Keras 2 (k=tf_keras)."""

import numpy as np


def mlp(k):
    return k.Sequential([k.Input((8,), name="x"), k.layers.Dense(6, activation="relu"), k.layers.Dense(3, name="y")])


def convnet(k):
    layers = k.layers
    return k.Sequential(
        [
            k.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.ZeroPadding2D(1),
            layers.Conv2D(4, 3, strides=2),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2) if k.__name__ == "keras" else layers.LeakyReLU(alpha=0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )


def residual(k):
    layers = k.layers
    i = k.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(i))
    x = layers.ReLU(6.0)(x)
    y = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Activation("relu")(layers.Add(name="block/add" if k.__name__ == "tf_keras" else "block_add")([x, y]))
    return k.Model(i, layers.Dense(2)(layers.GlobalAveragePooling2D(keepdims=True)(x)), name="residual")


def residual_plain(k):
    """A residual network that tfmot quantizes, prunes and clusters as a whole."""
    layers = k.layers
    i = k.Input((8, 8, 3), name="image")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(i)))
    x = layers.Add()([x, layers.Conv2D(4, 3, padding="same", activation="relu")(x)])
    return k.Model(i, layers.Dense(2, name="scores")(layers.GlobalAveragePooling2D()(x)))


def mobile(k):
    layers = k.layers
    i = k.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(i)
    x = layers.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.1)(layers.BatchNormalization(axis=-1)(x))
    x = layers.SeparableConv2D(4, 3, padding="same", activation="swish")(x)
    x = layers.Conv2D(4, 3, padding="same", groups=2)(x)
    x = layers.Conv2D(4, 3, padding="same", dilation_rate=2)(x)
    x = layers.Conv2DTranspose(2, 3, strides=2, padding="same", activation="elu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Cropping2D(1)(x)
    return k.Model(i, layers.GlobalMaxPooling2D()(x))


def hard(k):
    """Activations of which the two Kerases think differently."""
    layers = k.layers
    i = k.Input((6,))
    x = layers.Dense(6, activation="hard_sigmoid")(i)
    x = layers.Activation("hard_sigmoid")(x)
    x = layers.Dense(6, activation="gelu")(x)
    x = layers.PReLU()(layers.Dense(6, activation="selu")(x))
    x = layers.LSTM(4, recurrent_activation="hard_sigmoid")(layers.Reshape((3, 2))(x))
    return k.Model(i, layers.Softmax()(x))


def hard_silu(k):
    i = k.Input((6,))
    return k.Model(i, k.layers.Activation("hard_silu")(k.layers.Dense(6, activation="hard_swish")(i)))


def keras3_activations(k):
    """Every activation that tf_keras has not."""
    i = k.Input((6,))
    x = k.layers.Dense(6, activation="relu6")(i)
    for name in ("leaky_relu", "celu", "hard_tanh", "squareplus", "log_softmax", "log_sigmoid", "soft_shrink"):
        x = k.layers.Dense(6, activation=name)(x)
    return k.Model(i, x)


def rare_ops(k):
    """TensorFlow functions that have no counterpart in keras.ops, or are called in a way that has none."""
    import tensorflow as tf

    i = k.Input((6, 4))
    x = tf.math.cumsum(k.layers.Dense(4)(i), axis=1, reverse=True)
    halves = tf.split(x, 2, axis=-1)
    total = tf.math.reduce_mean(input_tensor=halves[0], axis=-1, keepdims=True) + halves[1] ** 2.0
    return k.Model(i, tf.matmul(total, halves[0], transpose_b=True) + tf.ones((6,)))


def preprocessed(k):
    layers = k.layers
    i = k.Input((8, 8, 3))
    n = layers.Normalization()
    n.adapt(np.random.default_rng(0).random((16, 8, 8, 3), dtype=np.float32))
    x = layers.Conv2D(4, 3, activation="relu")(n(layers.Rescaling(1 / 255.0, offset=0.5)(i)))
    return k.Model(i, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def normalized_columns(k):
    layers = k.layers
    i = k.Input((4,))
    n = layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0])
    return k.Model(i, layers.Dense(2)(n(i)))


def attention(k):
    layers = k.layers
    i = k.Input((8, 8, 3))
    x = layers.Reshape((4, 6))(layers.Conv2D(6, 4, strides=4)(i))
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(2, 3)(y, value=y)
    x = layers.Add()([x, y])
    x = layers.Add()(
        [x, layers.Dense(6)(layers.Dense(8, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x)))]
    )
    return k.Model(i, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def recurrent(k):
    layers = k.layers
    i = k.Input((6, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(i)
    x = layers.TimeDistributed(layers.Dense(4, activation="tanh"))(x)
    x = layers.GRU(3, return_sequences=True)(x)
    x = layers.Bidirectional(layers.GRU(3, reset_after=False), merge_mode="sum")(x)
    return k.Model(i, layers.Dense(2)(x))


def tokens(k):
    layers = k.layers
    i = k.Input((10,), dtype="int32", name="ids")
    x = layers.Embedding(20, 4, mask_zero=True)(i)
    return k.Model(i, layers.Dense(2, name="label")(layers.LSTM(4)(x)))


def sequence(k):
    layers = k.layers
    return k.Sequential(
        [
            k.Input((12, 4)),
            layers.Conv1D(4, 5, padding="causal", dilation_rate=2),
            layers.BatchNormalization(),
            layers.MaxPooling1D(2),
            layers.SeparableConv1D(4, 3),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )


def volume(k):
    layers = k.layers
    return k.Sequential(
        [
            k.Input((6, 6, 6, 1)),
            layers.Conv3D(2, 3, activation="relu"),
            layers.MaxPooling3D(2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def nested(k):
    layers = k.layers
    inner = k.Sequential(
        [k.Input((6, 6, 4)), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()], name="inner"
    )
    i = k.Input((8, 8, 3))
    backbone = k.Model(i, inner(layers.Conv2D(4, 3, activation="relu")(i)), name="backbone")
    j = k.Input((8, 8, 3))
    return k.Model(j, layers.Dense(2)(layers.GlobalAveragePooling2D()(backbone(j))))


def shared(k):
    """One dense layer called twice, one model called twice."""
    layers = k.layers
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    dense = layers.Dense(4, activation="relu", name="twice")
    inner = k.Sequential([k.Input((4,)), layers.Dense(3)], name="inner")
    x = layers.Subtract()([inner(dense(a)), inner(dense(b))])
    return k.Model([a, b], layers.Dense(1)(x))


def multi_io(k):
    layers = k.layers
    image, meta = k.Input((6, 6, 1), name="img"), k.Input((3,), name="meta")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    z = layers.Concatenate()([x, layers.Dense(4)(meta)])
    return k.Model([image, meta], [layers.Dense(3, name="cls")(z), layers.Dense(1, name="reg")(z)])


def dict_io(k):
    layers = k.layers
    b, a = k.Input((3,), name="b"), k.Input((2,), name="a")
    z = layers.Concatenate()([layers.Dense(2)(a), b])
    return k.Model(
        {"b": b, "a": a}, {"second": layers.Dense(2, name="second")(z), "first": layers.Dense(3, name="first")(z)}
    )


def raw_ops(k):
    """Operations of the language on tensors, with constants, slices and a function of two tensors."""
    layers = k.layers
    i = k.Input((8, 8, 3))
    x = i / 127.5 - 1.0
    x = layers.Conv2D(4, 3, padding="same")(x)
    x = x * layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    x = 1.0 - x[:, 1:-1, ::2, :]
    if k.__name__ == "keras":
        x = k.ops.concatenate([x, k.ops.mean(x, axis=-1, keepdims=True)], axis=-1)
        x = k.ops.matmul(k.ops.reshape(x, (-1, 24, 5)), k.ops.ones((5, 2)))
    else:
        import tensorflow as tf

        x = tf.concat([x, tf.reduce_mean(x, axis=-1, keepdims=True)], axis=-1)
        x = tf.matmul(tf.reshape(x, (-1, 24, 5)), tf.ones((5, 2)))
    return k.Model(i, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def frozen(k):
    layers = k.layers
    i = k.Input((4,))
    return k.Model(i, layers.Dense(2, name="head")(layers.Dense(3, name="body", trainable=False)(i)))


def lambda_layer(k):
    layers = k.layers
    i = k.Input((4,))
    return k.Model(i, layers.Dense(2)(layers.Lambda(lambda t: t * 2.0 - 1.0, name="twice_less_one")(i)))


def subclassed(k):
    class Sub(k.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = k.layers.Dense(2)

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


def build(kind, k):
    """Build *kind* with *k*, every weight drawn by one seed (vectors away from 0 and 1, so that a mix-up is seen)."""
    k.backend.clear_session()
    k.utils.set_random_seed(7)
    model = kind(k)
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
