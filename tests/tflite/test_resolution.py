"""Inputs and outputs that are left with hardly any steps, while signal over noise says that all is well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.tflite.resolution import LEAST_STEPS, coarse_channels


@given(mean=st.floats(-1e4, 1e4), steps=st.floats(0.1, 40), step=st.floats(1e-3, 1e3))
def test_a_channel_is_coarse_by_its_spread_wherever_its_mean_is(mean: float, steps: float, step: float) -> None:
    spread = steps * step
    values = np.array([[mean - spread], [mean + spread]])
    measured = float(values.std())
    if abs(measured / step - LEAST_STEPS) < 1e-6 or measured <= 1e-5 * abs(mean):
        return
    found = coarse_channels(values, step)
    assert bool(found) == (measured < LEAST_STEPS * step)
    assert all(each.distinct <= 2 for each in found)


def test_a_constant_channel_has_nothing_to_lose() -> None:
    assert coarse_channels(np.full((8, 2), 300.0), 10.0) == []


def test_every_channel_is_judged_by_itself() -> None:
    values = np.stack([np.linspace(-100, 100, 50), np.linspace(-1, 1, 50)], axis=1)
    (found,) = coarse_channels(values, 1.0)
    assert (found.channel, found.distinct) == (1, 3)


def regression(offset: float, scales: tuple[float, ...]) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a model whose output is *offset* and a little, on features of the given scales."""
    import keras

    keras.utils.set_random_seed(0)
    given = keras.Input((len(scales),), name="row")
    model = keras.Model(
        given, keras.layers.Dense(1, name="y", bias_initializer=keras.initializers.Constant(offset))(given)
    )
    model.layers[-1].kernel.assign(np.array([[1.0 / scale] for scale in scales], np.float32))
    x = (np.random.default_rng(0).normal(size=(300, len(scales))) * np.array(scales)).astype(np.float32)
    return model, x, np.asarray(model(x))


@pytest.mark.slow
def test_an_output_far_from_zero_names_its_step_its_spread_and_the_remedy() -> None:
    model, x, _ = regression(1000.0, (1.0, 1.0))
    file = tfc.export(model, tfc.Export(quantize="int8"), data=x)
    (note,) = file.notes
    assert "output 'y' has a step of 3.9" in note
    assert "around 1e+03" in note
    assert "different values are left" in note
    assert "quantize 'int16x8'" in note


@pytest.mark.slow
def test_an_output_that_is_one_value_for_all_samples_is_refused_unless_that_is_accepted() -> None:
    model, x, _ = regression(10_000.0, (1.0, 1.0))
    with pytest.raises(tfc.ContractError, match=r"output 'y' of the file must tell samples apart.* whose step is 39"):
        tfc.export(model, tfc.Export(quantize="int8"), data=x)
    (found,) = tfc.export(model, tfc.Export(quantize="int8", min_agreement_db=10.0), data=x).verification.agreement
    assert (found.stuck, (found.sqnr_db or 0) > 60, (found.spread_db or 0) < 0) == (True, True, True)


@pytest.mark.slow
def test_features_of_very_different_scale_under_one_input_scale_are_named() -> None:
    model, x, y = regression(0.0, (1000.0, 1.0))
    with pytest.raises(tfc.ContractError, match=r"got .* dB .*; input 'row' has one step of .* normalize the samples"):
        tfc.export(model, tfc.Export(quantize="int8"), data=x)
    settings = tfc.Export(quantize="int8", min_agreement_db=-100.0)  # the error is refused where nobody accepts it
    report = tfc.compress(model, tfc.Recipe(export=settings), (x, y)).report
    (note,) = [text for text in report.warnings if text.startswith("input")]
    assert "input 'row' has one step of" in note
    assert "value 1 (it spreads by 0.9" in note
    assert "normalize the samples before the model" in note


@pytest.mark.slow
def test_outputs_and_inputs_around_zero_are_not_spoken_of() -> None:
    model, x, _ = regression(0.0, (1.0, 1.0))
    assert tfc.export(model, tfc.Export(quantize="int8"), data=x).notes == ()
