"""`python -m ocrray` is the same as `ocrray`."""

import sys

from ocrray.cli import main

sys.exit(main())
