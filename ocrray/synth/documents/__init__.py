"""Made-up documents with their fields: invoices, letters, library cards and small slips, one module a kind."""
