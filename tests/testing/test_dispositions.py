"""Programs that tests start can be interrupted, however the tests themselves were started."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.dispositions import not_inherited

SHOW = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"


def ignores() -> str:
    return subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout.strip()


def test_a_child_does_not_inherit_what_this_process_ignores() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ignores() == "True"
        with not_inherited():
            assert ignores() == "False"
            signal.raise_signal(signal.SIGINT)  # here it is ignored all the same
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
