"""The names that a recipe may hold are those that the installed Kerases know."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tfcompress.export_choices import RUNTIMES
from tfcompress.keras_names import DATASETS, LOSSES, OPTIMIZERS

ABSTRACT = {"lossscaleoptimizer", "multioptimizer", "optimizer", "optimizermap", "loss", "lossfunctionwrapper"}
"""What makes an optimizer or a loss of others, and what they are made from."""


def known(get: Any, name: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return get(name) is not None
        except (ValueError, TypeError):
            return False


@pytest.mark.slow
def test_every_optimizer_that_a_keras_knows_can_be_named_and_no_other() -> None:
    import keras
    import tf_keras
    from keras.src import optimizers

    installed = {name.lower() for name in optimizers.ALL_OBJECTS_DICT} - ABSTRACT
    installed |= {
        name.lower()
        for name, value in vars(tf_keras.optimizers).items()
        if isinstance(value, type) and known(tf_keras.optimizers.get, name)
    } - ABSTRACT
    assert installed == set(OPTIMIZERS)
    assert all(any(known(each.optimizers.get, name) for each in (keras, tf_keras)) for name in OPTIMIZERS)


@pytest.mark.slow
def test_every_loss_that_a_keras_knows_can_be_named_and_no_other() -> None:
    import keras
    import tf_keras
    from keras.src import losses

    assert {name for name in losses.ALL_OBJECTS_DICT if name.lower() not in ABSTRACT} <= set(LOSSES)
    assert all(any(known(each.losses.get, name) for each in (keras, tf_keras)) for name in LOSSES)
    public = {name for name in vars(tf_keras.losses) if known(tf_keras.losses.get, name) and not name.startswith("_")}
    helpers = {"get", "serialize", "deserialize"}
    assert {name for name in public if name.lower() not in ABSTRACT} - helpers <= set(LOSSES)


def test_the_runtimes_that_a_recipe_may_name_are_those_that_are_measured() -> None:
    from typing import get_args

    from tfcompress.tflite.interpret import RuntimeName

    assert set(RUNTIMES) == set(get_args(RuntimeName))


def test_every_data_set_of_keras_can_be_named_and_no_other() -> None:
    import keras

    assert {name for name, item in vars(keras.datasets).items() if hasattr(item, "load_data")} == set(DATASETS)
