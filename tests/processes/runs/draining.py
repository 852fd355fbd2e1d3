"""The end of a run, when nothing befalls anybody any more: what is left is done, what became of all is noted.

``python -m tests.processes.runs.draining URL NAMESPACE FOLDER SHIM ACTOR...``, in a process of its own, as the
clock of the store may be another one there.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import comity
from comity.errors import ComityError
from tests.processes.runs.book import Book, History
from tests.processes.runs.handing import QUEUES
from tests.processes.runs.judges.words import signals_of
from tests.processes.runs.mischief import shim_clock
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence


def drain(url: str, namespace: str, book: Book, names: Sequence[str], folder: Path) -> None:
    """Do the tasks that are left, read the signals that are left, and write down every one's fate."""
    history = History.read(folder)
    with comity.connect(url, namespace=namespace, agent_id="last", deadline=10.0) as me:
        drained = _do_the_rest(me)
        for queue in QUEUES:
            book.note("stats", queue=queue, unfinished=me.tasks.stats(queue).unfinished)
        for call in history.did("push"):
            if call.ok:
                task = me.tasks.get(call.got["id"])
                if task is not None:
                    facts = {"status": str(task.status), "attempts": task.attempts, "error": task.error}
                    book.note("task", id=task.id, drained=task.id in drained, **facts)
        with contextlib.suppress(AssertionError):
            until(lambda: {info.agent_id for info in me.sessions.active()} == {"last"}, 30.0)
        book.note("there", who=[info.agent_id for info in me.sessions.active()])
    for name in names:
        with comity.connect(url, namespace=namespace, agent_id=name, deadline=10.0) as me:
            while signals := me.signals.receive(limit=1000):
                with book.call("drain", who=name) as outcome:
                    outcome.is_(marks=[signal.data for signal in signals])
                for signal in signals:
                    signal.ack()
            for sent in signals_of(history):
                if sent.to == name:
                    status = me.signals.status(sent.id)
                    state = "unknown" if status is None else str(status.state)
                    book.note("signal", id=sent.id, state=state)


def _do_the_rest(me: comity.Coordinator) -> set[str]:
    """Claim and complete until no task is left to be done."""
    done: set[str] = set()

    def finished() -> bool:
        while (claim := me.tasks.claim(QUEUES, timeout=0)) is not None:
            try:
                claim.complete("at last")
                done.add(claim.id)
            except ComityError:
                continue
        return all(me.tasks.stats(queue).unfinished == 0 for queue in QUEUES)

    with contextlib.suppress(AssertionError):
        until(finished, 10.0, every=0.1)  # what is left then is lost
    return done


def main() -> None:
    url, namespace, folder, shim, *names = sys.argv[1:]
    if shim == "shim":
        shim_clock(Path(folder))
    drain(url, namespace, Book(Path(folder), "last", 1), names, Path(folder))


if __name__ == "__main__":
    main()
