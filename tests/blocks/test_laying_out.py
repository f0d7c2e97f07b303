"""Networks with the widths and blocks that were said, and what there is to say of a network."""

from __future__ import annotations

import numpy as np
import pytest

from tests.blocks.residual_models import network
from tfcompress.blocks.laying_out import choices_of, rewrite
from tfcompress.errors import DataError, RecipeError, UsageError
from tfcompress.models.samples import Samples
from tfcompress.recipe import Layout, Recipe, Train
from tfcompress.stages.rewriting import RewritingContext

keras = pytest.importorskip("keras")
layers = keras.layers

IMAGES = np.random.default_rng(0).normal(size=(64, 4, 4, 3)).astype(np.float32)
CONTEXT = RewritingContext(samples=Samples({"image": IMAGES}))


@pytest.fixture(scope="module")
def model():
    return network(["conv", "inverted"])


def test_widths_and_blocks_become_what_was_said(model):
    found = rewrite(model, Layout(changes=("b0_sum=0", "b1_wide=3")), CONTEXT)
    names = [layer.name for layer in found.model.layers]
    assert "b0_conv" not in names
    assert found.model.get_layer("b1_wide").filters == 3
    assert found.model.get_layer("stem").filters == 4
    assert found.notes[0].startswith("layout: b0_sum=0, b1_wide=3: ")
    whole = rewrite(model, Layout(changes=("stem=4",)), CONTEXT).model
    np.testing.assert_array_equal(whole(IMAGES)[0], model(IMAGES)[0])


def test_dead_channels_go_with_equal_outputs(model):
    dead = keras.models.clone_model(model)
    dead.set_weights(model.get_weights())
    wide, depth = dead.get_layer("b1_wide"), dead.get_layer("b1_depth")
    kernel, bias = (np.array(weight) for weight in wide.get_weights())
    kernel[..., 5:], bias[5:] = 0.0, 0.0
    wide.set_weights([kernel, bias])
    depth.set_weights([depth.get_weights()[0], np.zeros(8)])
    smaller = rewrite(dead, Layout(changes=("b1_wide=5",)), RewritingContext()).model
    assert smaller.get_layer("b1_wide").filters == 5
    for one, other in zip(smaller(IMAGES), dead(IMAGES), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (("b0_som=0",), r"must name a block of model 'functional\w*', got 'b0_som' \(did you mean 'b0_sum'\?\)"),
        (("steam=2",), r"must name a group of channels of model .*, got 'steam' \(did you mean 'stem'\?\)"),
        (("stem=9",), r"layout\.changes must leave at most the 4 channels of 'stem', got 9"),
        (("first=2",), r"layout\.changes must leave the 3 channels of 'first': .*, got 2"),
        (("b1_sum=0", "b1_wide=3"), r"must not name 'b1_wide' beside a block that it goes with"),
    ],
)
def test_what_means_nothing_in_a_model_is_refused(model, changes, line):
    with pytest.raises(UsageError, match=line):
        rewrite(model, Layout(changes=changes), CONTEXT)


def test_pictures_of_another_size_go_before_what_else_is_said(model):
    small = {"image": IMAGES[:, :3, :2]}
    said = Layout(changes=("b1_wide=3", "image=3x2", "b0_sum=0"))
    found = rewrite(model, said, RewritingContext(samples=Samples(small)))
    assert found.model.input_shape == (None, 3, 2, 3)
    assert found.model.get_layer("b1_wide").filters == 3
    assert [note.partition(": ")[2][:19] for note in found.notes] == ["b1_wide=3, b0_sum=0"]
    alone = rewrite(model, Layout(changes=("image=3x2",)), RewritingContext())
    assert alone.notes == ()
    for own, kept in zip(model.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, own)


def test_blocks_without_samples_are_refused(model):
    with pytest.raises(DataError, match="layout needs samples"):
        rewrite(model, Layout(changes=("b0_sum=0",)), RewritingContext())


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"changes": ("stem",)}, r"layout\.changes must be NAME=N each, or INPUT=HEIGHTxWIDTH, got 'stem'"),
        ({"changes": ("stem=1", "stem=2")}, r"layout\.changes must be one for each name, got 'stem'"),
        ({"shrink_kernels": 2}, r"layout\.shrink_kernels must be an odd size, got 2"),
        ({"cycles": 0}, r"layout\.cycles must be at least 1, got 0"),
        ({"tune_epochs": -1}, r"layout\.tune_epochs must be at least 0, got -1"),
    ],
)
def test_values_that_mean_nothing_are_refused(values, line):
    with pytest.raises(RecipeError, match=line):
        Layout(**values)
    with pytest.raises(RecipeError, match=r"layout\.changes must be at least one NAME=N, or give shrink_kernels"):
        Recipe(stages=(Layout(),))


def test_all_changes_are_made_in_the_first_cycle():
    stage = Layout(changes=("stem=2",), shrink_kernels=3, cycles=2)
    Recipe(stages=(stage,), train=Train(epochs=2))
    assert [(part.changes, part.shrink_kernels) for part in stage.parts] == [(("stem=2",), 3), ((), None)]
    assert stage.label == "layout1w0b-kernels3"


def test_a_search_may_choose_widths_blocks_and_kernels(model):
    keras.utils.set_random_seed(0)
    found = {choice.name: choice for choice in choices_of(model)}
    assert found["stem"].values == (4, 3, 2, 1)
    assert found["b1_wide"].values == (8, 6, 4, 2)
    assert found["b1_wide"].inside == ("b1_sum",)
    assert found["b0_sum"].values == (1, 0)
    assert found["image"].values == ("4x4", "3x3", "2x2")
    assert found["image"].sizes == (("image", 3, 3), ("image", 2, 2))
    assert "first" not in found
    wide = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(32, 7, padding="same", name="a"),
            layers.Conv2D(32, 3, padding="same", name="b"),
        ]
    )
    wide.add(layers.Flatten())
    wide.add(layers.Dense(2, name="out"))
    found = {choice.name: choice for choice in choices_of(wide)}
    assert found["b"].values == (32, 24, 16, 8, 0)
    assert found["kernels"].values == (None, 5, 3)
    assert not any(choice.sizes for choice in found.values())  # Flatten: the weights belong to places
    chosen = {"b": 0, "a": 16, "kernels": 3}
    assert Layout.of_choices(chosen).chosen() == chosen
    assert Layout.of_choices(chosen) == Layout(changes=("a=16", "b=0"), shrink_kernels=3)
