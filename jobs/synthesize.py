"""`ray job submit --working-dir . -- python jobs/synthesize.py CONFIG.yaml` runs `ocrray synthesize CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

if __name__ == "__main__":  # processes that export files import this module
    sys.exit(main(["synthesize", *sys.argv[1:]]))
