"""The verb `train`; `ocrray.verbs` says which module holds what."""
