"""What each stage makes of its fields: parts of cycles, labels, texts that are read, and what a search chooses."""

from __future__ import annotations

import fnmatch
import itertools
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tfcompress.errors import RecipeError
from tfcompress.limits import SIZE_UNITS, read_limit
from tfcompress.recipe import (
    QAT,
    Blocks,
    Build,
    Channels,
    Cluster,
    Distill,
    Export,
    Layout,
    Prune,
    Recipe,
    Train,
    from_toml,
)
from tfcompress.stages.blocks import read_blocks
from tfcompress.stages.cluster import read_per
from tfcompress.stages.lessons import LESSON_LOSSES, StudentScale, read_layers, read_losses, read_student
from tfcompress.stages.low_rank import LowRank
from tfcompress.stages.prune import read_amount, read_block

shares = st.floats(0.01, 0.99)
cycles = st.integers(1, 9)
words = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="_/."), min_size=1, max_size=9)


@given(shares, cycles)
def test_channels_leave_the_same_part_of_the_rest_in_every_cycle(remove: float, count: int) -> None:
    left = [1.0, *(1.0 - part.remove for part in Channels(remove=remove, cycles=count).parts)]
    assert left[-1] == pytest.approx(1.0 - remove)
    ratios = [after / before for before, after in itertools.pairwise(left)]
    assert ratios == pytest.approx([(1.0 - remove) ** (1 / count)] * count)


@given(shares, cycles)
def test_low_rank_reaches_its_target_by_equal_steps(target: float, count: int) -> None:
    assert math.prod(part.target for part in LowRank(target=target, cycles=count).parts) == pytest.approx(target)


@given(st.integers(1, 40), cycles, st.none() | st.sampled_from([1, 3, 5]))
def test_blocks_go_in_turns_that_differ_by_one_at_most_and_kernels_in_the_first(
    remove: int, count: int, size: int | None
) -> None:
    parts = Blocks(remove=remove, cycles=count, shrink_kernels=size).parts
    numbers = [part.remove for part in parts]
    assert sum(numbers) == remove
    assert max(numbers) - min(numbers) <= 1
    assert numbers == sorted(numbers, reverse=True)
    assert [part.shrink_kernels for part in parts] == [size, *[None] * (count - 1)]


@given(shares, cycles)
def test_a_target_of_blocks_is_reached_in_the_last_cycle(target: float, count: int) -> None:
    parts = Blocks(target=target, cycles=count).parts
    targets = [part.target or 0.0 for part in parts]
    assert targets[-1] == pytest.approx(target)
    assert targets == sorted(targets)


@given(cycles, st.none() | st.sampled_from([3, 5]))
def test_a_layout_and_a_builder_do_all_in_the_first_cycle(count: int, size: int | None) -> None:
    layout = Layout(changes=("a=4", "b=0"), cycles=count, shrink_kernels=size)
    assert layout.parts[0] == layout
    assert all((part.changes, part.shrink_kernels) == ((), None) for part in layout.parts[1:])
    build = Build(builder="nets:make", values=("a=1",), cycles=count)
    assert build.parts[0] == build
    assert all((part.builder, part.values) == ("", ()) for part in build.parts[1:])


@given(st.integers(2, 200), st.integers(0, 9), st.none() | st.integers(1, 60))
def test_slimming_takes_half_of_what_the_tuning_leaves_or_what_was_said(
    epochs: int, tuned: int, said: int | None
) -> None:
    assume(tuned < epochs)
    stage = Channels(regularize="slimming", tune_epochs=tuned, regularize_epochs=said)
    assert stage.preparing_epochs(epochs) == (max(1, (epochs - tuned) // 2) if said is None else said)
    assert stage.unprepared.preparing_epochs(epochs) == 0
    assert stage.unprepared.tune_epochs == tuned


@pytest.mark.parametrize(
    ("regularize", "judged", "strength"),
    [("none", "l2", 0.0), ("slimming", "bn_gamma", 1e-3), ("group-norm", "l2", 1e-4)],
)
def test_what_drives_channels_decides_what_they_are_judged_by(regularize: Any, judged: str, strength: float) -> None:
    stage = Channels(regularize=regularize)
    assert (stage.judged_by, stage.strength) == (judged, strength)
    assert Channels(regularize=regularize, criterion="taylor").judged_by == "taylor"
    if regularize != "none":
        assert Channels(regularize=regularize, regularize_strength=0.5).strength == 0.5


widths = st.dictionaries(words, st.integers(0, 512), min_size=1, max_size=5)


@given(widths, st.none() | st.sampled_from([1, 3, 7]))
def test_what_a_search_chooses_of_a_layout_is_read_back_from_it(chosen: dict[str, int], kernels: int | None) -> None:
    assume("kernels" not in chosen)
    whole = {**chosen, **({} if kernels is None else {"kernels": kernels})}
    layout = Layout.of_choices(whole)
    assert layout is not None
    assert layout.chosen() == whole
    assert layout.widths == chosen
    gone = sum(width == 0 for width in chosen.values())
    suffix = "" if kernels is None else f"-kernels{kernels}"
    assert layout.label == f"layout{len(chosen) - gone}w{gone}b{suffix}"


@given(st.dictionaries(words, st.integers(-5, 99) | st.booleans() | words, max_size=5))
def test_what_a_search_chooses_of_a_builder_is_read_back_as_text(chosen: dict[str, Any]) -> None:
    assume("built" not in chosen)
    build = Build.of_choices({"built": True, **chosen}, "nets:make")
    assert build is not None
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in chosen.items()}
    assert build.chosen() == {"built": True, **texts}
    assert build.code == ("nets:make",)
    assert len(build.label) <= 40
    assert Build.of_choices({**chosen, "built": False}) is None
    assert Build.of_choices(chosen) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("units",), "build.values must be NAME=VALUE each, got 'units'"),
        (("=8",), "build.values must be NAME=VALUE each, got '=8'"),
        (("a=1", "a=2"), "build.values must be one for each name, got 'a'"),
    ],
)
def test_values_of_a_builder_have_names_each_once(values: tuple[str, ...], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Build(builder="a:b", values=values)


@pytest.mark.parametrize("builder", ["", "nets", "nets.make"])
def test_what_builds_nothing_is_refused_in_a_recipe(builder: str) -> None:
    with pytest.raises(RecipeError, match=r"build\.builder must be module:function, got "):
        Recipe(stages=(Build(builder=builder),), train=Train(epochs=2))


@pytest.mark.parametrize("change", ["a", "a=", "=3", "a=-1", "a=1.5", "a=b", "", "a=8x", "a=0x8", "a=8x8x3"])
def test_a_change_of_a_layout_is_a_name_and_a_whole_number_or_two(change: str) -> None:
    with pytest.raises(RecipeError, match=r"layout\.changes must be NAME=N each, or INPUT=HEIGHTxWIDTH, got "):
        Layout(changes=(change,))


@given(words, st.integers(1, 4096), st.integers(1, 4096))
def test_two_numbers_are_the_size_of_an_input_and_no_width(name: str, height: int, width: int) -> None:
    layout = Layout.of_choices({name: f"{height}x{width}", f"{name}_conv": 8, "kernels": 3})
    assert layout is not None
    assert layout.input_size == (name, height, width)
    assert layout.widths == {f"{name}_conv": 8}
    assert layout.chosen() == {name: f"{height}x{width}", f"{name}_conv": 8, "kernels": 3}
    assert layout.label == f"layout1w0b-kernels3-{height}x{width}"
    recipe = Recipe(stages=(layout,))
    assert recipe.input_size == (name, height, width)
    assert from_toml(recipe.to_toml()) == recipe
    assert Recipe(stages=(Blocks(),)).input_size is None


def test_pictures_have_one_size_and_stand_beside_nothing_that_needs_the_models_own() -> None:
    size = Layout(changes=("image=8x8",))
    with pytest.raises(RecipeError, match=r"changes must be HEIGHTxWIDTH of one input at most, got 'image, other'"):
        Layout(changes=("image=8x8", "other=8x8"))
    for stages, words in (
        ((Build(builder="nets:make"), size), "build, whose network takes what the model takes"),
        ((size, Distill(student="width=0.5")), r"distill\.student: "),
        ((size, Distill(student="small.keras")), r"distill\.student: "),
        ((size, Distill(loss=("features",))), r"distill\.loss of layers: "),
    ):
        with pytest.raises(RecipeError, match=rf"layout\.changes must be without a size beside {words}.*got '8x8'"):
            Recipe(stages=stages)
    Recipe(stages=(size, Distill(loss=("soft", "cosine"))))


def test_a_layout_that_changes_nothing_is_refused_and_one_that_cuts_kernels_is_not() -> None:
    with pytest.raises(RecipeError, match=r"layout\.changes must be at least one NAME=N, or give shrink_kernels"):
        Recipe(stages=(Layout(),))
    with pytest.raises(RecipeError, match=r"layout\.changes must be one for each name, got 'a'"):
        Layout(changes=("a=1", "b=2", "a=3"))
    assert Recipe(stages=(Layout(shrink_kernels=3),)).name == "layout0w0b-kernels3-float32"


@pytest.mark.parametrize("kind", [Layout, Blocks])
@pytest.mark.parametrize("size", [0, 2, -1, 4])
def test_kernels_have_an_odd_size(kind: Any, size: int) -> None:
    with pytest.raises(RecipeError, match=rf"{kind.kind}\.shrink_kernels must be an odd size, got {size}"):
        kind(shrink_kernels=size)


@given(st.integers(-9, 99))
def test_whole_numbers_are_blocks_and_others_are_fractions(number: int) -> None:
    assert read_blocks(f" {number} ") == {"remove": number}
    assert read_blocks(f"{number}.5") == {"target": float(f"{number}.5")}


@pytest.mark.parametrize("text", ["", "half", "2,3", "²", "1e", "--2"])
def test_what_is_neither_blocks_nor_a_fraction_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a number of blocks such as 2, or a fraction such as 0\.3") as caught:
        read_blocks(text)
    assert repr(text) in str(caught.value)


@given(st.floats(0.001, 0.999), st.integers(1, 64), st.integers(1, 64))
def test_amounts_and_blocks_are_read_back_as_they_are_written(sparsity: float, rows: int, columns: int) -> None:
    assert Prune(**read_amount(repr(sparsity))) == Prune(sparsity=sparsity)
    stage = Prune(**read_block(f"{rows}x{columns}"))
    assert (stage.pattern, stage.block_shape) == ("block", (rows, columns))
    for pattern in ("2:4", "4:8"):
        assert Prune(**read_amount(pattern)).label == f"prune{pattern.replace(':', 'of')}"


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("kernel", False), ("channel", True)])
def test_a_code_book_is_of_a_channel_or_of_a_kernel(text: str, value: bool | None) -> None:
    assert Cluster(**read_per(text)).per_channel is value
    with pytest.raises(ValueError, match=f"must be one of auto, channel, kernel, got '{text}s'"):
        read_per(f"{text}s")


@given(st.lists(st.tuples(st.sampled_from(["conv*", "dense", "*", "block_?/conv"]), st.integers(2, 256)), max_size=4))
def test_the_first_pattern_that_matches_says_how_many_values(rules: list[tuple[str, int]]) -> None:
    stage = Cluster(clusters=99, layers=tuple(f"{name}={count}" for name, count in rules))
    assert stage.counts == tuple(rules)
    assert stage.fewest == min([99, *(count for _, count in rules)])
    for path in ("conv_1", "net/dense", "block_3/conv", "head"):
        names = (path, path.rpartition("/")[2])
        found = [count for pattern, count in rules if any(fnmatch.fnmatchcase(name, pattern) for name in names)]
        assert stage.count_of(path) == (found[0] if found else 99)


@pytest.mark.parametrize("text", ["conv", "conv=", "=4", "conv=1", "conv=257", "conv=4.0", "conv=x"])
def test_values_of_a_layer_are_a_number_that_a_code_book_may_have(text: str) -> None:
    with pytest.raises(RecipeError, match=r"cluster\.layers must be NAME=K each, K between 2 and 256, got "):
        Cluster(layers=(text,))


@given(st.sampled_from(["40KB", "0.5x", "1MiB", "12 kb", "7"]), st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_budget_that_is_missed_is_told_and_one_that_is_kept_is_not(budget: str, size: int, plain: int) -> None:
    stage = Cluster(budget=budget)
    most = read_limit(budget, SIZE_UNITS).beside(plain)
    assert stage.budget_bytes(plain) == most
    said = stage.remark_on(lambda: size, plain)
    assert bool(said) == (size > most)
    if said:
        assert f"cluster.budget is {budget}, and the finished file takes {size:,} bytes" in said
    assert Cluster().remark_on(lambda: pytest.fail("nobody asked"), plain) == ""


def test_a_code_book_goes_by_what_the_export_makes_of_it() -> None:
    one, two = Export(quantize="int8"), Export(quantize="int8", samples=7)
    assert Cluster(per_channel=True).decided_by(one) is None
    assert Cluster().decided_by(one) == Cluster().decided_by(two) != Cluster().decided_by(Export())
    assert Cluster(budget="1KB").decided_by(one) != Cluster(budget="1KB").decided_by(two)
    assert [stage.undecided for stage in (Cluster(), Cluster(per_channel=False), Cluster(budget="1KB"))] == [1, 0, 1]
    for export, fine in (
        (one, False),
        (Export(quantize="int8", lookup=True), True),
        (Export(optimize_for="download"), True),
    ):
        if fine:
            Recipe(stages=(Cluster(budget="1KB"),), export=export)
            continue
        with pytest.raises(RecipeError, match=r"cluster\.budget must be empty without export\.lookup or"):
            Recipe(stages=(Cluster(budget="1KB"),), export=export)


@pytest.mark.parametrize("budget", ["40KB", " 40 KB ", "40\tKB", "40KB\n"])
def test_a_label_has_no_spaces_whatever_the_budget_was_typed_with(budget: str) -> None:
    assert Cluster(budget=budget).label == "cluster16-40KB"
    assert Cluster(budget="0.5x", scheme="power_of_two").label == "cluster16-p2-0p5x"


@pytest.mark.parametrize("weights", [8, 4])
@pytest.mark.parametrize("quantize", ["none", "dynamic", "float16", "int8", "int16x8"])
def test_the_stage_that_trains_for_numbers_is_one_whose_recipe_may_write_them(weights: Any, quantize: Any) -> None:
    if weights == 4 and quantize != "int8":
        return
    export = Export(quantize=quantize, weight_bits=weights)
    stage = QAT.training_for(export)
    if quantize not in ("int8", "int16x8"):
        assert stage is None
        return
    assert stage is not None
    assert stage.numbers == quantize
    assert stage.weight_bits == weights
    assert (
        Recipe(stages=(stage,), export=Export(quantize=quantize)).resolved().train.learning_rate == stage.default_rate
    )
    assert stage.default_rate == (1e-4 if weights == 4 else 1e-5)
    assert stage.label == {8: {"int8": "qat", "int16x8": "qatw8a16"}, 4: {"int8": "qatw4a8"}}[weights][quantize]


losses = st.dictionaries(st.sampled_from(sorted(LESSON_LOSSES)), st.floats(0.001, 1000), min_size=1, max_size=4)


@given(losses)
def test_losses_are_read_back_with_their_weights_in_their_order(found: dict[str, float]) -> None:
    texts = tuple(f"{name}={weight!r}" for name, weight in found.items())
    assert list(read_losses(texts).items()) == list(found.items())
    assert read_losses(tuple(found)) == dict.fromkeys(found, 1.0)


@given(st.lists(st.tuples(words, words), max_size=4))
def test_pairs_of_layers_are_read_back(pairs: list[tuple[str, str]]) -> None:
    assert read_layers(tuple(f" {own} = {other} " for own, other in pairs)) == tuple(pairs)
    assert read_layers(tuple(own for own, _ in pairs)) == tuple((own, own) for own, _ in pairs)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.booleans())
def test_a_size_is_read_in_either_order(width: float, depth: float, turned: bool) -> None:
    assume(min(width, depth) < 1)
    parts = [f"width={width!r}", f" depth = {depth!r}"]
    assert read_student(",".join(reversed(parts) if turned else parts)) == StudentScale(width, depth)
    if width < 1:
        assert read_student(f"width={width!r}") == StudentScale(width=width)


@pytest.mark.parametrize(
    "text", ["width=0.5,width=0.5", "width=0.5,", "width=0.5;depth=1", "=0.5", "width=", "depth=nan"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^distill\.student "):
        read_student(text)
