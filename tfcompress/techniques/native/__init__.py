"""The native engine's parts: pruning, clustering and distillation on Keras 3 models."""
