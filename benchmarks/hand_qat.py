"""int8 by quantization-aware training with tfmot, by hand."""

from __future__ import annotations

from benchmarks import plain


def main() -> None:
    """Load, train with fake quantization, convert to float32 and to int8, evaluate both."""
    options, phases = plain.arguments(__doc__), plain.Phases()
    with phases("import"):
        plain.import_now("ai_edge_litert.interpreter", "tensorflow", "tf_keras", "tensorflow_model_optimization")
    import tensorflow_model_optimization as tfmot

    with phases("load"):
        model, data = plain.load(options), plain.read(options)
    with phases("convert"):
        contents = {"float32": plain.convert(model, int8=False)}
    with phases("train"):
        quantized = tfmot.quantization.keras.quantize_model(model)
        plain.fit(quantized, data, options, [])
    with phases("convert"):
        contents["int8"] = plain.convert(quantized, int8=True)
    plain.finish(contents, data, options, phases)


if __name__ == "__main__":
    main()
