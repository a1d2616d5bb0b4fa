"""Training the correctors that ship: clean text, pairs, and the loop."""
