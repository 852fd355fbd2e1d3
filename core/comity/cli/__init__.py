"""The ``comity`` command. Needs the extra ``cli``; everything it does can be done with the library, too."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED = ("typer", "rich")
USAGE = 2
"""Also the status when the extra is missing: the command cannot even read its arguments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on `argv` (default: this process's) and return the exit status."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        lacking = " and ".join(missing)
        sys.stderr.write(f"comity: the command line needs {lacking}; install it with: pip install 'comity[cli]'\n")
        return USAGE
    from comity.cli.app import run

    return run(sys.argv[1:] if argv is None else argv)
