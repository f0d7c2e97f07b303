"""Whole channels removed: which belong together, which matter least, and the surgery."""
