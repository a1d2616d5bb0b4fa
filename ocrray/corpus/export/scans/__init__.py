"""New ALTO, PAGE and hOCR files and searchable PDFs of scans that a run recognized."""
