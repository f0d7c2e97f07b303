"""Windows fed to a streaming file frame by frame; what counts is the answer to the last of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfcompress.streaming.streaming_model import StreamingModel
from tfcompress.tflite.interpret import InterpreterProcess


def steps_of(model: StreamingModel, windows: np.ndarray) -> np.ndarray:
    """Return windows cut into steps, oldest first; where they are no whole number of steps, zeros come before.

    Args:
        model: says how many frames a step takes.
        windows: shape (samples, window, …).

    Returns:
        Shape (steps, samples, hop, …).
    """
    count = -(-model.window // model.hop)
    before = np.zeros((len(windows), count * model.hop - model.window, *windows.shape[2:]), windows.dtype)
    whole = np.concatenate([before, windows], axis=1)
    return whole.reshape(len(windows), count, model.hop, *windows.shape[2:]).swapaxes(0, 1)


def answers_of(
    process: InterpreterProcess, model: StreamingModel, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Feed windows frame by frame to an open streaming file.

    Args:
        process: with the file open; *continuous* where it keeps its states itself.
        model: that the file was made of.
        inputs: the windows by the name of the whole model's input, an array of shape (samples, window, …).

    Returns:
        The answers to the last step of each window by the name of the output, shape (samples, …).

    Raises:
        TfcompressError: as :meth:`InterpreterProcess.run`.
    """
    name = model.signature.inputs[0].name
    steps = steps_of(model, np.asarray(inputs[name]))
    if len(process.model.inputs) == 1 and model.states:
        rows = steps.swapaxes(0, 1).reshape(-1, *steps.shape[2:])
        return {output: values[len(steps) - 1 :: len(steps)] for output, values in process.run({name: rows}).items()}
    states, outputs = model.zeros(steps.shape[1]), {}
    for frames in steps:
        outputs = process.run({name: frames, **states})
        states = {state.name: outputs.pop(state.next_name) for state in model.states}
    return outputs


def newest(whole: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return of the whole model's outputs what a step gives of them: the new frames of one that has frames.

    Args:
        whole: outputs of the whole model by name, shape (samples, …).
        answers: to a step, for windows that end with it.
    """
    return {
        name: values if values.shape == answers[name].shape else values[:, -answers[name].shape[1] :]
        for name, values in whole.items()
    }
