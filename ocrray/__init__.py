"""Restore scans and old OCR text into a corpus that can be trusted, on Ray."""

__version__ = "0.1.0"
