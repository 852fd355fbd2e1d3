"""The hook process: reads one event, asks the session host, prints one answer.

It runs before each edit, so it imports little and late, and it lets the work go on: whatever goes wrong here ends in
status 0 with nothing printed and a line in the log. Only a lease of another session refuses a call; with ``--strict`` a
guard that cannot decide refuses as well.
"""

from __future__ import annotations

import json
import os
import sys
import time

from comity_guard import meeting, naming, repository
from comity_guard.kinds import Kind

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    from comity_guard.calls import Call
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
_ASK_SECONDS = 2.0
_START_SECONDS = 4.0


def run(dialect: Any, argv: Sequence[str]) -> int:
    """Answer the hook event on standard input; return the exit status."""
    environ = os.environ
    raw = sys.stdin.buffer.read()  # to the end, also when there is nothing to do
    strict = "--strict" in argv or environ.get("COMITY_STRICT") == "1"
    report: Report | None = None
    try:
        event = json.loads(raw)
        report = dialect.report(event, environ)
        if report is None or environ.get("COMITY_GUARD") == "off":
            return 0
        if "--wait" in argv:
            return _wait(report, environ) if dialect.can_wake(environ) else 0
        return _answer(dialect, event, report, environ)
    except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
        _log(dialect.CLIENT, error)
        if strict and report is not None and report["kind"] in _DECIDES:
            sys.stderr.write(f"comity cannot tell whether this is safe ({error}); see `comity doctor`\n")
            return BLOCK
        return 0


def _answer(dialect: Dialect, event: Mapping[str, Any], report: Report, environ: Mapping[str, str]) -> int:
    if not report["pid"]:
        from comity_guard import processes

        report["pid"] = processes.client_above()
    calls: list[Call] = []
    try:
        reply: Reply = {}
        for namespace, part in _by_namespace(report, meeting.store_url(dict(environ))):
            answer = _asked(namespace, part, environ, calls)
            reply = {**reply, **answer}
            if reply.get("deny"):
                break
        said = dialect.output(reply, event)
        if said is not None:
            sys.stdout.write(json.dumps(said))
            sys.stdout.flush()
        dialect.remember(reply, event, environ)
        for call in calls:
            call.confirm()  # only now has the text left this process
    finally:
        for call in calls:
            call.close()
    return 0


def _asked(namespace: str, part: Report, environ: Mapping[str, str], calls: list[Call]) -> Reply:
    """Ask the host of a namespace; once more when the one that was met was just ending."""
    for last in (False, True):
        call = _call(namespace, part, environ)
        if call is None:
            break
        calls.append(call)
        try:
            return call.ask(part, _ASK_SECONDS)
        except ConnectionError:
            if last:
                raise
    return {}


def _by_namespace(report: Report, url: str) -> list[tuple[str, Report]]:
    """Part a report by the repositories of the files it is about: the file decides, not the working directory."""
    shared, cwd = meeting.is_shared(url), report["cwd"]
    if report["kind"] == Kind.COMMAND:
        if "git" not in report.get("command", ""):
            return []
        from comity_guard.git_commands import sweeping

        found = sweeping(report.get("command", ""), cwd)
        if found is None:
            return []
        report["cwd"] = cwd = found.cwd
    if "paths" not in report:
        return [(naming.namespace(repository.find(cwd) if cwd else None, shared=shared), report)]
    parts: dict[str, list[str]] = {}
    for path in report["paths"]:
        real = naming.real_path(path, cwd)
        parts.setdefault(naming.namespace(repository.find(os.path.dirname(real)), shared=shared), []).append(real)
    return [(namespace, {**report, "paths": paths}) for namespace, paths in parts.items()]


def _call(namespace: str, report: Report, environ: Mapping[str, str]) -> Call | None:
    """Reach the host of a namespace, starting it where that is worth it; None when there is none and need be none."""
    from comity_guard import calls

    at = meeting.meeting(meeting.store_url(dict(environ)), namespace)
    call = calls.reach(at)
    if call is not None or report["kind"] not in _BEGINS:
        return call
    from comity_guard import starting

    host = starting.start(at)
    deadline = time.monotonic() + _START_SECONDS
    while (call := calls.reach(at)) is None:
        if host.poll():
            raise RuntimeError(f"the session host ended with status {host.returncode}; its log is {at.log}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the session host did not come up within {_START_SECONDS} s; its log is {at.log}")
        time.sleep(0.01)
    return call


def _wait(report: Report, environ: Mapping[str, str]) -> int:
    """Wait until there is mail for an idle session: told on standard error with the status that wakes it."""
    from comity_guard import waker

    for namespace, part in _by_namespace(report, meeting.store_url(dict(environ))):
        call = _call(namespace, part, environ)
        if call is not None:
            return waker.wait(call, part)
    return 0


def _log(client: str, error: BaseException) -> None:
    """Write one line where `comity doctor` looks; a log that cannot be written is no reason to fail either."""
    try:
        at = meeting.meeting("", "")
        with open(os.open(at.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as log:
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            log.write(f"{moment} hook {client}: {type(error).__name__}: {str(error)[:500]!r}\n")
    except OSError:
        pass
