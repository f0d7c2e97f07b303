"""What can be done to a model: one module a stage, and their table."""
