"""What labels mean: one module a task, and the table that all others ask."""
