"""`ray job submit --working-dir . -- python jobs/restore.py CONFIG.yaml` runs `ocrray restore CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

if __name__ == "__main__":  # processes that export files import this module
    sys.exit(main(["restore", *sys.argv[1:]]))
