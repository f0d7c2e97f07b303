"""From limits to the best file: which recipes are tried, how far each of them gets, and what is kept."""
