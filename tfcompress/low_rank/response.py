"""What layers answer on samples: second moments of the patches that go into their kernels, or of what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.low_rank.decompositions import Kernel, ProjectedKernel
from tfcompress.low_rank.factors import Values, as_matrix
from tfcompress.low_rank.places import Place
from tfcompress.models.passage import pass_through
from tfcompress.models.wiring import wire

LARGEST = 4608
"""Numbers in a patch (512 channels x 3 x 3) up to which the moments of patches are taken; beyond, those of outputs."""

ROWS = 16_384
"""Patches of a layer that are looked at, or eight for each number in a patch, if that is more; drawn at random."""

WORK = 2e12
"""Multiply-accumulates that running the samples may take; at least :data:`FEWEST` samples are run all the same."""

FEWEST = 64

PRIOR = 0.1
"""Patches that nobody saw count like this many seen ones for each number in a patch: all directions alike."""


@dataclass(frozen=True, eq=False)
class Response:
    """Moments of what goes into a kernel, or of what comes out of it, before the bias.

    Attributes:
        rows: patches that were looked at.
        power: mean square of the numbers that go in.
        mean: of each number that goes in, shape (numbers,); of a look-up nothing.
        moments: mean products of any two of them, shape (numbers, numbers); or of any two outputs.
        of_outputs: whether these are of what comes out.
    """

    rows: int
    power: float
    mean: Values
    moments: Values
    of_outputs: bool

    def metric(self, place: Place) -> Values:
        """Return the moments, about the mean where a bias takes that up."""
        if not place.has_bias:
            return self.moments
        mean = self.mean @ as_matrix(place.kernel) if self.of_outputs else self.mean
        return self.moments - np.outer(mean, mean)

    def judged(self, place: Place) -> Kernel:
        """Return a layer's kernel with the metric of the samples."""
        metric = self.metric(place)
        return ProjectedKernel(place.kernel, None, metric) if self.of_outputs else Kernel(place.kernel, metric)

    def fitted(self, place: Place) -> Kernel:
        """Return a layer's kernel with a metric in which what the samples do not show counts a little, too."""
        kernel = place.kernel
        numbers = kernel[..., 0].size
        seen = self.rows / (self.rows + PRIOR * numbers)
        metric = seen * self.metric(place)
        # A bias takes up the mean: however large, it must not make what nobody saw outweigh what was seen.
        unseen = (1.0 - seen) * (self.power - (float(np.mean(self.mean**2)) if place.has_bias else 0.0))
        if self.of_outputs:
            matrix = as_matrix(kernel)
            return ProjectedKernel(kernel, None, metric + unseen * (matrix.T @ matrix))
        return Kernel(kernel, metric + unseen * np.eye(numbers))

    def mean_change(self, place: Place, matrix: Values) -> Values:
        """Return how much more a layer gives in the mean than another kernel in its place, shape (outputs,).

        Args:
            place: the layer.
            matrix: the other kernel, shape (numbers, outputs).
        """
        return self.mean @ (as_matrix(place.kernel) - matrix)


def responses(
    model: Any,
    places: Iterable[Place],
    inputs: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    batch_size: int = 32,
) -> dict[str, Response]:
    """Run a model on samples and take the moments of what goes into layers.

    Args:
        model: a functional or sequential Keras 3 model; it runs for inference.
        places: the layers.
        inputs: samples, an array of shape (samples, ...) for each input by name.
        seed: of what is drawn, where there are more patches than are looked at.
        batch_size: samples a step.

    Returns:
        By path, for each layer that was met.
    """
    by_layer = {id(place.layer): place for place in places}
    chosen = _drawn(len(next(iter(inputs.values()))), list(by_layer.values()), seed)
    by_path = {place.path: place for place in by_layer.values()}
    shares = {path: _share(place, len(chosen)) for path, place in by_path.items()}

    def run(tensors: dict[str, Any], number: Any) -> dict[str, list[list[Any]]]:
        found: dict[str, list[list[Any]]] = {}

        def seen(_: str, layer: Any, tensor: Any) -> None:
            place = by_layer.get(id(layer))
            if place is not None:
                found.setdefault(place.path, []).append(_moments(place, tensor, shares[place.path], [seed, number]))

        pass_through(model, [tensors[spec.name] for spec in wire(model).inputs], seen)
        return found

    function = tf.function(run, reduce_retracing=True, autograph=False)
    totals: dict[str, list[Values]] = {}
    for number, start in enumerate(range(0, len(chosen), batch_size)):
        part = {name: tf.constant(values[chosen[start : start + batch_size]]) for name, values in inputs.items()}
        for path, of_calls in function(part, tf.constant(number)).items():
            for moments in of_calls:
                sums = _sums(by_path[path], *(each.numpy().astype(np.float64) for each in moments))
                totals[path] = [a + b for a, b in zip(totals[path], sums, strict=True)] if path in totals else sums
    return {path: _response(place, totals[path]) for path, place in by_path.items() if path in totals}


def _drawn(count: int, places: list[Place], seed: int) -> np.ndarray:
    """Return which samples are run, in rising order: all of them, or as many as the work allows."""
    macs = sum(sum(s.times * s.outputs[0] * s.outputs[1] for s in p.sizes) * p.kernel.size for p in places)
    most = max(FEWEST, int(WORK / max(macs, 1)))
    chosen = np.random.default_rng(seed).permutation(count)[:most]
    return np.sort(chosen)


def _share(place: Place, samples: int) -> float:
    """Return the share of a layer's patches that is looked at."""
    rows = samples * sum(sizes.times * sizes.outputs[0] * sizes.outputs[1] for sizes in place.sizes)
    return min(1.0, max(ROWS, 8 * place.kernel[..., 0].size) / rows)


def _response(place: Place, sums: list[Values]) -> Response:
    count, squares, mean, moments = sums
    rows = max(int(count), 1)
    numbers = place.kernel[..., 0].size
    return Response(rows, float(squares) / rows / numbers, mean / rows, moments / rows, is_projected(place))


def is_projected(place: Place) -> bool:
    """Say whether the moments of a layer are those of its outputs: too much goes in."""
    return place.is_embedding or place.kernel[..., 0].size > LARGEST


def _moments(place: Place, tensor: Any, share: float, seed: list[Any]) -> list[Any]:
    """Return the number of patches, their mean, and about it the sum of their squares and of their products.

    About the mean, since float32 holds no small spread beside the square of a large mean. Of a look-up, which has no
    mean, all is about zero.
    """
    if place.is_embedding:
        ids = tf.cast(tf.reshape(tensor, [-1]), tf.int32)
        rows = tf.gather(tf.cast(tf.convert_to_tensor(place.core.embeddings.value), tf.float32), ids)
        count = tf.cast(tf.shape(ids)[0], tf.float32)
        return [count, tf.zeros([1]), count, _products(rows)]  # a look-up takes one row of the unit matrix
    rows = _patches(place, tensor)
    if share < 1.0:
        draws = tf.random.stateless_uniform([tf.shape(rows)[0]], seed)
        rows = tf.boolean_mask(rows, draws < share)
    count = tf.cast(tf.shape(rows)[0], tf.float32)
    mean = tf.reduce_sum(rows, 0) / tf.maximum(count, 1.0)
    rows -= mean
    given = rows @ tf.constant(as_matrix(place.kernel), tf.float32) if is_projected(place) else rows
    return [count, mean, tf.reduce_sum(rows**2), _products(given)]


def _sums(place: Place, count: Values, mean: Values, squares: Values, products: Values) -> list[Values]:
    """Return the number of patches, the sum of their squares, their sum, and the sum of their products, about zero."""
    if place.is_embedding:
        return [count, squares, mean, products]
    centre = mean @ as_matrix(place.kernel) if is_projected(place) else mean
    return [count, squares + count * (mean**2).sum(), count * mean, products + count * np.outer(centre, centre)]


def _products(rows: Any) -> Any:
    return tf.linalg.matmul(rows, rows, transpose_a=True)


def _patches(place: Place, tensor: Any) -> Any:
    """Return what goes into a layer as the rows that its kernel, as a matrix, is multiplied by."""
    core, values = place.core, tf.cast(tensor, tf.float32)
    if core is not place.layer:
        values = tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], 0))
    numbers = place.kernel[..., 0].size
    if not place.is_convolution:
        return tf.reshape(values, [-1, numbers])
    padding = core.padding.upper()
    if padding == "CAUSAL":
        before = (place.window[0] - 1) * place.dilation[0]
        values, padding = tf.pad(values, [[0, 0], [before, 0], [0, 0]]), "VALID"
    if isinstance(core, keras.layers.Conv1D):
        values = values[:, :, None]
    values = tf.reshape(values, [-1, *_open(values.shape[1:3], tf.shape(values)[1:3]), place.kernel.shape[2]])
    steps = [[1, *pair, 1] for pair in (place.window, place.strides, place.dilation)]
    patches = tf.image.extract_patches(values, *steps, padding)
    return tf.reshape(patches, [-1, numbers])


def _open(sizes: Any, known_later: Any) -> list[Any]:
    return [known_later[n] if size is None else size for n, size in enumerate(sizes)]
