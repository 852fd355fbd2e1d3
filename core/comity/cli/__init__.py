"""The ``comity`` command. Needs the extra ``cli``; everything it does can be done with the library, too."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing has it, which is half of what importing this would cost
if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED = ("typer", "rich")
USAGE = 2
"""Also the status when the extra is missing: the command cannot even read its arguments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on `argv` (default: this process's) and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["hook"] and len(argv) > 1 and argv[1].isidentifier():
        return _hook(argv[1], argv[2:])
    import importlib.util

    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        lacking = " and ".join(missing)
        sys.stderr.write(f"comity: the command line needs {lacking}; install it with: pip install 'comity[cli]'\n")
        return USAGE
    from comity.cli.app import run

    return run(argv)


def _hook(client: str, argv: Sequence[str]) -> int:
    """Answer a hook event of an agent client: the module ``comity_<client>.hook`` has the say.

    Apart from all other commands, because it runs before each edit and must import next to nothing.
    """
    name = f"comity_{client}.hook"
    try:
        __import__(name)  # `importlib.import_module` would be imported for this alone
    except ModuleNotFoundError as error:
        if error.name not in {f"comity_{client}", f"comity_{client}.hook"}:
            raise
        sys.stderr.write(f"comity: no client is called {client!r}; there is: comity hook claude, comity hook codex\n")
        return USAGE
    status: int = sys.modules[name].main(argv)
    return status
