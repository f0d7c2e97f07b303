"""The user's own network as part of a space."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfcompress as tfc
from tests.pictures import write_pictures
from tfcompress.recipe import QAT, STAGES, Distill, Layout, Recipe, load_recipe
from tfcompress.search.architecture import NetworkPart, network_parts
from tfcompress.search.space import Candidate, Space, StagePart, space_of, tried_fields
from tfcompress.settings import Export
from tfcompress.stages.stage import InputSize, NetworkChoice
from tfcompress.train_settings import Train

CHOICES = (
    NetworkChoice("stem", (16, 8)),
    NetworkChoice("inner", (32, 16, 8), ("sum",)),
    NetworkChoice("sum", (1, 0)),
    NetworkChoice("kernels", (None, 3)),
)
PART = NetworkPart(Layout, CHOICES)
EXPORTS = tuple(each.name for each in dataclasses.fields(Export))
SPACE = space_of(train=Train(), export=Export(), more=(PART,))


def test_what_is_chosen_comes_first_in_the_recipe_and_the_teaches() -> None:
    candidate = SPACE.candidate({"layout.stem": 8, "layout.kernels": 3, "qat": True})
    assert candidate.recipe.stages == (Layout(changes=("stem=8",), shrink_kernels=3), Distill(), QAT())
    assert SPACE.candidate({"qat": True}).recipe.stages == (QAT(),)


def test_of_a_block_that_is_left_out_nothing_is_chosen() -> None:
    one, other = (SPACE.candidate({"layout.sum": 0, "layout.inner": width}) for width in (32, 8))
    assert one == other
    assert one.recipe.stages[0] == Layout(changes=("sum=0",))
    assert SPACE.open_values(SPACE.parts[0].dimensions[0], {}) == (False, True)
    (inner,) = (each for each in SPACE.dimensions if each.name == "layout.inner")
    assert SPACE.open_values(inner, {"layout.sum": 0}) == (32,)
    assert SPACE.open_values(inner, {}) == (32, 16, 8)


@given(picked=st.tuples(*(st.sampled_from(choice.values) for choice in CHOICES)), qat=st.booleans())
def test_every_candidate_is_found_again_in_its_space(picked: tuple[Any, ...], qat: bool) -> None:
    space = Space((StagePart(Distill, ()), StagePart(QAT, tuple(tried_fields(QAT))), PART))
    named = {f"layout.{choice.name}": value for choice, value in zip(CHOICES, picked, strict=True)}
    candidate = space.candidate({**named, "qat": qat})
    found = space.selection_of(candidate)
    assert found is not None
    assert space.candidate(found) == candidate


def test_a_layout_with_other_names_lies_outside_the_space() -> None:
    assert PART.selection_of(Candidate(Recipe(stages=(Layout(changes=("other=3",)),)))) is None


def test_sizes_that_the_data_does_not_come_in_are_no_choice() -> None:
    sizes = tuple(InputSize("image", side, side) for side in (24, 16))
    choice = NetworkChoice("image", ("32x32", "24x24", "16x16"), sizes=sizes)
    model, asked = object(), list[InputSize]()

    def parts(large: int) -> tuple[NetworkPart, ...]:
        def comes_in(size: InputSize) -> bool:
            asked.append(size)
            return size.height >= large

        return network_parts(model, comes_in=comes_in)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfcompress.blocks.laying_out.choices_of", lambda _: (CHOICES[0], choice))
        (part,) = parts(20)
        assert part.choices == (CHOICES[0], NetworkChoice("image", ("32x32", "24x24"), sizes=sizes[:1]))
        assert parts(40)[0].choices == CHOICES[:1]
    assert asked == [*sizes, *sizes]
    space = space_of(train=Train(), export=Export(), more=(part,))
    candidate = space.candidate({"layout.image": "24x24"})
    assert candidate.recipe.stages == (Layout(changes=("image=24x24",)), Distill())
    assert candidate.recipe.input_size == sizes[0]
    found = space.selection_of(candidate)
    assert found is not None
    assert found["layout.image"] == "24x24"


@pytest.mark.slow
def test_the_parts_of_a_network_are_those_that_the_stage_finds_in_it() -> None:
    from tests.blocks.residual_models import network

    (part,) = network_parts(network(["inverted"]))
    assert part.stage is Layout
    names = [each.name for each in part.dimensions]
    assert names == ["layout.stem", "layout.b0_wide", "layout.b0_sum", "layout.image"]


@pytest.mark.slow
def test_smaller_pictures_win_where_time_counts_and_are_had_again_without_a_search(tmp_path: Path) -> None:
    import keras

    side, layers = 96, keras.layers
    folder = write_pictures(tmp_path / "data", {"train": 24, "test": 100}, side=side)
    given = keras.Input((side, side, 3), name="image")
    x = layers.Conv2D(2, 3, padding="same", name="conv")(layers.Rescaling(1 / 125.0, offset=-1.0)(given))
    model = keras.Model(given, layers.Softmax(name="out")(layers.GlobalAveragePooling2D()(x)))
    kernel = np.stack([np.full((3, 3, 3), 1 / 3), np.full((3, 3, 3), -1 / 3)], axis=-1).astype(np.float32)
    model.get_layer("conv").set_weights([kernel, np.zeros(2, np.float32)])
    model.save(tmp_path / "model.keras")
    with tfc.Workbench(str(tmp_path / "model.keras"), str(folder)) as bench:
        assert bench.baseline is not None
        assert bench.baseline.score is not None
        float_score = bench.baseline.score.score
    found = tfc.auto(
        str(tmp_path / "model.keras"),
        str(folder),
        max_drop=5.0,
        max_size=20_000,
        device="local",
        trials=4,
        architecture=True,
        train=Train(epochs=1, batch_size=16),
        export=Export(quantize="int8"),
        fixed=("train.learning_rate", "train.epochs", *(f"export.{each}" for each in EXPORTS)),
        without=[kind for kind, stage in STAGES.items() if not (stage.choices or stage.builds)],
        output=tmp_path / "out",
        cache=tmp_path / "cache",
        progress=False,
    )
    recipe = load_recipe(tmp_path / "out" / "best" / "recipe.toml")
    size = recipe.input_size
    assert size in {InputSize("image", side, side) for side in (72, 64, 48)}
    assert size is not None
    tried = {each.name for each in found.facts.tried}
    assert tried == {"int8", *(f"layout0w0b-{side}x{side}-distill-int8" for side in (72, 64, 48))}
    best = json.loads((tmp_path / "out" / "best" / "report.json").read_text("utf-8"))
    assert best["data"]["inputs"]["image"]["shape"] == [*size[1:], 3]
    with np.load(tmp_path / "out" / "best" / "test-samples.npz") as written:
        assert written["x.image"].shape[1:] == (*size[1:], 3)
    again = tfc.compress(str(tmp_path / "model.keras"), recipe, str(folder), progress=False)
    assert again.tflite.sha256 == best["result"]["sha256"]
    for each in (again, found.best):
        assert each.report.baseline is not None
        assert each.report.baseline.score == float_score
