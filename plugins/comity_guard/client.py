"""The hook process: reads one event, asks the session host, prints one answer.

It runs before each edit, so it imports little and late, and it lets the work go on: whatever goes wrong here ends in
status 0 with nothing printed and a line in the log. Only a lease of another session refuses a call; with ``--strict`` a
guard that cannot decide refuses as well.
"""

from __future__ import annotations

import os
import sys
import time

from comity_guard import meeting, naming, repository, text
from comity_guard.kinds import Kind

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Protocol

    from comity_guard.calls import Call
    from comity_guard.meeting import Meeting
    from comity_guard.report import Reply, Report

    class Dialect(Protocol):
        """How a client tells and is told: the module ``comity_<client>.hook``."""

        CLIENT: str

        def report(self, event: Mapping[str, Any], environ: Mapping[str, str]) -> Report | None:
            """Return what the host should know; None when the event concerns nobody."""

        def output(self, reply: Reply, event: Mapping[str, Any]) -> dict[str, Any] | None:
            """Return the JSON object that tells the reply; None to say nothing."""

        def can_wake(self, environ: Mapping[str, str]) -> bool:
            """Tell whether the session can be woken by a hook process that ends."""

        def remember(self, reply: Reply, event: Mapping[str, Any], environ: Mapping[str, str]) -> None:
            """Let later commands of the session know its handle, where the client has a place for it."""


BLOCK = 2
"""The exit status by which a hook refuses."""
_BEGINS = frozenset({Kind.START, Kind.PROMPT, Kind.EDIT, Kind.COMMAND, Kind.SUBAGENT_START})
"""The events that are worth starting a host for."""
_DECIDES = frozenset({Kind.EDIT, Kind.COMMAND})
_EVERYWHERE = frozenset({Kind.START, Kind.PROMPT, Kind.STOP, Kind.END, Kind.SUBAGENT_STOP})
"""The events that also concern the other repositories in which the session has edited files."""
_ASK_SECONDS = 2.0
_ALL_SECONDS = 4.0
"""For the whole of it, a host's start included: the client would wait for a second longer."""


def run(dialect: Any, argv: Sequence[str]) -> int:
    """Answer the hook event on standard input; return the exit status."""
    environ = os.environ
    raw = sys.stdin.buffer.read()  # to the end, also when there is nothing to do
    may_refuse = "--strict" in argv or environ.get("COMITY_STRICT") == "1"
    try:
        event = text.loads(raw)
        may_refuse = may_refuse and _may_wait_for_a_decision(event)
        report: Report | None = dialect.report(event, environ)
        if report is None or environ.get("COMITY_GUARD") == "off":
            return 0
        may_refuse = may_refuse and report["kind"] in _DECIDES
        if "--wait" in argv:
            return _wait(report, environ) if dialect.can_wake(environ) else 0
        return _answer(dialect, event, report, environ)
    except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
        _log(dialect.CLIENT, error)
        if may_refuse:
            sys.stderr.write(f"comity cannot tell whether this is safe ({error}); see `comity doctor`\n")
            return BLOCK
        return 0


def _may_wait_for_a_decision(event: Any) -> bool:
    """Tell whether a call may hang on the answer; one that does not say what it is may."""
    return not isinstance(event, dict) or event.get("hook_event_name", "PreToolUse") == "PreToolUse"


def _answer(dialect: Dialect, event: Mapping[str, Any], report: Report, environ: Mapping[str, str]) -> int:
    if not report["pid"]:
        from comity_guard import processes

        report["pid"] = processes.client_above()
    asking = _Asking(environ)
    try:
        reply: Reply = {}
        for namespace, part in _by_namespace(report, asking.url):
            reply = _joined(reply, asking.host_of(namespace, part))
            if reply.get("deny"):
                break
        if report["kind"] in _EVERYWHERE:
            for more in asking.hosts_elsewhere(report):
                reply = _joined(reply, more)
        said = dialect.output(reply, event)
        if said is not None:
            sys.stdout.write(text.dumps(said))
            sys.stdout.flush()
        dialect.remember(reply, event, environ)
        if said is not None:
            asking.confirm()  # only now has the text left this process
    finally:
        asking.close()
    return 0


def _joined(first: Reply, second: Reply) -> Reply:
    """Put together what two hosts answered: the first one's handle, everybody's words."""
    both: Reply = {**second, **first}
    words = [reply["context"] for reply in (first, second) if reply.get("context")]
    if words:
        both["context"] = "\n".join(words)
    if second.get("deny"):
        both["deny"] = second["deny"]
    return both


class _Asking:
    """The calls of one hook process, which are all to be over in time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._deadline = time.monotonic() + _ALL_SECONDS
        self._calls: list[Call] = []
        self._called: set[str] = set()
        self.url = meeting.store_url(dict(environ))

    def host_of(self, namespace: str, report: Report) -> Reply:
        """Ask the host of a namespace; once more when the one that was met was just ending."""
        at = meeting.meeting(self.url, namespace)
        self._called.add(at.key)
        for last in (False, True):
            call = _call(at, report, self._left)
            if call is None:
                break
            try:
                return self._asked(call, report)
            except ConnectionError:
                if last:
                    raise
        return {}

    def hosts_elsewhere(self, report: Report) -> Iterator[Reply]:
        """Ask the other hosts that know the session. What they cannot answer does not matter here."""
        from comity_guard import calls, elsewhere

        for at, part in elsewhere.seats(report, meeting.meeting(self.url, "").folder, self._called):
            try:
                call = calls.reach(at)
                if call is not None:
                    yield self._asked(call, part)
            except (OSError, ValueError, RuntimeError) as error:
                _log(report["client"], error)

    def _asked(self, call: Call, report: Report) -> Reply:
        self._calls.append(call)
        return call.ask(report, min(_ASK_SECONDS, self._left()))

    def _left(self) -> float:
        """Return how many seconds there are. Raises `TimeoutError` when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the guard did not come to an answer within {_ALL_SECONDS} s")
        return left

    def confirm(self) -> None:
        for call in self._calls:
            call.confirm()

    def close(self) -> None:
        for call in self._calls:
            call.close()


def _by_namespace(report: Report, url: str) -> list[tuple[str, Report]]:
    """Part a report by the repositories of the files it is about: the file decides, not the working directory."""
    shared, cwd = meeting.is_shared(url), report["cwd"]
    if report["kind"] == Kind.COMMAND:
        if "git" not in report.get("command", ""):
            return []
        from comity_guard.commands import shortened
        from comity_guard.git_commands import sweeping

        report["command"] = shortened(report["command"])
        found = sweeping(report["command"], cwd)
        if found is None:
            return []
        cwd = found.cwd
    if "paths" not in report:
        return [(naming.namespace(repository.find(cwd) if cwd else None, shared=shared), report)]
    parts: dict[str, list[str]] = {}
    for path in report["paths"]:
        real = naming.real_path(path, cwd)
        parts.setdefault(naming.namespace(repository.find(os.path.dirname(real)), shared=shared), []).append(real)
    return [(namespace, {**report, "paths": paths}) for namespace, paths in parts.items()]


def _call(at: Meeting, report: Report, left: Any = lambda: _ALL_SECONDS) -> Call | None:
    """Reach the host of a namespace, starting it where that is worth it; None when there is none and need be none."""
    from comity_guard import calls

    call = calls.reach(at)
    if call is not None or not (report["kind"] in _BEGINS or _was_killed(at, report)):
        return call
    from comity_guard import starting

    host = starting.start(at)
    deadline = time.monotonic() + left()
    while (call := calls.reach(at)) is None:
        if host.poll():
            raise RuntimeError(f"the session host ended with status {host.returncode}; its log is {at.log}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the session host did not come up in time; its log is {at.log}")
        time.sleep(0.01)
    return call


def _was_killed(at: Meeting, report: Report) -> bool:
    """Tell whether a host that is not there kept this very session: it ended without giving its sessions up."""
    try:
        with open(at.registry, encoding="utf-8") as file:
            return text.dumps(report["session"]) in file.read()
    except OSError:
        return False


def _wait(report: Report, environ: Mapping[str, str]) -> int:
    """Wait until there is mail for an idle session: told on standard error with the status that wakes it."""
    from comity_guard import calls, elsewhere, waker

    url = meeting.store_url(dict(environ))
    ((namespace, part),) = _by_namespace(report, url)  # it is about no files
    at = meeting.meeting(url, namespace)
    others = [
        (call, other)
        for place, other in elsewhere.seats(report, at.folder, {at.key})
        if other["kind"] != Kind.END and (call := calls.reach(place)) is not None
    ]
    return waker.wait(lambda: _call(at, part), part, others)


def _log(client: str, error: BaseException) -> None:
    """Write one line where `comity doctor` looks; a log that cannot be written is no reason to fail either."""
    try:
        at = meeting.meeting("", "")
        with open(os.open(at.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as log:
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            log.write(f"{moment} hook {client}: {type(error).__name__}: {str(error)[:500]!r}\n")
    except OSError:
        pass
