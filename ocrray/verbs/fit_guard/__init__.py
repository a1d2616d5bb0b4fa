"""Verb `fit-guard`; see `ocrray.verbs` for the modules of a verb."""
