"""Scans to images: pictures of every format and depth, PDF pages and their text layers."""
