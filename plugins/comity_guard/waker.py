"""Waking an idle session: a process that waits for mail and ends by the status that begins a new turn."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from comity_guard.calls import Call
    from comity_guard.report import Report

WAKE = 2
"""The exit status that wakes the session; what stands on standard error is what it wakes to."""
LONGEST = 3600.0


def wait(call: Call, report: Report) -> int:
    """Wait for mail at most an hour; return the exit status.

    The host answers at once, with nothing, when another process waits for this session already, when the session has
    been woken often enough within the hour, and when it is over.
    """
    try:
        reply = call.ask(report, LONGEST, op="wait")
        if not reply.get("context"):
            return 0
        sys.stderr.write(reply["context"] + "\n")
        sys.stderr.flush()
        call.confirm()
        return WAKE
    finally:
        call.close()
