"""The session host: one small process per namespace that keeps client sessions alive between their hook processes.

Started by the first hook, ended when its last session is gone. Killed, it is started again by the next hook and takes
its sessions over with what they hold: the store keeps that for as long as the sessions' leases run.

    python -m comity_guard.host NAMESPACE
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import comity
from comity import AgentIdTaken, BackendUnavailable, ComityError, Liveness, SessionLost, SessionType
from comity_guard import handles, meeting, naming, processes, registry, settings
from comity_guard.calls import LONGEST_LINE, VERSION
from comity_guard.desk import Desk
from comity_guard.kinds import Kind
from comity_guard.seat import Key, Seat, State
from comity_guard.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity import Coordinator
    from comity_guard.meeting import Meeting
    from comity_guard.report import Reply, Report
    from comity_guard.settings import GuardSettings

_LOOK_SECONDS = 0.5
_CALL_SECONDS = 30.0
_AGAIN_SECONDS = 0.01
_STORE_SECONDS = 1.5
"""What a step may take: a hook waits for it."""


class Host:
    """Serves the hook processes of one namespace."""

    def __init__(self, at: Meeting, choices: GuardSettings) -> None:
        self.at, self._settings = at, choices
        self._view = self._connect(at.url or None, auto_announce=False)
        self._desk = Desk(choices)
        self._seats: dict[Key, Seat] = {}
        self._departing: set[Key] = set()
        self._guard = threading.RLock()
        self._last_used = time.monotonic()
        for entry in registry.load(at.registry):
            self._go_on_for(entry)
        self._save()

    # Serving

    def serve(self, listening: socket.socket) -> None:
        """Answer calls until no session has been here for a while."""
        listening.settimeout(_LOOK_SECONDS)
        looked = 0.0
        while not self._is_done():
            with contextlib.suppress(TimeoutError):
                connection, _ = listening.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
            if time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                self._end_the_gone()

    def close(self) -> None:
        """Free the store; the sessions that are still here go on in the store until the next host or their deadline."""
        self._view.close()

    def _is_done(self) -> bool:
        with self._guard:
            return not self._seats and time.monotonic() - self._last_used > self._settings.linger

    def _converse(self, connection: socket.socket) -> None:
        talk = Talk(connection)
        try:
            # An OSError: it hung up, also in the middle of an answer. A ValueError: it is no hook of ours.
            with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rwb") as lines:
                connection.settimeout(_CALL_SECONDS)
                while line := lines.readline(LONGEST_LINE):
                    answer = self._answered(json.loads(line), talk)
                    if answer is not None:
                        lines.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
                        lines.flush()
        finally:
            talk.give_back()

    def _answered(self, message: Any, talk: Talk) -> dict[str, Any] | None:
        try:
            if message.get("v") != VERSION:
                return {"error": f"this host speaks version {VERSION}; it ends by itself when no session is left"}
            match message.get("op"):
                case "hello":
                    return {}
                case "delivered":
                    talk.delivered(message["ids"])
                    return None
                case "wait":
                    return dict(self._wait(message["report"], talk))
                case _:
                    return dict(self._event(message["report"], talk))
        except Exception as error:  # noqa: BLE001 - the hook is told, and goes on
            say(f"{type(error).__name__}: {error}")
            return {"error": f"{type(error).__name__}: {error}"}

    def _wait(self, report: Report, talk: Talk) -> Reply:
        """Wait until there is mail, for as long as the session is here and the caller stays on the line."""
        key = Key(report["client"], report["session"], report.get("agent", ""))
        seat = self._seat(key, report)
        text, ids = seat.mail.wait(
            lambda: self._seats.get(key) is seat and seat.is_there and talk.is_open,
            lambda: seat.state != State.ACTIVE,  # in the middle of a turn nobody is woken
        )
        return talk.offering(seat, {"context": text, "delivered": ids}) if text else {}

    def _event(self, report: Report, talk: Talk) -> Reply:
        key = Key(report["client"], report["session"], report.get("agent", ""))
        self._last_used = time.monotonic()
        if report["kind"] in {Kind.END, Kind.SUBAGENT_STOP}:
            self._leave(key, report["pid"])
            return {}
        seat = self._seat(key, report)
        with seat.using:
            seat.heard = time.monotonic()
            if seat.me.liveness is Liveness.LOST:
                seat.me.announce()
                seat.anew = True
                self._save()
            return talk.offering(seat, self._desk.answer(seat, report))

    # Seats

    def _seat(self, key: Key, report: Report) -> Seat:
        with self._guard:
            seat = self._seats.get(key)
            if seat is None:
                if report.get("replaces"):
                    self._retire(key, report["pid"])
                seat = self._sit(key, report["pid"])
            elif report["pid"] and report["pid"] != seat.pid:
                seat.moves_to(report["pid"], processes.started(report["pid"]))  # resumed in a new process
                self._save()
            return seat

    def _sit(self, key: Key, pid: int, secret: str = "") -> Seat:
        if secret:
            me = comity.attach(self._view.backend, secret, take_over=True, deadline=_STORE_SECONDS)
        else:
            me = self._announced(key, pid)
        seat = Seat(key, me, self._settings, pid, processes.started(pid))
        if secret:
            seat.adopt()
        self._seats[key] = seat
        self._save()
        return seat

    def _announced(self, key: Key, pid: int) -> Coordinator:
        """Begin a session; one that just ends here is over in a moment, and begins again."""
        deadline = time.monotonic() + _STORE_SECONDS
        while True:
            try:
                return self._connect(
                    self._view.backend,
                    agent_id=handles.handle(key.client, naming.host_name(), key.session, key.agent),
                    session_type=key.client if key.client in set(SessionType) else SessionType.AGENT,
                    session_ttl=self._settings.session_ttl,
                    metadata={"client": key.client, "client_pid": pid},
                )
            except AgentIdTaken:
                if key not in self._departing or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)

    def _connect(self, target: Any, **options: Any) -> Coordinator:
        return comity.connect(target, namespace=self.at.namespace, deadline=_STORE_SECONDS, **options)

    def _go_on_for(self, entry: registry.Entry) -> None:
        """Take a session over, as far as it goes: what is wrong with one keeps nobody from the others.

        A store that is away is: the registry stays as it is, and the next host tries again.
        """
        try:
            self._take_over(entry)
        except BackendUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one entry holds
            say(f"{entry.key} is not taken over: {type(error).__name__}: {error}")

    def _take_over(self, entry: registry.Entry) -> None:
        """Go on for a session of the last host; one whose client is gone is ended, one that is over begins anew."""
        there = processes.runs(entry.pid, entry.start)
        try:
            seat = self._sit(entry.key, entry.pid, entry.secret)
        except SessionLost:
            if not there:
                return
            seat = self._sit(entry.key, entry.pid)
            seat.anew = True
        seat.start = entry.start
        if not there:
            self._leave(entry.key)

    def _retire(self, newcomer: Key, pid: int) -> None:
        """A client process has one session at a time: what it was before a ``/clear`` is over."""
        for key, seat in list(self._seats.items()):
            if pid and seat.pid == pid and (key.client, key.session) != newcomer[:2]:
                self._leave(key)

    def _leave(self, key: Key, pid: int = 0) -> None:
        """End a session, and its subagents' with it; not when it goes on in another process than `pid`."""
        with self._guard:
            seat = self._seats.get(key)
            if seat is not None and pid and seat.pid > 0 and seat.pid != pid:
                return
            seats = self._cleared([key])
        self._depart(seats)

    def _end_the_gone(self) -> None:
        with self._guard:  # in one go: a session that is resumed right now is either there before or begins after it
            seats = self._cleared([key for key, seat in self._seats.items() if not seat.is_there])
        self._depart(seats)

    def _cleared(self, keys: Sequence[Key]) -> list[Seat]:
        """Take the seats of these sessions and of their subagents away (the caller has the guard)."""
        whole = {key[:2] for key in keys if not key.agent}
        ends = [key for key in self._seats if key in keys or key[:2] in whole]
        seats = [self._seats.pop(other) for other in ends]
        if seats:
            self._departing.update(ends)
            self._save()
        return seats

    def _depart(self, seats: Sequence[Seat]) -> None:
        for seat in seats:
            with contextlib.suppress(ComityError):
                seat.leave()
            self._departing.discard(seat.key)

    def _save(self) -> None:
        entries = [registry.Entry(seat.key, seat.pid, seat.start, seat.secret) for seat in self._seats.values()]
        registry.save(self.at.registry, entries)


def say(text: str) -> None:
    """Write a line to the log, which is this process's standard error."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} host {os.getpid()}: {text[:2000]}\n")
    sys.stderr.flush()


def _sole(at: Meeting) -> int | None:
    """Become the only host of the namespace; None when there is one already."""
    import fcntl

    file = os.open(at.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    os.truncate(file, 0)
    os.write(file, str(os.getpid()).encode())
    return file


def main(argv: Sequence[str]) -> int:
    """Serve the namespace that is named until nobody needs it."""
    at = meeting.meeting(meeting.store_url(), argv[0])
    if _sole(at) is None:
        return 0
    host = Host(at, settings.read())
    with contextlib.suppress(FileNotFoundError):
        os.unlink(at.socket)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(at.socket)
    os.chmod(at.socket, 0o600)
    listening.listen(128)
    try:
        host.serve(listening)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(at.socket)
        listening.close()
        host.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
