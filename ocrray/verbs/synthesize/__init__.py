"""Verb `synthesize`; see `ocrray.verbs` for the modules of a verb."""
