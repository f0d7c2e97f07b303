"""Quantization-aware training of any Keras 3 model: expansions, rules, the transform, ranges."""
