"""Verb `evaluate`; see `ocrray.verbs` for the modules of a verb."""
