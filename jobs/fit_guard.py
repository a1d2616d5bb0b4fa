"""`ray job submit --working-dir . -- python jobs/fit_guard.py CONFIG.yaml` runs `ocrray fit-guard CONFIG.yaml` on a cluster."""

import sys

from ocrray.cli import main

if __name__ == "__main__":  # processes that export files import this module
    sys.exit(main(["fit-guard", *sys.argv[1:]]))
