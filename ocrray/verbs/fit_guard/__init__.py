"""The verb `fit-guard`; `ocrray.verbs` says which module holds what."""
