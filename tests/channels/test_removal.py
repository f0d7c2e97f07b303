"""Removing channels as a user asks for it: targets, limits, refusals, and what the smaller model still knows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.channels.dead_channels import kill_
from tfcompress.channels import compensation, sensitivity, statistics, task_loss
from tfcompress.channels.cost import CostModel
from tfcompress.channels.groups import groups
from tfcompress.channels.removal import check_removable, remove_channels
from tfcompress.channels.removal_plan import RemovalPlan, breadth, worth
from tfcompress.channels.surgery import narrow
from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.models.profile import profile
from tfcompress.models.samples import Samples
from tfcompress.models.signature import signature_of
from tfcompress.recipe import Channels
from tfcompress.tasks.task_table import TASKS

keras = pytest.importorskip("keras")


def network(seed=0):
    """Two convolutions, one in a residual block, and a Dense for three classes; images of 6x6x3."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(given)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.ReLU(name="inner_relu")(layers.Conv2D(16, 3, padding="same", name="inner")(x))
    y = layers.Conv2D(16, 1, name="back")(y)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="sum_relu")(layers.Add(name="sum")([x, y])))
    return keras.Model(given, layers.Dense(3, name="logits")(x), name="tiny")


@pytest.fixture(scope="module")
def model():
    made = network()
    statistics.renew_(made, {"image": np.random.default_rng(1).normal(size=(128, 6, 6, 3)).astype("float32")})
    return made


@pytest.fixture(scope="module")
def samples(model):
    images = np.random.default_rng(0).normal(size=(96, 6, 6, 3)).astype("float32")
    return Samples({"image": images}, model.predict(images, verbose=0).argmax(-1))


@pytest.mark.parametrize("of", ["macs", "parameters", "bytes"])
@pytest.mark.parametrize("remove", [0.3, 0.6])
def test_what_was_asked_is_gone_and_not_much_more(model, of, remove):
    found = remove_channels(model, Channels(remove=remove, of=of, round_to=1))
    before, after = profile(model), profile(found.model)
    left = after.macs / before.macs if of == "macs" else after.parameters / before.parameters
    assert remove <= 1 - left < remove + 0.1
    assert found.removed == pytest.approx(1 - left)
    assert (found.after.macs, found.after.parameters) == (after.macs, after.parameters)


def test_widths_are_multiples_and_the_model_given_stays_as_it_was(model):
    weights = [weight.numpy().copy() for weight in model.weights]
    found = remove_channels(model, Channels(remove=0.4))
    assert {len(kept) for kept in found.keep.values()} == {8}
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(weights, model.weights, strict=True))
    assert set(found.pinned) == {"logits"}
    assert "multiply-accumulates of the original (40.0% asked)" in found.notes[0]


def test_only_layers_in_the_scope_shrink(model):
    found = remove_channels(model, Channels(remove=0.2, round_to=1, scope=("inner",)))
    assert set(found.keep) == {"inner"}


def test_the_smaller_model_trains_saves_and_loads(model, samples, tmp_path):
    found = remove_channels(model, Channels(remove=0.5, round_to=1), samples=samples).model
    found.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found.fit(samples.inputs["image"], samples.labels, verbose=0, batch_size=48)
    found.save(tmp_path / "small.keras")
    again = keras.saving.load_model(tmp_path / "small.keras")
    expected = found(samples.inputs["image"]).numpy()
    np.testing.assert_allclose(again(samples.inputs["image"]).numpy(), expected, atol=1e-6)


def test_samples_repair_a_part_of_the_damage(model, samples):
    stage = Channels(remove=0.5, round_to=1)
    whole = model(samples.inputs["image"]).numpy()

    def error(found):
        return float(np.square(found.model(samples.inputs["image"]).numpy() - whole).mean())

    assert error(remove_channels(model, stage, samples=samples)) < 0.7 * error(remove_channels(model, stage))


def test_cycles_share_the_target_evenly_and_end_where_one_cycle_would(model):
    stage = Channels(remove=0.75, cycles=2, round_to=1)
    assert [part.remove for part in stage.parts] == pytest.approx([0.5, 0.75])
    current, left = model, 1.0
    for part in stage.parts:
        found = remove_channels(current, part, original=model, left=left)
        current, left = found.model, 1.0 - found.removed
    assert 0.75 <= 1 - profile(current).macs / profile(model).macs < 0.8
    assert found.removed == pytest.approx(1 - profile(current).macs / profile(model).macs)


def test_floors_count_from_the_original_over_all_cycles(model):
    stage = Channels(remove=0.5, at_most=0.5, round_to=1)
    once = remove_channels(model, stage)
    with pytest.raises(UsageError, match=r"channels\.remove must be at most"):
        remove_channels(once.model, dataclasses.replace(stage, remove=0.9), original=model, left=1.0 - once.removed)


def test_a_ratio_that_would_empty_layers_is_refused(model):
    with pytest.raises(
        UsageError, match=r"channels.remove must be at most 0\.\d+ of the multiply-accumulates .* got 0.99"
    ):
        remove_channels(model, Channels(remove=0.99, round_to=1))


@pytest.mark.parametrize(("round_to", "words"), [(1, "raise at_most, or ask for less"), (2, "or lower round_to")])
def test_nobody_is_told_to_lower_a_round_to_of_1(model, round_to, words):
    with pytest.raises(UsageError, match=f"{words}"):
        remove_channels(model, Channels(remove=0.99, round_to=round_to))


def test_a_note_on_what_was_missed_speaks_of_steps_only_where_there_are_some():
    image, layers = keras.Input((4, 4, 3)), keras.layers
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, name="wide")(image))
    made = keras.Model(image, layers.Dense(2)(pooled))
    (found,) = [n for n in remove_channels(made, Channels(remove=0.2, round_to=1)).notes if "off what was asked" in n]
    assert found.endswith("a channel goes whole or not at all")


def test_a_layer_that_makes_a_part_of_a_group_is_not_emptied_though_all_its_channels_matter_least():
    image, layers = keras.Input((4, 4, 3)), keras.layers
    a, b, c = (layers.Conv2D(width, 1, name=name)(image) for width, name in ((4, "a"), (12, "b"), (16, "c")))
    x = layers.Add()([layers.Concatenate()([a, b]), c])
    made = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    (group,) = (g for g in groups(made) if not g.pinned)
    assert group.parts == ((0, 1, 2, 3), tuple(range(4, 16)))
    kill_(group, range(4))
    smaller = remove_channels(made, Channels(remove=0.5, round_to=1)).model
    assert smaller.get_layer("a").filters == 1
    assert 1 - profile(smaller).macs / profile(made).macs >= 0.5


def test_a_model_with_nothing_to_remove_is_refused():
    single = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="only")])
    with pytest.raises(UnsupportedError, match=r"channels finds nothing that can shrink .*only"):
        remove_channels(single, Channels())
    with pytest.raises(UnsupportedError, match=r"channels finds nothing that can shrink .*only"):
        check_removable(single, Channels())
    check_removable(network(), Channels())


def test_a_scope_that_matches_nothing_is_refused(model):
    with pytest.raises(UsageError, match=r"channels.scope matches no layer .*'steam' \(did you mean 'stem'\?\)"):
        remove_channels(model, Channels(scope=("steam",)))


def test_a_latency_needs_something_that_measures_it(model):
    with pytest.raises(UsageError, match=r"channels\.of must be 'macs', 'parameters' or 'bytes' where no latency"):
        remove_channels(model, Channels(of="latency"))


def test_a_latency_is_found_by_bisection(model):
    def measure(original, smaller):  # a machine whose time is half overhead
        return 0.5 + 0.5 * profile(smaller).macs / profile(original).macs

    found = remove_channels(model, Channels(of="latency", remove=0.3, round_to=1), measure=measure)
    assert found.removed == pytest.approx(1 - measure(model, found.model))
    assert 0.29 < found.removed < 0.36
    with pytest.raises(UsageError, match=r"must be at most 0\.4\d of the latency of this model here, got 0.6"):
        remove_channels(model, Channels(of="latency", remove=0.6, round_to=1), measure=measure)


def test_spare_keeps_a_group_that_the_score_hangs_on(model):
    def evaluate(changed):  # every channel of the block that its end does not read counts a tenth
        return 0.9 - 0.1 * np.count_nonzero(~changed.get_layer("back").kernel.numpy().any((0, 1, 3)))

    free = Channels(remove=0.3, round_to=1)
    assert "inner" in remove_channels(model, free).keep
    found = remove_channels(model, dataclasses.replace(free, spare=5.0), evaluate=evaluate)
    assert set(found.keep) == {"stem"}


def test_spare_of_a_regression_is_in_the_unit_of_its_labels(model, samples):
    numbers = Samples(samples.inputs, model(samples.inputs["image"]).numpy())  # its own outputs: no error to begin with
    free = Channels(remove=0.3, round_to=1)
    loose = remove_channels(model, dataclasses.replace(free, spare=0.1), samples=numbers)
    assert loose.after.macs <= 0.7 * loose.before.macs
    with pytest.raises(UsageError, match=r"with at_most 0\.9 and round_to 1, spare 0\.001, got 0\.3"):
        remove_channels(model, dataclasses.replace(free, spare=0.1 / 100), samples=numbers)


def test_spare_of_directions_is_in_hundredths_of_their_cosine(model, samples):
    outputs = model(samples.inputs["image"]).numpy()
    vectors = Samples(samples.inputs, outputs, {"logits": TASKS["embedding"]})
    assert task_loss.merit_of(task_loss.score_of(model, vectors)) == pytest.approx(1.0)
    free = Channels(remove=0.8, round_to=1)
    assert remove_channels(model, dataclasses.replace(free, spare=100.0), samples=vectors).removed >= 0.8
    with pytest.raises(UsageError, match=r"spare 0\.01, got 0\.8"):
        remove_channels(model, dataclasses.replace(free, spare=0.01), samples=vectors)


def test_spare_without_labels_is_refused(model):
    with pytest.raises(UsageError, match=r"channels\.spare needs samples with labels, or an evaluate function"):
        remove_channels(model, Channels(spare=1.0))


def test_zeros_where_channels_are_read_are_what_removing_them_computes(model, samples):
    (group,) = (g for g in groups(model) if g.name == "stem")
    scores = {"stem": np.arange(16.0)}
    seen = []

    def evaluate(changed):
        seen.append(changed(samples.inputs["image"]).numpy())
        return 0.0

    sensitivity.analyse(model, scores, evaluate, fractions=(0.5,))
    smaller = narrow(model, {group.name: range(8, 16)})
    np.testing.assert_allclose(seen[1], smaller(samples.inputs["image"]).numpy(), atol=1e-5)


def test_an_analysis_is_taken_from_the_disk_the_second_time(model, tmp_path):
    path, calls = tmp_path / "folder" / "points.json", []

    def evaluate(_):
        calls.append(1)
        return 0.5 - 0.01 * len(calls)

    first = sensitivity.analyse(model, {"inner": np.ones(16)}, evaluate, fractions=(0.25, 0.5), cache=path)
    again = sensitivity.analyse(model, {"inner": np.ones(16)}, evaluate, fractions=(0.25, 0.5), cache=path)
    assert len(calls) == 3
    assert (again.cached, again.baseline, again.curves) == (3, first.baseline, first.curves)
    path.write_text("{")
    assert sensitivity.analyse(model, {"inner": np.ones(16)}, evaluate, fractions=(0.25,), cache=path).cached == 0


def test_a_fingerprint_tells_models_data_and_settings_apart(model, samples):
    prints = {
        sensitivity.fingerprint(model, samples, {}),
        sensitivity.fingerprint(network(1), samples, {}),
        sensitivity.fingerprint(model, Samples(samples.inputs, samples.labels + 1), {}),
        sensitivity.fingerprint(model, samples, {"criterion": "l1"}),
        sensitivity.fingerprint(model, None, {}),
    }
    assert len(prints) == 5
    assert sensitivity.fingerprint(network(1), samples, {}) in prints


def test_a_second_cycle_is_not_served_the_analysis_of_the_first(samples, tmp_path, monkeypatch):
    given, seen = network(), []
    stage = Channels(remove=0.5, cycles=2, round_to=1, spare=50.0)
    real = sensitivity.analyse

    def watched(model, *args, **options):
        found = real(model, *args, **options)
        seen.append((model.count_params(), found.cached, options["cache"]))
        return found

    monkeypatch.setattr("tfcompress.channels.removal.analyse", watched)
    first = remove_channels(given, stage.parts[0], samples=samples, cache=tmp_path)
    again = {"samples": samples, "original": given, "left": 1.0 - first.removed, "cache": tmp_path}
    remove_channels(first.model, stage.parts[1], **again)
    remove_channels(first.model, stage.parts[1], **again)
    (whole, *one), (smaller, *two), (_, *three) = seen
    assert smaller < whole
    assert (one[0], two[0]) == (0, 0)
    assert one[1] != two[1]
    assert three[0] > 0


def test_removable_ends_at_the_first_score_below_the_limit():
    curve = sensitivity.Curve("g", 8, ((0.25, 0.9), (0.5, 0.85), (0.75, 0.89)))
    assert [curve.removable(limit) for limit in (0.95, 0.9, 0.86, 0.8)] == [0.0, 0.25, 0.25, 0.75]


def test_a_removed_channel_that_is_a_mixture_of_others_is_made_up_for():
    rng = np.random.default_rng(0)
    kept = rng.normal(size=(500, 3))
    mixing = rng.normal(size=(3, 2))
    rows = np.concatenate([kept, kept @ mixing], axis=1)
    found = compensation.combination(rows.T @ rows / 500, np.array([True, True, True, False, False]))
    np.testing.assert_allclose(found, mixing, atol=2e-3)


def test_nothing_is_made_up_from_channels_that_are_silent():
    found = compensation.combination(np.zeros((3, 3)), np.array([True, False, True]))
    np.testing.assert_array_equal(found, np.zeros((2, 1)))


def test_averages_are_taken_anew_over_all_batches(samples):
    changed = network()
    assert statistics.renew_(changed, samples.inputs, batch_size=32) == 1
    norm, stem = changed.get_layer("stem_norm"), changed.get_layer("stem")
    before = stem(samples.inputs["image"]).numpy()
    np.testing.assert_allclose(norm.moving_mean.numpy(), before.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), before.var((0, 1, 2)), rtol=0.1)
    assert norm.momentum == 0.99
    norm.trainable = False
    assert statistics.renew_(changed, samples.inputs) == 0


def test_the_score_is_the_main_figure_and_more_is_better(model, samples):
    score = task_loss.score_of(model, samples)
    assert (score.main, task_loss.merit_of(score)) == ("top1", 1.0)
    targets = Samples(samples.inputs, np.zeros((96, 3), "float32") + 0.5)
    expected = -np.abs(model(samples.inputs["image"]).numpy() - 0.5).mean()
    score = task_loss.score_of(model, targets)
    assert (score.main, task_loss.merit_of(score)) == ("mae", pytest.approx(expected, rel=1e-5))
    with pytest.raises(DataError, match="a score needs samples with labels"):
        task_loss.score_of(model, Samples(samples.inputs))


def test_one_hot_labels_score_and_train_like_class_numbers(model, samples):
    one_hot = Samples(samples.inputs, np.eye(3)[samples.labels])
    assert task_loss.score_of(model, one_hot) == task_loss.score_of(model, samples)
    variables = model.trainable_variables[:1]
    found = [
        next(task_loss.gradients(model, variables, each, batch_size=96, purpose="a test"))
        for each in (one_hot, samples)
    ]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)


def test_the_cost_model_is_what_the_stage_reports(model):
    found = remove_channels(model, Channels(remove=0.5, round_to=4))
    assert CostModel.of(model).of_kept(found.keep) == found.after


def test_a_residual_stream_counts_by_the_kernels_that_its_work_is_spread_over():
    assert breadth([3.0, 3.0, 3.0]) == 3.0
    assert 2.0 < breadth([9.0, 9.0, 0.1]) < 2.1
    assert breadth([]) == breadth([0.0]) == 1.0
    given = keras.Input((6, 6, 16))
    x = keras.layers.Conv2D(32, 3, padding="same", name="stem")(given)
    for number in range(3):
        y = keras.layers.Conv2D(32, 3, padding="same", name=f"inner{number}")(x)
        x = keras.layers.Add()([x, keras.layers.Conv2D(32, 3, padding="same", name=f"back{number}")(y)])
    model = keras.Model(given, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    kernel, area = 3 * 3 * 32 * 32, 6 * 6
    stem, dense = 3 * 3 * 16 * 32, area * 32 * 2
    found = RemovalPlan.of(model, Channels(), model, 1.0).worths()
    # The stream is made by four layers with a bias and read by four: seven kernels of the 3x3 kind, nearly.
    parameters = stem + 6 * kernel + dense + 4 * 32
    assert found["stem"] == pytest.approx(worth(parameters, [stem * area, *[kernel * area] * 6, dense]))
    assert 6.5 < breadth([stem * area, *[kernel * area] * 6, dense]) < 7
    assert found["inner0"] == pytest.approx(worth(2 * kernel + 32, [kernel * area] * 2))


def test_a_group_is_worth_more_by_its_parameters_and_by_its_breadth():
    assert worth(81.0, [2.0, 2.0, 2.0, 2.0]) == pytest.approx(3.0 * 2.0)  # 81 ** (1/4) * 4 ** (1/2)
    assert worth(0.0, []) == 1.0


def test_wide_layers_with_few_pixels_keep_their_weights():
    inputs = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", name="early")(inputs)
    x = keras.layers.Conv2D(16, 3, padding="same", name="early_inner")(x)
    x = keras.layers.Conv2D(64, 3, strides=4, padding="same", name="late")(x)
    x = keras.layers.Conv2D(64, 3, padding="same", name="late_inner")(x)
    given = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    kept = {name: len(channels) for name, channels in remove_channels(given, Channels(remove=0.5)).keep.items()}
    assert kept["early"] == kept["early_inner"] == 8  # nearly all of the work is here, and a tenth of the weights
    assert kept.get("late", 64) >= 48
    assert kept.get("late_inner", 64) >= 48


def test_dead_channels_go_first_and_nothing_changes_without_them(samples):
    given = network(3)
    (inner,) = (g for g in groups(given) if g.name == "inner")
    dead = [1, 4, 5, 6, 11]
    kill_(inner, dead)
    keep = {"inner": [channel for channel in range(16) if channel not in dead]}
    copy = sensitivity.copy_of(given)
    assert compensation.compensate_(groups(copy), keep, copy, samples.inputs) == 1
    whole = given(samples.inputs["image"]).numpy()
    np.testing.assert_allclose(narrow(copy, keep)(samples.inputs["image"]).numpy(), whole, atol=1e-5)
    found = remove_channels(given, Channels(remove=0.2, round_to=1))
    assert set(range(16)) - set(found.keep["inner"]) <= set(dead)
    assert set(found.keep) == {"inner"}


def test_a_copy_calls_its_inputs_what_the_model_does_whoever_named_them():
    layers = keras.layers
    unnamed, named = keras.Input((4,)), keras.Input((4,), name="size")
    joined = layers.Dense(2)(layers.Concatenate()([unnamed, named]))
    for model in (
        keras.Model([unnamed, named], joined),
        keras.Model([[unnamed], named], joined),
        keras.Sequential([keras.Input((4,)), layers.Dense(2)]),
    ):
        once = sensitivity.copy_of(model)
        twice = sensitivity.copy_of(once)
        names = [spec.name for spec in signature_of(model).inputs]
        assert [spec.name for spec in signature_of(once).inputs] == names
        assert [spec.name for spec in signature_of(twice).inputs] == names
        values = [np.ones((3, 4), "float32"), np.zeros((3, 4), "float32")][: len(names)]
        fed = keras.tree.pack_sequence_as(model.input, values) if len(names) > 1 else values[0]
        assert np.array_equal(model(fed), twice(fed))
