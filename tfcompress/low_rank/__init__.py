"""Layers taken apart into factors of low rank: decompositions, their fit to samples, ranks, and the new model."""
