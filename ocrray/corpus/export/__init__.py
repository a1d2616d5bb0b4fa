"""Corrected text written back into the ALTO, PAGE and hOCR that it came from, all else in the file byte for byte as it was."""
