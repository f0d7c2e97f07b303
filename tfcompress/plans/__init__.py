"""One option for each of many items, at least cost under limits: what to choose, whatever is chosen among."""
