"""Stages of a run: load, recognize, correct, route, extract, guard, score. Each maps a table of rows to the same rows."""
