"""Stages, settings and recipes drawn by hypothesis: any field may be there, as long as nothing contradicts itself."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from tfcompress.errors import RecipeError
from tfcompress.recipe import STAGES, Export, Recipe, Stage, Train

TEXTS: dict[str, tuple[Any, ...]] = {
    "block_shape": ((4, 1), (1, 16)),
    "budget": ("40KB", "0.5x", " 1.25 MiB "),
    "builder": ("nets:make",),
    "changes": (("stem=8",), ("stem=8", "block_2/add=0"), ("ä b=07",), ("image=24x32", "stem=8")),
    "correct": (("bias",), ("equalize", "bias-once")),
    "input_range": ((0.0, 1.0), (-1, 1), ("age=0,1",), (0, 1, "x=-2,2")),
    "layers": (("conv=4",), ("conv*=8", "a/b=256"), ("stem=top",)),
    "loss": (("soft",), ("features=2", "soft"), "mae", "huber"),
    "max_arena": ("64KB",),
    "max_flash": ("1MiB",),
    "max_latency": ("2ms", "1.1x"),
    "max_size": ("60KB", "1.5x"),
    "optimizer": ("sgd", "muon"),
    "packings": ((), ("slim",)),
    "runtimes": (("litert",), ("litert>=2.1", "tensorflow")),
    "scope": (("conv*",), ('"quoted"', "line\nbreak", "naïve", "a\\b")),
    "student": ("small.keras", "nets:small", "width=0.5", "depth=0.25,width=1"),
    "target": ("tflm", "cortex-m4", "ethos-u55-128"),
    "teacher": (("big.keras",), ("a.h5", "b.tflite")),
    "teacher_classes": ("cat,dog",),
    "teacher_preprocess": ("mine:resize",),
    "types": (("Conv2D",),),
    "values": (("units=8",), ("units=8", "act=a=b")),
}
"""Values of the fields that hold text, by their names."""

NUMBERS = (1, 0.5, 0.25, 2, 0.05, 3.0, 12.5, 0)
COUNTS = (1, 2, 3, 8, 0, 16)


@functools.cache
def values_of(kind: type, name: str) -> tuple[Any, ...]:
    """Return values that a field may have, some of which contradict other fields'."""
    hint: Any = get_type_hints(kind)[name]
    if isinstance(hint, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is Literal:
        return get_args(hint)
    plain: dict[Any, tuple[Any, ...]] = {bool: (True, False), int: COUNTS, float: NUMBERS}
    return plain.get(hint) or TEXTS.get(name, ())


@functools.cache
def _changes(kind: type) -> st.SearchStrategy[list[tuple[str, Any]]]:
    fields = (each.name for each in dataclasses.fields(kind))
    pairs = [
        st.tuples(st.just(name), st.sampled_from(values_of(kind, name))) for name in fields if values_of(kind, name)
    ]
    return st.lists(st.one_of(pairs), max_size=6, unique_by=lambda pair: pair[0])


def widened(draw: Any, made: Any, refusals: list[str] | None = None) -> Any:
    """Return a frozen value with some of its fields drawn anew; what contradicts the rest stays as it was."""
    for field, value in draw(_changes(type(made))):
        try:
            made = dataclasses.replace(made, **{field: value})
        except RecipeError as refusal:
            if refusals is not None:
                refusals.append(str(refusal))
    return made


@st.composite
def stages(draw: Any, kind: type[Stage]) -> Stage:
    """Draw a stage of a kind."""
    made: Stage = widened(draw, kind())
    return made


@st.composite
def recipes(draw: Any) -> Recipe:
    """Draw a recipe: any stages that fit each other, in the order of the table, with any export that fits them."""
    recipe = Recipe(train=Train(epochs=draw(st.integers(1, 60))))
    for kind in STAGES.values():
        if draw(st.booleans()):
            stage = draw(stages(kind))
            export = dataclasses.replace(Export(), quantize=stage.numbers) if stage.numbers else recipe.export
            recipe = _with(recipe, stages=(*recipe.stages, stage), export=export)
    recipe = _with(recipe, train=widened(draw, recipe.train))
    return _with(recipe, export=widened(draw, recipe.export))


def _with(recipe: Recipe, **parts: Any) -> Recipe:
    try:
        return dataclasses.replace(recipe, **parts)
    except RecipeError:
        return recipe
