"""`ray job submit --working-dir . -- python jobs/train.py CONFIG.yaml` runs `ocrray train CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

if __name__ == "__main__":  # processes that export files import this module
    sys.exit(main(["train", *sys.argv[1:]]))
