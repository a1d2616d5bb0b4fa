"""What stands beside the Parquet files of a finished corpus: its summary, manifest, dataset card and HTML report.

A finished run calls, in this order: `summarise`, `write_report`, `write_card`, and last `write_manifest`.
"""
