"""Networks of a few hundred weights, in either Keras, and data that they can learn a little from."""

import numpy as np

IMAGE = (8, 8, 4)
CLASSES = 3
SAMPLES = 32
BATCH = 8
EPOCHS = 2
STEPS = SAMPLES // BATCH


def images(seed=0):
    """Return inputs of shape (32, 8, 8, 4) and labels of shape (32,)."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(SAMPLES, *IMAGE)).astype("float32")
    return inputs, (inputs.mean((1, 2))[:, :CLASSES]).argmax(1)


def convolutional(keras, seed=1):
    """Conv+BN+ReLU, depthwise, a residual 1x1 convolution, Dropout and two Dense: logits of shape (3,)."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(given)
    x = layers.ReLU(name="first_relu")(layers.BatchNormalization(name="first_norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU(name="depthwise_relu")(layers.BatchNormalization(name="depthwise_norm")(y))
    y = layers.BatchNormalization(name="second_norm")(layers.Conv2D(8, 1, use_bias=False, name="second")(y))
    x = layers.ReLU(name="sum_relu")(layers.Add(name="sum")([x, y]))
    x = layers.Dropout(0.1, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(given, layers.Dense(CLASSES, name="logits")(x), name="convolutional")


def dense(keras, seed=1):
    """Return a Sequential of two Dense layers with kernels of shape (16, 8) and (8, 3)."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((16,), name="vector"), layers.Dense(8, activation="relu", name="a"), layers.Dense(3, name="b")]
    )


def vectors(seed=0):
    """Return inputs of shape (32, 16) and labels of shape (32,)."""
    inputs = np.random.default_rng(seed).normal(size=(SAMPLES, 16)).astype("float32")
    return inputs, inputs[:, :CLASSES].argmax(1)


def compile_(keras, model, learning_rate=1e-3):
    """Compile for logits and integer labels."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA would compile for longer than these networks train.
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss, jit_compile=False)
    return model


def fit_(keras, job, data, epochs=EPOCHS, **more):
    """Train the job's model as its user would."""
    compile_(keras, job.model)
    callbacks = [*more.pop("callbacks", []), *job.callbacks]
    return job.model.fit(*data, epochs=epochs, batch_size=BATCH, verbose=0, callbacks=callbacks, **more)


def kernel(model, name):
    """Return the kernel of the layer called *name*, below a wrapper for quantization if there is one."""
    graph = getattr(model, "tfcompress_graph", model)
    names = (name, f"quant_{name}", f"{name}_inner")
    weights = [w for layer in graph.layers if layer.name in names for w in layer.weights]
    found = [w for w in weights if (w.path if hasattr(w, "path") else w.name).split(":")[0].endswith("/kernel")]
    return np.asarray(found[0])
