"""Leaving out blocks as a user asks for it: which go, targets, refusals, and what the shorter model still knows."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import tfcompress as tfc
from tests.blocks.residual_models import network, silence_
from tfcompress.blocks import finding, leaving_out
from tfcompress.blocks.bypassing import bypass_of, cost_of, without
from tfcompress.blocks.finding import find_blocks
from tfcompress.blocks.gating import distance, outputs_of
from tfcompress.blocks.leaving_out import check_removable, leave_out_blocks
from tfcompress.channels.statistics import renew_
from tfcompress.errors import DataError, RecipeError, UnsupportedError, UsageError
from tfcompress.models.samples import Samples
from tfcompress.recipe import Blocks, Recipe, Train
from tfcompress.stages.blocks import read_blocks
from tfcompress.stages.flags import read_stages
from tfcompress.stages.rewriting import NEAR

keras = pytest.importorskip("keras")
layers = keras.layers

IMAGES = np.random.default_rng(0).normal(size=(96, 4, 4, 3)).astype(np.float32)
SAMPLES = Samples({"image": IMAGES})


@pytest.fixture(scope="module")
def model():
    """Four blocks, of which the third does next to nothing and the first very much."""
    made = network(["conv", "conv", "conv", "inverted"])
    renew_(made, {"image": IMAGES})
    made.get_layer("b2_norm").gamma.assign(np.full(4, 0.02))
    made.get_layer("b0_norm").gamma.assign(np.full(4, 4.0))
    return made


def test_the_block_without_which_least_changes_goes_first(model):
    found = leave_out_blocks(model, Blocks(), samples=SAMPLES)
    assert found.gone == ("b2_sum",)
    assert found.moved < 0.01
    assert found.before == cost_of(model)
    assert found.after == cost_of(found.model) == cost_of(model, bypass_of([find_blocks(model).blocks[2]]))
    assert found.removed == pytest.approx(1 - found.after.macs / found.before.macs)
    assert found.notes[0].startswith("blocks: left out 'b2_sum' (residual): ")
    two = leave_out_blocks(model, Blocks(remove=2), samples=SAMPLES)
    assert two.gone[0] == "b2_sum"
    assert "b0_sum" not in two.gone


def test_what_stays_is_fitted_and_comes_nearer_than_the_bare_model(model):
    block = find_blocks(model).blocks[0]
    scoped = Blocks(scope=("b0_*",))
    found = leave_out_blocks(model, scoped, samples=SAMPLES)
    assert found.gone == (block.name,)
    judged = {"image": IMAGES[1::2]}
    bare = distance(outputs_of(model, judged), outputs_of(without(model, [block]), judged))
    assert found.moved == pytest.approx(distance(outputs_of(model, judged), outputs_of(found.model, judged)))
    assert found.moved < 0.8 * bare


def test_a_block_that_gives_zeros_goes_and_the_stage_changes_nothing():
    silent = network(["conv", "nested", "preactivated"], relu=False)
    silence_(silent, find_blocks(silent).blocks[1])
    found = leave_out_blocks(silent, Blocks(), samples=SAMPLES)
    assert (found.gone, found.moved) == (("b1", "b1_sum")[1:], 0.0)
    for one, other in zip(found.model(IMAGES), silent(IMAGES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_many_blocks_only_the_best_few_are_really_tried(model, monkeypatch):
    monkeypatch.setattr(leaving_out, "FINALISTS", 1)
    tried = []
    own = leaving_out.without
    monkeypatch.setattr(leaving_out, "without", lambda m, b: tried.append([each.name for each in b]) or own(m, b))
    assert leave_out_blocks(model, Blocks(), samples=SAMPLES).gone == ("b2_sum",)
    assert tried == [["b2_sum"]]


@pytest.mark.parametrize("of", ["macs", "parameters"])
@pytest.mark.parametrize("target", [0.2, 0.45])
def test_a_target_is_reached_by_no_more_blocks_than_it_takes(model, of, target):
    found = leave_out_blocks(model, Blocks(target=target, of=of), samples=SAMPLES)
    assert found.removed >= target - NEAR
    blocks = {block.name: block for block in find_blocks(model).blocks}
    whole = getattr(cost_of(model), of)
    for some in itertools.combinations(found.gone, len(found.gone) - 1):
        left = getattr(cost_of(model, bypass_of(blocks[name] for name in some)), of)
        assert 1 - left / whole < target - NEAR


def test_a_latency_is_measured_until_it_is_reached(model):
    def measure(original, smaller):  # a machine whose time is half overhead
        return 0.5 + 0.5 * cost_of(smaller).macs / cost_of(original).macs

    found = leave_out_blocks(model, Blocks(target=0.2, of="latency"), samples=SAMPLES, measure=measure)
    assert found.removed == pytest.approx(1 - measure(model, found.model))
    assert 0.18 <= found.removed < 0.45
    with pytest.raises(UsageError, match=r"target must be at most 0\.\d+ of the latency of this model, got 0.7"):
        leave_out_blocks(model, Blocks(target=0.7, of="latency"), samples=SAMPLES, measure=measure)
    with pytest.raises(UsageError, match=r"blocks\.of must be 'macs' or 'parameters' where no latency"):
        leave_out_blocks(model, Blocks(target=0.2, of="latency"), samples=SAMPLES)


def test_shares_are_counted_from_the_original(model):
    first, second = Blocks(target=0.5, cycles=2).parts
    part = leave_out_blocks(model, first, samples=SAMPLES)
    rest = leave_out_blocks(part.model, second, samples=SAMPLES, left=1.0 - part.removed)
    assert rest.removed == pytest.approx(1 - cost_of(rest.model).macs / cost_of(model).macs)
    assert rest.removed >= 0.48


def test_kernels_shrink_first_and_count_for_the_target():
    wide = keras.Sequential(
        [
            keras.Input((8, 8, 2), name="image"),
            layers.Conv2D(4, 5, padding="same", name="wide"),
            layers.Conv2D(4, 3, padding="same", name="again"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, name="out"),
        ]
    )
    samples = Samples({"image": np.random.default_rng(0).normal(size=(40, 8, 8, 2)).astype(np.float32)})
    found = leave_out_blocks(wide, Blocks(target=0.35, shrink_kernels=3), samples=samples)
    assert found.gone == ()
    assert found.removed == pytest.approx(1 - (64 * 9 * 2 * 4 + 64 * 9 * 16 + 8) / (64 * 25 * 2 * 4 + 64 * 9 * 16 + 8))
    assert found.notes == ("kernels of 'wide' were cut to their centre of 3",)
    none = leave_out_blocks(wide, Blocks(remove=0, shrink_kernels=3), samples=samples)
    assert (none.gone, none.model.get_layer("wide").kernel_size) == ((), (3, 3))


def test_what_cannot_be_is_refused_with_the_reason(model):
    for stage, line in (
        (Blocks(remove=5), r"blocks\.remove must be at most 4 in model 'functional\w*' \('b0_sum', .*\), got 5"),
        (Blocks(target=0.95), r"blocks\.target must be at most 0\.8\d* of the multiply-accumulates of this model, got"),
        (Blocks(scope=("b9_*",)), r"blocks\.scope matches no layer of a block: 'b9_\*'.*there are b0_conv"),
    ):
        with pytest.raises(UsageError, match=line):
            leave_out_blocks(model, stage, samples=SAMPLES)
    with pytest.raises(UnsupportedError, match=r"\(no block lies whole in blocks\.scope\)"):
        leave_out_blocks(model, Blocks(scope=("b0_conv",)), samples=SAMPLES)
    with pytest.raises(DataError, match="blocks needs samples to find which block costs least, got none"):
        leave_out_blocks(model, Blocks(), samples=None)


def test_a_model_without_blocks_is_refused_with_the_reason_for_each_layer():
    plain = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(6, name="wide"), layers.Dense(2, name="out")])
    line = r"nothing that can be left out of model .*\('wide' makes \(6\) of \(4\), 'out' makes \(2\) of \(6\)\)"
    with pytest.raises(UnsupportedError, match=line):
        leave_out_blocks(plain, Blocks(), samples=Samples({"x": np.zeros((4, 4), np.float32)}))
    with pytest.raises(UnsupportedError, match=line):
        check_removable(plain, Blocks())


def test_a_look_at_the_model_tells_how_many_blocks_there_are(model):
    check_removable(model, Blocks(remove=4))
    check_removable(model, Blocks(target=0.3))
    for stage, line in (
        (Blocks(remove=5), r"blocks\.remove must be at most 4"),
        (Blocks(target=0.95), r"at most 0\.8"),
    ):
        with pytest.raises(UsageError, match=line):
            check_removable(model, stage)


def test_blocks_that_lie_in_each_other_run_out_with_a_word(monkeypatch):
    monkeypatch.setattr(finding, "BODY", 1)
    given = keras.Input((6,), name="x")
    start = x = layers.Dense(6, name="stem")(given)
    for number in range(2):
        x = layers.Dense(6, "relu", name=f"d{number}")(x)
    body = keras.Model(given, layers.Dense(2, name="out")(layers.Add(name="skip")([start, x])))
    body.get_layer("d1").set_weights([np.zeros((6, 6)), np.zeros(6)])
    samples = Samples({"x": np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)})
    assert leave_out_blocks(body, Blocks(), samples=samples).gone == ("skip",)
    with pytest.raises(UsageError, match=r"blocks\.remove must be at most 2 in model 'functional\w*', got 4"):
        leave_out_blocks(body, Blocks(remove=4), samples=samples)


def test_flags_and_recipes_ask_for_it():
    assert read_stages({"blocks": "2"}) == (Blocks(remove=2),)
    assert read_stages({"blocks": "0.3", "of": "parameters"}) == (Blocks(target=0.3, of="parameters"),)
    assert read_blocks("-1") == {"remove": -1}
    with pytest.raises(ValueError, match=r"a number of blocks such as 2, or a fraction such as 0\.3, got 'two'"):
        read_blocks("two")
    assert [part.remove for part in Blocks(remove=1, cycles=3).parts] == [1, 0, 0]
    shrinking = Blocks(remove=2, cycles=2, shrink_kernels=3).parts
    assert [(part.remove, part.shrink_kernels) for part in shrinking] == [(1, 3), (1, None)]
    assert [Blocks(target=0.3, of="parameters").label, Blocks(shrink_kernels=3).label] == [
        "blocks0.3-parameters",
        "blocks1-kernels3",
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"remove": -1}, r"blocks\.remove must be at least 0, got -1"),
        (
            {"remove": 0},
            r"remove must be at least 1, since nothing else is asked \(see shrink_kernels\), got 0",
        ),
        ({"target": 1.0}, r"blocks\.target must be in \(0, 1\), got 1\.0"),
        (
            {"target": 0.3, "remove": 2},
            r"remove must be left out where blocks\.target says how much goes, got 2",
        ),
        ({"shrink_kernels": 4}, r"blocks\.shrink_kernels must be an odd size, got 4"),
        ({"cycles": 0}, r"blocks\.cycles must be at least 1, got 0"),
        ({"tune_epochs": -1}, r"blocks\.tune_epochs must be at least 0, got -1"),
    ],
)
def test_values_that_mean_nothing_are_refused(values, line):
    with pytest.raises(RecipeError, match=line):
        Blocks(**values)


def test_cycles_in_which_nothing_goes_are_refused():
    with pytest.raises(RecipeError, match=r"blocks\.remove must be at least 1, or give shrink_kernels, got 0"):
        Recipe(stages=(Blocks(remove=0, cycles=2),), train=Train(epochs=2))


@pytest.mark.slow
def test_blocks_go_in_cycles_before_channels_and_pruning_in_one_recipe():
    keras.utils.set_random_seed(0)
    given = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(given)
    for number in range(3):
        y = layers.Conv2D(8, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        y = layers.BatchNormalization(name=f"norm{number}")(y)
        x = layers.ReLU(name=f"relu{number}")(layers.Add(name=f"sum{number}")([x, y]))
    scores = layers.Dense(3, "softmax", name="scores")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(given, scores)
    labels = np.arange(96) % 3
    images = IMAGES.copy()
    images[np.arange(96), :, :, labels] += 1.0
    stages = (
        Blocks(remove=2, cycles=2),
        tfc.Channels(remove=0.8, cycles=2, round_to=1),
        tfc.Prune(sparsity=0.3, frequency=1),
    )
    result = tfc.compress(model, tfc.Recipe(stages=stages, train=Train(epochs=2, batch_size=32)), (images, labels))
    assert sum(layer.name.startswith("sum") for layer in result.model.layers) == 1
    notes = [note for note in result.report.warnings if note.startswith("blocks: left out 'sum")]
    assert len(notes) == 2
    assert result.report.source.macs is not None
    assert (result.report.result.macs or 0) / result.report.source.macs <= 0.2
    told = re.findall(r"(blocks|channels): [^;]*; ([\d,]+) → ([\d,]+) multiply", "\n".join(result.report.warnings))
    assert [kind for kind, *_ in told] == ["blocks", "channels"] * 2
    lefts = [int(after.replace(",", "")) / int(before.replace(",", "")) for _, before, after in told]
    assert 0.1 < lefts[1] * lefts[3] <= 0.2  # what the blocks took is not the channels' to count
