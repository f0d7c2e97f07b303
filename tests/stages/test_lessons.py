"""What is asked of a lesson: losses with weights, pairs of layers, students by size; and what contradicts itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tfcompress.errors import RecipeError
from tfcompress.recipe import Channels, Distill, Prune, Recipe, Train, from_dict, load_recipe
from tfcompress.stages.lessons import StudentScale


def test_one_teacher_loss_or_pair_may_stand_by_itself() -> None:
    stage = Distill(teacher="big.keras", loss="features=2", layers="a=b")
    assert stage == Distill(teacher=("big.keras",), loss=("features=2",), layers=("a=b",))
    assert stage.losses == {"features": 2.0}
    assert stage.pairs == (("a", "b"),)
    assert Distill(loss=("soft", "attention=50"), layers="a").pairs == (("a", "a"),)


def test_a_student_is_a_size_a_file_or_a_function() -> None:
    assert Distill(student="width=0.5, depth=0.25").student_scale == StudentScale(width=0.5, depth=0.25)
    assert Distill(student="small.keras").student_scale is None
    assert Distill(student="small.keras").model_files == ("small.keras",)
    assert Distill(student="mine:small").model_files == ()
    assert Distill(student="mine:small").code == ("mine:small",)
    assert Distill(student="c:/small.h5").model_files == ("c:/small.h5",)
    assert Distill(student="width=0.5").sources == ()


def test_fresh_weights_learn_faster_by_default() -> None:
    rates = [Recipe(stages=(stage,)).resolved().train.learning_rate for stage in (Distill(), Distill(student="a.h5"))]
    assert rates == [1e-5, 1e-3]


def test_a_recipe_with_all_of_it_is_read_again() -> None:
    stage = Distill(
        teacher=("a.keras", "b.tflite"),
        teacher_preprocess="mine:resize",
        teacher_classes="cat,dog",
        loss=("soft", "features=0.5"),
        layers=("x=y",),
        student="width=0.5",
    )
    recipe = Recipe(stages=(stage,), train=Train(ema=0.99, augment="alternating-flip"))
    assert from_dict(recipe.to_dict()) == recipe
    assert recipe.name == "student-float32"


@pytest.mark.parametrize(("name", "epochs"), [("channels50-long", 20), ("channels50-longer", 100)])
def test_the_long_recipes_make_the_most_of_their_epochs(name: str, epochs: int) -> None:
    train = load_recipe(name).train
    assert (train.epochs, train.optimizer, train.decay, train.ema) == (epochs, "muon", "cosine", 0.99)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Distill(loss="fetures"), r"distill.loss must be one of soft, .* \(did you mean 'features'"),
        (lambda: Distill(loss=()), "distill.loss must be at least one name"),
        (lambda: Distill(loss=("soft", "soft=2")), "distill.loss must be names, each at most once"),
        (lambda: Distill(loss="soft=0"), "distill.loss must be NAME or NAME=WEIGHT with a weight above 0, got '0'"),
        (lambda: Distill(layers="a=b"), "distill.layers must be empty without a loss that compares layers"),
        (lambda: Distill(loss="features", layers="=b"), "distill.layers must be STUDENT=TEACHER, the names of two"),
        (lambda: Distill(teacher=("a", "a")), "distill.teacher must be files, each at most once"),
        (lambda: Distill(teacher_classes="a,b"), "distill.teacher_classes must be empty without distill.teacher"),
        (lambda: Distill(teacher="a", teacher_preprocess="x"), "distill.teacher_preprocess must be module:function"),
        (lambda: Distill(student="widht=0.5"), r"width=FRACTION and depth=FRACTION, .* \(did you mean 'width'"),
        (lambda: Distill(student="width=2"), r"distill.student width must be a number in \(0, 1\], got '2'"),
        (lambda: Distill(student="width=1"), "distill.student must be smaller than the model in width or depth"),
        (
            lambda: Recipe(stages=(Channels(), Distill(student="width=0.5"))),
            "distill.student must be a trained model beside channels: fresh weights do not show what may go",
        ),
        (lambda: Train(ema=1.0), r"train.ema must be in \(0, 1\), got 1.0"),
    ],
)
def test_contradictions_are_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make()


def test_a_student_may_be_pruned_and_a_trained_one_cut() -> None:
    Recipe(stages=(Prune(), Distill(student="width=0.5")))
    Recipe(stages=(Channels(), Distill(student="small.keras")))
