"""Whole blocks left out: where they lie in a model's graph, which one costs least, and the model without it."""
