"""Pruning and clustering: what becomes of single weights."""
