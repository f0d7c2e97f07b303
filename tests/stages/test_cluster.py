from __future__ import annotations

import pytest

from tfcompress.errors import RecipeError
from tfcompress.recipe import Cluster, Export, Recipe, from_toml
from tfcompress.stages.cluster import read_per


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clusters": 1}, "cluster.clusters must be between 2 and 256, got 1"),
        ({"layers": ("conv",)}, "cluster.layers must be NAME=K each, K between 2 and 256, got 'conv'"),
        ({"layers": ("=4",)}, "cluster.layers must be NAME=K each"),
        ({"layers": ("conv=1",)}, "cluster.layers must be NAME=K each"),
        ({"budget": "much"}, "cluster.budget must be a number above 0 with one of B, KB"),
        ({"budget": "0KB"}, "cluster.budget must be a number above 0"),
        ({"budget": "1KB", "layers": ("conv=4",)}, "cluster.layers must be empty with a budget"),
        ({"clusters": 2, "scheme": "power_of_two"}, "cluster.clusters must be at least 3 with scheme 'power_of_two'"),
        ({"layers": ("c=2",), "scheme": "power_of_two"}, "cluster.clusters must be at least 3 with scheme"),
        ({"scheme": "power_of_two", "engine": "tfmot"}, "cluster.engine must be 'native' (or 'auto') with a budget"),
        ({"budget": "1KB", "engine": "tfmot"}, "cluster.engine must be 'native' (or 'auto') with a budget"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Cluster(**values)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value).startswith(message)


def test_the_first_pattern_that_matches_says_how_many_values_a_layer_gets() -> None:
    stage = Cluster(clusters=16, layers=("body/conv=4", "conv*=8", "attention=3"))
    paths = ("body/conv", "conv", "conv_2", "other/conv_1", "dense", "attention", "attention_1")
    assert [stage.count_of(path) for path in paths] == [4, 8, 8, 8, 16, 3, 16]
    assert stage.fewest == 3


def test_what_is_undecided_is_said() -> None:
    assert Cluster().undecided
    assert Cluster(per_channel=True, budget="1KB").undecided
    assert not Cluster(per_channel=False).undecided


@pytest.mark.parametrize(("text", "per_channel"), [("channel", True), ("kernel", False), ("auto", None)])
def test_code_books_are_asked_for_by_what_has_one(text: str, per_channel: bool | None) -> None:
    assert read_per(text) == {"per_channel": per_channel}


def test_other_words_are_no_code_books() -> None:
    with pytest.raises(ValueError, match="must be one of auto, channel, kernel, got 'layer'"):
        read_per("layer")


def test_recipes_that_were_written_before_there_was_a_choice_mean_what_they_meant() -> None:
    before = '[[stages]]\nkind = "cluster"\nclusters = 16\ninit = "kmeans++"\nper_channel = false\n'
    assert from_toml(before).stages == (Cluster(init="kmeans++", per_channel=False),)


def test_a_budget_is_for_a_file_that_is_written() -> None:
    stage = Cluster(budget="40KB")
    with pytest.raises(RecipeError, match=r"cluster.budget must be empty without export.lookup or export.optimize_for"):
        Recipe(stages=(stage,))
    for export in (Export(optimize_for="download"), Export(quantize="int8", lookup=True)):
        assert Recipe(stages=(stage,), export=export).stages == (stage,)


def test_a_file_that_takes_more_than_its_budget_is_remarked_on() -> None:
    assert Cluster(budget="40KB").remark_on(lambda: 40_000, 80_000) == ""
    assert Cluster(budget="0.5x").remark_on(lambda: 40_000, 80_000) == ""
    assert Cluster(budget="0.5x").remark_on(lambda: 40_000, 79_999)
    assert Cluster().remark_on(lambda: 40_000, 80_000) == ""
    assert "40KB, and the finished file takes 40,001 bytes" in Cluster(budget="40KB").remark_on(lambda: 40_001, 80_000)
