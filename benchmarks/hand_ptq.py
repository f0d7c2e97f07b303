"""int8 by post-training quantization with TFLiteConverter, by hand."""

from __future__ import annotations

from benchmarks import plain


def main() -> None:
    """Load, convert to float32 and to int8, evaluate both."""
    options, phases = plain.arguments(__doc__), plain.Phases()
    with phases("import"):
        plain.import_now("ai_edge_litert.interpreter", "tensorflow", "tf_keras")
    with phases("load"):
        model, data = plain.load(options), plain.read(options)
    with phases("convert"):
        contents = {
            "float32": plain.convert(model, int8=False),
            "int8": plain.convert(model, int8=True, samples=plain.calibration(data, options.seed)),
        }
    plain.finish(contents, data, options, phases)


if __name__ == "__main__":
    main()
