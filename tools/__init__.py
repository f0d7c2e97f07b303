"""What only developers run: scripts that measure, and that make what is committed."""
