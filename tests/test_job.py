import h5py
import numpy as np
import pytest

from tests.engines.tiny_networks import convolutional, dense, fit_, images, kernel, vectors
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.job import attach
from tfcompress.recipe import QAT, Cluster, Prune, Recipe, Train
from tfcompress.search.compression import compress

tf = pytest.importorskip("tensorflow")


@pytest.fixture(params=["tf_keras", "keras"])
def either_keras(request):
    return pytest.importorskip(request.param)


@pytest.mark.slow
def test_a_keras_3_script_with_its_own_fit():
    import keras

    inputs, labels = images()
    model = convolutional(keras)
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, labels, batch_size=8, epochs=2, verbose=0)
    before = [w.copy() for w in model.get_weights()]

    job = attach(model, Prune(sparsity=0.5), QAT())
    job.model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    mine = [keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)]
    history = job.model.fit(
        inputs, labels, validation_split=0.25, batch_size=8, epochs=3, verbose=0, callbacks=[*mine, *job.callbacks]
    )
    finished = job.finish()

    assert isinstance(job.model, keras.Model)
    assert isinstance(finished, keras.Model)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [p.layer for p in job.promises() if p.got >= 0.5] == ["first", "second", "hidden", "logits"]
    assert np.isfinite(finished.predict(inputs, verbose=0)).all()
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.slow
def test_early_stopping_waits_for_the_sparsity_that_was_asked():
    import keras

    inputs, labels = vectors()
    job = attach(dense(keras), Prune(sparsity=0.75, end_epoch=3, frequency=1))
    job.model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    impatient = keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=1e9)
    history = job.model.fit(inputs, labels, batch_size=8, epochs=6, verbose=0, callbacks=[impatient, *job.callbacks])
    assert len(history.epoch) == 3
    job.finish()
    assert [p.got for p in job.promises()] == [0.75, 0.75]
    assert job.notes == []


@pytest.mark.slow
def test_all_stages_of_tfmot_are_saved_as_h5_with_their_optimizer_at_every_epoch(tmp_path):
    import tf_keras

    inputs, labels = images()
    stages = [Prune(sparsity=0.5, engine="tfmot"), Cluster(clusters=4, engine="tfmot"), QAT(engine="tfmot")]
    job = attach(convolutional(tf_keras), *stages)
    job.model.compile("adam", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    saving = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "last.h5"))
    job.model.fit(inputs, labels, batch_size=8, epochs=2, verbose=0, callbacks=[saving, *job.callbacks])
    job.finish()
    with h5py.File(tmp_path / "last.h5") as file:
        names = list(file["optimizer_weights"].attrs["weight_names"])
    assert len({name for name in map(str, names) if "cluster_centroids" in name}) == 8  # two slots of four layers
    assert {p.layer for p in job.promises()} == {"first", "second", "hidden", "logits"}


@pytest.mark.slow
def test_an_unnamed_input_is_trained_with_tfmot():
    import tf_keras

    inputs, labels = vectors()
    unnamed = tf_keras.Input(inputs.shape[1:])
    model = tf_keras.Model(unnamed, tf_keras.layers.Dense(int(labels.max()) + 1)(unnamed))
    train = Train(epochs=1, batch_size=8)
    recipe = Recipe(stages=(Prune(sparsity=0.5, engine="tfmot"),), train=train)
    data = {"x_train": inputs, "y_train": labels, "x_test": inputs, "y_test": labels}
    result = compress(model, recipe, data, progress=False)
    assert result.report.result.score.samples == len(labels)


@pytest.mark.slow
def test_a_tf_keras_script_with_its_own_fit(tmp_path):
    import tf_keras

    inputs, labels = images()
    model = convolutional(tf_keras)
    model.compile(optimizer="adam", loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, labels, batch_size=8, epochs=2, verbose=0)
    before = [w.copy() for w in model.get_weights()]

    job = attach(model, Prune(sparsity=0.5))
    job.model.compile(optimizer="adam", loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).shuffle(32, seed=0).batch(8)
    mine = [tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "best.weights.h5"), save_weights_only=True)]
    job.model.fit(data, epochs=3, verbose=0, callbacks=[*mine, *job.callbacks])
    finished = job.finish()
    finished.save(tmp_path / "pruned.keras")

    again = tf_keras.models.load_model(tmp_path / "pruned.keras", compile=False)
    assert np.mean(kernel(again, "hidden") == 0) == 0.5
    assert [type(layer) for layer in finished.layers] == [type(layer) for layer in model.layers]
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.slow
def test_a_training_loop_without_fit_prunes_clusters_and_quantizes(either_keras):
    job = attach(dense(either_keras), Prune(sparsity=0.5), Cluster(clusters=4), QAT(), epochs=2, steps_per_epoch=8)
    inputs, labels = vectors()
    optimizer = either_keras.optimizers.Adam(1e-2)
    loss_of = either_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for step in range(16):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, job.model(inputs, training=True))
        variables = job.model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        for callback in job.callbacks:
            callback.on_train_batch_end(step)
    job.finish()
    assert {(p.what, p.asked, p.got) for p in job.promises()} == {("sparsity", 0.5, 0.5), ("distinct values", 4, 4)}
    assert job.notes == []


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint(either_keras, tmp_path):
    def start():
        return attach(dense(either_keras), Prune(sparsity=0.75, frequency=1), QAT(), epochs=4)

    whole, first, second = start(), start(), start()
    fit_(either_keras, whole, vectors(), epochs=4, shuffle=False)
    fit_(either_keras, first, vectors(), epochs=2, shuffle=False)
    first.model.save_weights(str(tmp_path / "half.weights.h5"))
    second.model.load_weights(str(tmp_path / "half.weights.h5"))
    assert [p.got for p in second.promises()] == [p.got for p in first.promises()]
    fit_(either_keras, second, vectors(), epochs=4, initial_epoch=2, shuffle=False)
    assert [p.got for p in second.promises()] == [p.got for p in whole.promises()] == [0.75, 0.75]
    second.finish()
    assert second.notes == []


def test_the_settings_of_a_training_give_epochs_and_seed():
    import tf_keras

    drawn = Cluster(clusters=8, init="random")
    first, again, other = (
        kernel(attach(dense(tf_keras), drawn, train=Train(seed=seed)).finish(), "a") for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    job = attach(dense(tf_keras), Prune(end_epoch=1), train=Train(epochs=1), steps_per_epoch=4)
    assert job.callbacks == []
    x, y = vectors()
    job.model.compile("sgd", "mse")
    got = []
    for _ in range(4):
        job.model.train_on_batch(x, y)
        got.append(job.promises()[0].got)
    assert got[2] < got[3] == 0.5
    assert job.engine == "tfmot"


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (
            (),
            r"attach needs stages \(Build, Layout, Blocks, .*, QAT\) after the model, got none",
        ),
        (("qat",), r"attach needs stages .* after the model, got str"),
        ((QAT(), QAT()), "attach takes each kind at most once, got 'qat' twice"),
        ((QAT(scope=("nothing",)),), "qat.scope matches no layer: 'nothing'"),
    ],
)
def test_stages_that_cannot_be_meant_are_refused(stages, words):
    import tf_keras

    with pytest.raises(UsageError, match=words):
        attach(dense(tf_keras), *stages)


def test_what_is_no_model_object_is_refused():
    with pytest.raises(UsageError, match="model must be a Keras 3 model, a tf_keras model or the path of one, got int"):
        attach(3, QAT())
    with pytest.raises(UnsupportedError, match=r"attach needs a model object, got the path 'model.h5'; load it first"):
        attach("model.h5", QAT())


def test_a_model_that_is_under_way_already_is_refused():
    import keras
    import tf_keras

    with pytest.raises(UnsupportedError, match=r"model already holds tfmot's wrappers .*; attach the stages to"):
        attach(attach(dense(tf_keras), Prune()).model, QAT())
    with pytest.raises(UnsupportedError, match="holds stages of another job; attach all stages together"):
        attach(attach(dense(keras), Prune()).model, QAT())


@pytest.mark.slow
def test_a_finished_keras_3_model_is_the_users_own_architecture():
    import keras

    given = keras.Input((16,), name="vector")
    x = keras.ops.multiply(keras.layers.Dense(8, name="a")(given), 2.0)
    model = keras.Model(given, keras.layers.Dense(3, name="b")(x))
    job = attach(model, Prune(sparsity=0.5))
    fit_(keras, job, vectors())
    finished = job.finish()
    assert [op.name for op in finished.operations] == [op.name for op in model.operations]
    assert finished.get_config()["layers"] == model.get_config()["layers"]
