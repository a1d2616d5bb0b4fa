"""`ray job submit --working-dir . -- python jobs/evaluate.py CONFIG.yaml` runs `ocrray evaluate CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

if __name__ == "__main__":  # processes that export files import this module
    sys.exit(main(["evaluate", *sys.argv[1:]]))
