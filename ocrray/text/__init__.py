"""Pure functions on `str`: normalising, aligning, measuring, splitting."""
