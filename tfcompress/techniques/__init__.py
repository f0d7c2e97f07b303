"""Techniques: what rewrites a Keras model. They know nothing of the pipeline or the command line."""
