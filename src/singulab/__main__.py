"""``python -m singulab``: the same as ``singulab``."""

import sys

from singulab.cli.main import main

sys.exit(main())
