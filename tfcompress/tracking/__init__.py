"""Trackers: what follows runs for others to look at, each one module behind an extra of its own."""
