"""What other kernels do to the means of what ops sum up, measured in the int8 file; their biases take it back.

A kernel *k* in the place of the float one *w* moves the mean of the sums by that of ``(k - w) * x`` (Nagel et al. 2019,
arXiv:1906.04721, section 4.2), which is measured on what the op takes in the int8 file. It goes with the kernel. What
else the bias of an int8 file that was corrected layer behind layer makes good comes in from the ops before, and stays
when an op gets another kernel: an island without it was worse than int8 by 2.3 dB (a DS-CNN of eight blocks).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.mixing import Mixer
from tfcompress.tflite.sites import SLOTS, RealWeights, Site

_SAMPLES = 100
"""Samples that give the means, at most."""


def correct_(mixer: Mixer, int8: bytes, inputs: Mapping[str, np.ndarray]) -> None:
    """Give the ops of a mixed file biases that suit their kernels.

    Args:
        mixer: writes the files; kernels of 4 bits get their bias, and every op what it keeps of the int8 file's.
        int8: the file.
        inputs: samples by input name, arrays of shape (samples, *shape).
    """
    flat = read_model_file(int8)
    kernels = {
        site.number: [site.exact.kernel - site.stored.kernel, site.exact.kernel - mixer.four_bits[site.number].kernel]
        for site in mixer.sites
    }
    means = iter(_means(mixer.with_sums(kernels), flat, inputs))
    for site in mixer.sites:
        stored, four_bits = next(means), next(means)
        exact = np.zeros_like(stored) if site.exact.bias is None else site.exact.bias
        mixer.four_bits[site.number] = RealWeights(mixer.four_bits[site.number].kernel, exact + four_bits)
        if site.stored.bias is not None and _is_corrected(flat, site, site.stored.bias - exact):
            mixer.incoming[site.number] = site.stored.bias - exact - stored


def _means(content: bytes, int8: FlatModel, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the mean of each output of a file over samples, shape (channels,) each."""
    names = {tensor.index: tensor.name for tensor in int8.inputs}
    with InterpreterProcess(content) as process:
        ends = zip(process.model.inputs, int8.subgraphs[0].inputs, strict=True)
        found = process.run({end.name: inputs[names[index]][:_SAMPLES] for end, index in ends})
        means = {name: values.reshape(len(values), -1).mean(axis=0) for name, values in found.items()}
        return [means[tensor.name] for tensor in process.model.outputs]


def _is_corrected(flat: FlatModel, site: Site, moved: np.ndarray) -> bool:
    """Say whether the bias of an op in the int8 file is another one than the float file's, rounded."""
    graph = flat.subgraphs[0]
    bias = graph.tensors[graph.ops[site.number].inputs[SLOTS[site.op][2]]]
    return bool((np.abs(moved) > np.asarray(bias.scales)).any())
