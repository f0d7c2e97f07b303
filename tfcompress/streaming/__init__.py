"""A model of a window of time as one that takes a few frames at a time and keeps the rest."""
