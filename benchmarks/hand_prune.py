"""Half the weights pruned with tfmot, then int8 by post-training quantization with TFLiteConverter, by hand."""

from __future__ import annotations

import math

from benchmarks import plain

SPARSITY = 0.5
FREQUENCY = 20
"""Steps between two updates of the masks, as tfcompress has it."""


def main() -> None:
    """Load, train while pruning, strip, convert to float32 and to int8, evaluate both."""
    options, phases = plain.arguments(__doc__), plain.Phases()
    with phases("import"):
        plain.import_now("ai_edge_litert.interpreter", "tensorflow", "tf_keras", "tensorflow_model_optimization")
    import tensorflow_model_optimization as tfmot

    with phases("load"):
        model, data = plain.load(options), plain.read(options)
    with phases("convert"):
        contents = {"float32": plain.convert(model, int8=False)}
    with phases("train"):
        sparsity = tfmot.sparsity.keras
        steps = options.epochs * math.ceil(len(data["x_train"]) / options.batch_size)
        schedule = sparsity.PolynomialDecay(0.0, SPARSITY, 0, steps * 3 // 4, frequency=FREQUENCY)
        pruned = sparsity.prune_low_magnitude(model, pruning_schedule=schedule)
        plain.fit(pruned, data, options, [sparsity.UpdatePruningStep()])
        pruned = sparsity.strip_pruning(pruned)
    with phases("convert"):
        contents["int8"] = plain.convert(pruned, int8=True, samples=plain.calibration(data, options.seed))
    plain.finish(contents, data, options, phases)


if __name__ == "__main__":
    main()
