"""Keras 3 layers that make a model compute with the numbers that its int8 file will have, and taking them out again."""
