"""Pure functions on `str`: normalise, align, measure, split."""
