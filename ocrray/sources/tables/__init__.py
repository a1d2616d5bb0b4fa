"""Tables of texts: CSV, TSV, JSON and Parquet, by one reader."""
