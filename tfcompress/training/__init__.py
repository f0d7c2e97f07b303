"""The fit that a run does by itself: its targets and losses, the epoch it keeps, and epochs that survive a kill."""
