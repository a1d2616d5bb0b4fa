"""Synthetic data: pages rendered in period fonts, scan degradation, OCR noise models, and the bundled demo scans."""
