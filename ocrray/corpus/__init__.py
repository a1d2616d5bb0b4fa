"""Files beside the data of a finished corpus: manifest, dataset card and HTML report; copies of its input files (`export`).

A finished run calls, in this order: `summarise`, `write_report`, `write_card`, and last `write_manifest`.
"""
