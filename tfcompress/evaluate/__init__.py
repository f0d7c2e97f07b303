"""Evaluation: the score of any predictor on a split."""
