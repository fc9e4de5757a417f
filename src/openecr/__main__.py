"""``python -m openecr`` is the command ``openecr``."""

import sys

from openecr.cli import main

sys.exit(main())
