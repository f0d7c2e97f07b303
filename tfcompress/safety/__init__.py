"""What a model file may name, and how much of anything it may ask for."""
