"""The verb `synthesize`; `ocrray.verbs` says which module holds what."""
