"""Waking an idle session: a process that waits for mail and ends by the status that begins a new turn."""

from __future__ import annotations

import select
import sys
import time

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comity_guard.calls import Call
    from comity_guard.report import Reply, Report

WAKE = 2
"""The exit status that wakes the session; what stands on standard error is what it wakes to."""
LONGEST = 86_400.0
_AGAIN_SECONDS = 0.2


def wait(reach: Callable[[], Call | None], report: Report, elsewhere: Sequence[tuple[Call, Report]] = ()) -> int:
    """Wait for mail at most a day; return the exit status.

    `reach` calls the session's host, or a new one where the host was killed: it takes the session over, and the waiting
    goes on. The host answers at once, with nothing, when another process waits for this session already, when the
    session has been woken often enough within the hour, and when it is over.

    `elsewhere`: calls to the hosts of other repositories in which the session has edited files.
    """
    lines = [call for call, _ in elsewhere]
    own: Call | None = None
    try:
        for call, part in elsewhere:
            call.wait_for_mail(part)
        deadline = time.monotonic() + LONGEST
        while (left := deadline - time.monotonic()) > 0:
            if own is None:
                own = reach()
                if own is None:
                    return 0
                lines.append(own)
                own.wait_for_mail(report)
            for call in select.select(lines, [], [], left)[0]:
                reply = _reply(call)
                if reply and reply.get("context"):
                    return _wake(call, reply)
                if call is own and reply is not None:
                    return 0
                lines.remove(call)
                call.close()
                own = None if call is own else own
        return 0
    finally:
        for call in lines:
            call.close()


def _reply(call: Call) -> Reply | None:
    """Return what a host answered; None when it was killed."""
    try:
        return call.reply()
    except OSError:
        time.sleep(_AGAIN_SECONDS)
        return None


def _wake(call: Call, reply: Reply) -> int:
    sys.stderr.write(reply["context"] + "\n")
    sys.stderr.flush()
    call.confirm()
    return WAKE
