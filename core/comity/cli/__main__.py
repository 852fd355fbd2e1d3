"""``python -m comity.cli``: the command without its script."""

import sys

from comity.cli import main

if __name__ == "__main__":
    sys.exit(main())
