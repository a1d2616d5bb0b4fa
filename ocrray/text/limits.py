"""Limits on the length of texts, each stated once."""

MAX_ALIGNED_CHARS = 100_000  # of two texts to align: time grows with the square of the length, minutes beyond this
