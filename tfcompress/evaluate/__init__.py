"""Evaluation: metrics over a split for any predictor, and whether two results differ by more than chance."""
