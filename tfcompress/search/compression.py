"""One call from a model to a checked file: :func:`compress`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.progress import Progress, ToldOnce, effective
from tfcompress.recipe import Recipe, load_recipe
from tfcompress.search.ladder import climb
from tfcompress.workbench import Result, Workbench

if TYPE_CHECKING:
    from tfcompress.models.first_load import LoadLimits
    from tfcompress.tracking.tracker import Tracker


def compress(
    model: Any,
    recipe: Recipe | str | Path,
    data: Any = None,
    *,
    max_drop: float | None = None,
    output: str | Path | None = None,
    force: bool = False,
    test_samples: int | None = None,
    trust: bool = False,
    custom: Sequence[str] = (),
    limits: LoadLimits | None = None,
    progress: Progress | bool | None = None,
    log: Path | None = None,
    trackers: Sequence[Tracker | str] = (),
) -> Result:
    """Take a trained Keras model, make it small and fast, and export a TFLite file that is proven to be what was asked.

    It is one run on a :class:`~tfcompress.workbench.Workbench`; open one for several recipes. Where the file may lose
    only so much (*max_drop*, or the recipe's ``export.max_drop``), it is one run after the other, cheap ones first,
    until one keeps that (:func:`tfcompress.search.ladder.climb`).

    Args:
        model: path of an .h5, .keras or SavedModel, or a model object of Keras 3 or tf_keras (which is left alone).
        recipe: what to do; a named recipe or a .toml file also by its name.
        data: what :func:`tfcompress.load_data` takes or gives; needed by stages and by int8.
        max_drop: points that the file may lose on the test split (:mod:`tfcompress.tasks.drop` says what a point is);
            None: what the recipe says.
        output: folder to write; None: nothing is written.
        force: replace an existing output folder.
        test_samples: how many test samples are written for edge_runner; None: 1,000, or as many as fit into 32 MB.
        trust: run code that the model file holds.
        custom: ``module:name`` of custom layers or functions that the file needs.
        limits: time and memory that loading the file may take; None: the default ones.
        progress: where progress goes; None: bars on a terminal and in a notebook; False: nowhere.
        log: file that TensorFlow's and the converter's words are appended to, copied into the output.
        trackers: who follows each run: ``NAME[:WHERE]`` (docs/integrations.md), or anything of the shape of
            :class:`~tfcompress.tracking.tracker.Tracker`.

    Raises:
        PromiseError: nothing that was tried loses as little as it may; it says what was tried.
        TfcompressError: one of its classes (see :mod:`tfcompress.errors`); nothing has been written then.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if max_drop is not None:
        recipe = dataclasses.replace(recipe, export=dataclasses.replace(recipe.export, max_drop=max_drop))
    shown: Progress = ToldOnce(effective(progress)) if recipe.promises else effective(progress)
    opening: dict[str, Any] = {"trust": trust, "custom": custom, "limits": limits, "trackers": trackers}
    with Workbench(model, data, **opening, progress=shown, log=log) as bench:
        return climb(bench, recipe, output=output, force=force, test_samples=test_samples)
