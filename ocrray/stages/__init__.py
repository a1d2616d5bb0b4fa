"""The verbs of a run: load, recognize, correct, guard, score. Each maps one table of rows to one table of the same rows."""
