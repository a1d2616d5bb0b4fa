"""`ray job submit --working-dir . -- python jobs/restore.py CONFIG.yaml` runs `ocrray restore CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

if __name__ == "__main__":  # a worker that writes exported files imports this too
    sys.exit(main(["restore", *sys.argv[1:]]))
