"""`ray job submit --working-dir . -- python jobs/evaluate.py CONFIG.yaml` runs `ocrray evaluate CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

sys.exit(main(["evaluate", *sys.argv[1:]]))
