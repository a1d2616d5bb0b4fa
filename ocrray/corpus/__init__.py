"""Files beside the data of a finished corpus: manifest, dataset card and HTML report; copies of its input files (`export`).

A finished run merges the statistics of its blocks into one `Summary`, and calls with it `write_report`, `write_card`, and last
`write_manifest`.
"""
