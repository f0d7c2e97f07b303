"""tfcompress against the plain tools used by hand; ``python -m benchmarks.by_hand`` measures and prints the table."""
