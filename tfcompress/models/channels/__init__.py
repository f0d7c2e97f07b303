"""Channels that belong together in a model's graph, and the surgery that really removes them."""
