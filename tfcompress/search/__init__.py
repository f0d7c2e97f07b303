"""What chooses among recipes and runs them on one workbench."""
