"""A model under quantization-aware training computed in the integers of TFLite's reference kernels."""
