"""What the integer runtime computes, number by number."""
