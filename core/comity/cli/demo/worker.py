"""One process of the demo: a session that takes turns on real files until it is told to end.

Started as ``python -m comity.cli.demo.worker``. Its job comes as the first line of stdin, then words: ``start``,
``kill`` or ``stop`` (its fate), ``go`` (on, after the stop), ``help`` (with the tasks of those), ``end``. It
answers with JSON lines. When stdin ends, the demo is gone, and so is it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comity
from comity.cli.demo.census import FATED, QUEUE, count
from comity.cli.demo.register import BEGIN, END, LATE, Hold, Register, mono_us
from comity.cli.demo.targets import Target
from comity.errors import BackendUnavailable, ClaimLost, ConflictLost, LockLost, LockTimeout, SessionLost

if TYPE_CHECKING:
    from comity import Claim, Lease
    from comity.ops import Op

SESSION_TTL = 1.0
_QUEUE_HOLD, _CONTESTED_HOLD, _COLD_HOLD = 0.006, 0.025, 0.004
_TURNS_IN_LINE = 3
"""So many turns in line for the queue's file, then one on another."""
_CONTESTS = 0.7
"""The share of those other turns that goes to files where strategies decide."""
_PATIENCE, _CONTEST_PATIENCE = 10.0, 0.5
_TURNS_WITHOUT_TASK = 4
_IN_FLIGHT = 1.0


class Gate:
    """Holds back the steps of this process while it is shut, so that it is stopped between two of them.

    A process stopped in the middle of a step on SQLite would hold the file's lock.
    """

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._running: set[int] = set()

    def before(self, op: Op[object], attempt: int) -> None:
        """Wait while it is shut."""
        del op, attempt
        self._open.wait()
        self._running.add(threading.get_ident())

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        """Take note that the step is over."""
        del op, attempt, answer, seconds
        self._running.discard(threading.get_ident())

    def shut(self) -> None:
        """Hold back new steps and wait for the present ones (a failed one is given up after a second)."""
        self._open.clear()
        deadline = time.monotonic() + _IN_FLIGHT
        while self._running - {threading.get_ident()} and time.monotonic() < deadline:
            time.sleep(0.001)

    def open(self) -> None:
        """Let steps go on."""
        self._open.set()


class Worker:
    """The session, its fate, and its turns."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self.agent: str = job["agent"]
        self._queue = Target(**job["queue"])
        self._contested = [Target(**each) for each in job["contested"]]
        self._cold = [Target(**each) for each in job["cold"]]
        self._register = Register(Path(job["journal"]), blind=job["sabotage"] == "blind-register")
        self._fate = ""
        self._started, self._go, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._gate = Gate()
        self._busy = True
        self._queues: tuple[str, ...] = (QUEUE,)
        self._random = random.Random(self.agent)

    def obey(self) -> None:
        """Read words from the demo until it is gone."""
        for line in sys.stdin:
            match line.strip():
                case "start":
                    self._started.set()
                case "kill" | "stop" as fate:
                    self._fate = fate
                case "help":
                    self._queues = (QUEUE, *FATED.values())
                case "go":
                    self._go.set()
                case "end":
                    self._ended.set()
        os._exit(3)

    def work(self) -> None:
        """Join, take turns until told to end, depart."""
        job = self._job
        with comity.connect(
            job["url"],
            namespace=job["namespace"],
            agent_id=self.agent,
            session_type="agent",
            access_tier=job["tier"],
            session_ttl=SESSION_TTL,
            interceptors=[self._gate],
            metadata={"demo": True},
        ) as me:
            say("joined")
            self._started.wait()
            turn = 0
            while not self._ended.is_set():
                turn += 1
                try:
                    self._take_turn(me, turn)
                    self._take_task(me, turn)
                except SessionLost as lost:
                    self._register.note("session_lost", self.agent, reason=lost.reason)
                    me.announce()
                except BackendUnavailable as error:
                    self._register.note("store_away", self.agent, error=str(error))
        self._register.note("finished", self.agent)
        say("finished")

    def _take_turn(self, me: comity.Coordinator, turn: int) -> None:
        if self._fate or turn % (_TURNS_IN_LINE + 1):
            target, hold, patience = self._queue, _QUEUE_HOLD, _PATIENCE
        else:
            contest = not self._cold or self._random.random() < _CONTESTS
            target = self._random.choice(self._contested if contest else self._cold)
            hold = _CONTESTED_HOLD if target.strategy else _COLD_HOLD
            patience = _CONTEST_PATIENCE
        asked = mono_us()
        if self._job["sabotage"] == "ignore-lock" and target is self._queue:
            self._trespass(target)
            return
        try:
            lease = me.locks.acquire(target.name, timeout=patience, strategy=target.strategy or None)
        except (LockTimeout, ConflictLost, LockLost) as error:
            self._register.note("not_had", self.agent, name=target.name, error=type(error).__name__)
            return
        got, token = mono_us(), lease.token
        self._register.write(BEGIN, target.name, token, self.agent)
        if self._fate and target is self._queue and self._meet_fate(me, lease):
            return
        found = count(target.path)
        detail = f"{found.size} bytes, sha256 {found.digest}"
        time.sleep(hold)  # the work that the lease is for
        self._register.write(END, target.name, token, self.agent, detail)
        released = mono_us()
        kept = lease.release()
        self._register.hold(Hold(target.name, token, self.agent, asked, got, released, kept))

    def _take_task(self, me: comity.Coordinator, turn: int) -> None:
        """Count a file that was handed out; while there is none, ask but now and then."""
        if not self._busy and turn % _TURNS_WITHOUT_TASK:
            return
        claim = me.tasks.claim(self._queues, timeout=0)
        self._busy = claim is not None
        if claim is not None:
            with contextlib.suppress(ClaimLost):  # a slow machine: it is somebody else's now
                self._complete(claim)

    def _complete(self, claim: Claim) -> None:
        name = claim.payload["name"]
        claim.complete(count(claim.payload["path"]).plain())
        self._register.note("completed", self.agent, name=name, token=claim.token)

    def _complete_late(self, claim: Claim | None) -> None:
        """Try to complete a task that went back while this session was stopped."""
        if claim is None:
            return
        try:
            self._complete(claim)
        except (ClaimLost, SessionLost) as error:
            self._register.note("late_completion", self.agent, refused=True, why=str(error))
        else:
            self._register.note("late_completion", self.agent, refused=False, why=claim.payload["name"])

    def _meet_fate(self, me: comity.Coordinator, lease: Lease) -> bool:
        """Be killed, or be stopped past the lease and come back; True when the turn is over."""
        fate, self._fate = self._fate, ""
        claim = me.tasks.claim(FATED[fate], timeout=0)  # it is caught with a task as well
        if fate == "stop":
            self._gate.shut()
        say("safe", name=lease.name, token=lease.token)
        self._go.wait()
        # It does not know yet that it was stopped: this is the write that only fencing can refuse.
        taken = self._register.write(LATE, lease.name, lease.token, self.agent)
        self._gate.open()
        reason = ""
        try:
            lease.ensure_held()
        except LockLost as lost:
            reason = lost.reason
        self._register.note("woke", self.agent, name=lease.name, token=lease.token, taken=taken, learned=reason)
        say("woke", taken=taken, learned=reason)
        self._complete_late(claim)
        with contextlib.suppress(BackendUnavailable):
            lease.release()
        if reason:
            me.announce()
        return True

    def _trespass(self, target: Target) -> None:
        """Write without a lease, with a token made up: the planted fault that the verdict must find."""
        token = time.time_ns() // 1000
        self._register.write(BEGIN, target.name, token, self.agent)
        time.sleep(_QUEUE_HOLD * 3)
        self._register.write(END, target.name, token, self.agent)


def say(what: str, **facts: Any) -> None:
    """Tell the demo."""
    sys.stdout.write(json.dumps({"what": what, **facts}) + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    """Let the kernel end this process with the demo, even while it is stopped and cannot read."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def main() -> None:
    """Work as told by stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to us, too; the demo says when to end
    _die_with_parent()
    worker = Worker(json.loads(sys.stdin.readline()))
    threading.Thread(target=worker.obey, name="obey", daemon=True).start()
    worker.work()
    sys.stdout.flush()
    os._exit(0)  # the thread that reads stdin would hold up the end of the interpreter


if __name__ == "__main__":
    main()
