"""The verbs of a run: load, recognize, correct or extract, guard, score. Each maps a table of rows to one of the same rows."""
