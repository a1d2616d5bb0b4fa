"""The verb `evaluate`; `ocrray.verbs` says which module holds what."""
