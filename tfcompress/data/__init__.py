"""Data: where samples come from, how they are preprocessed, and how they meet a model's inputs and outputs."""
