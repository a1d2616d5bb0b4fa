"""Measures the outputs of models against ground truth."""
