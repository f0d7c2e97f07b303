"""Removing whole channels: which ones can go, which ones go, and the smaller model."""
