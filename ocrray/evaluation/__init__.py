"""How well a model does what it is for, measured against the truth."""
