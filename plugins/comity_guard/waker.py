"""Waking an idle session: a process that waits for mail and ends by the status that begins a new turn."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from comity_guard.calls import Call
    from comity_guard.report import Report

WAKE = 2
"""The exit status that wakes the session; what stands on standard error is what it wakes to."""
LONGEST = 86_400.0
_AGAIN_SECONDS = 0.2


def wait(reach: Callable[[], Call | None], report: Report) -> int:
    """Wait for mail at most a day; return the exit status.

    `reach` calls the session's host, or a new one where the host was killed: it takes the session over, and the waiting
    goes on. The host answers at once, with nothing, when another process waits for this session already, when the
    session has been woken often enough within the hour, and when it is over.
    """
    deadline = time.monotonic() + LONGEST
    while (left := deadline - time.monotonic()) > 0:
        call = reach()
        if call is None:
            return 0
        try:
            reply = call.ask(report, left, op="wait")
            if not reply.get("context"):
                return 0
            sys.stderr.write(reply["context"] + "\n")
            sys.stderr.flush()
            call.confirm()
            return WAKE
        except ConnectionError:
            time.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            break
        finally:
            call.close()
    return 0
