"""What is wrong with a model, a file or its samples, and what mends it: found before work, or after it failed."""
