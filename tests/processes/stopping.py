"""How a process stops itself where that holds up nobody else."""

from __future__ import annotations

import signal
import threading

from comity_sqlite.forks import gate


def stop_between_steps() -> None:
    """Stop this process now, from outside a step, while no other thread of it is in one of SQLite.

    A process that is stopped in the middle of one keeps the file locked. A fork has the same wish: steps are held back
    for it, and the running ones waited for.
    """
    try:
        while not gate.before_fork():
            gate.after_in_parent()
        # To this very thread, which then goes no step further; sent to the process it may run on for a while.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    finally:
        gate.after_in_parent()
