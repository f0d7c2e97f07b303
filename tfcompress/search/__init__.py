"""What chooses among recipes and runs them: one that keeps a limit, or the best of a space."""
