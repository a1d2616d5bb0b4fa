"""Scans, OCR files, tables and texts: what is there (`worklist`), and how one record of each is read."""
