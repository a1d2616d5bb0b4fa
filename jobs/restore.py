"""`ray job submit --working-dir . -- python jobs/restore.py CONFIG.yaml` runs `ocrray restore CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

sys.exit(main(["restore", *sys.argv[1:]]))
