"""Training and computing in small integers."""
