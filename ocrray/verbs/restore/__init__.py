"""The verb `restore`; `ocrray.verbs` says which module holds what."""
