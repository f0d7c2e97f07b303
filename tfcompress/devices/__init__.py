"""Devices to measure on: put edge_runner there, run it, bring its JSON back."""
