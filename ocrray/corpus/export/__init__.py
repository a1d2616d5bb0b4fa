"""Write corrected text back into the ALTO, PAGE and hOCR files that it came from; every other byte stays as it was."""
