"""Where a file is to run: which interpreter proves it, which limits hold, and which numbers and ops there are."""
