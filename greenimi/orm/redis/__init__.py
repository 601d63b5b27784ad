"""Models whose rows are values in a Redis."""
