"""``comity service``: start, stop and look at the background service."""

import json as js
import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comity.cli.exits import Exit, tell
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.screen import Cell, clean, err, out, paint, span, table

if TYPE_CHECKING:
    import subprocess

    from comity import JobReport, ServiceStatus
    from comity.cli.service.process import Place

START_EPILOG = examples(
    "comity service start\nin a process of its own, unless somebody leads already",
    "comity service start --foreground\nfor a terminal, a container or a supervisor",
) + (
    "\n\nThe process acts with COMITY_TIER, else as VALIDATOR, which it takes to promote patterns. Its log is that of "
    "`comity service logs`."
)
STOP_EPILOG = examples(
    "comity service stop\nwhat start began here, else whoever leads",
    'COMITY_TIER=STEWARD comity service stop --reason "an upgrade"\nwhoever leads, wherever it runs',
)
STATUS_EPILOG = examples(
    "comity service status\nwho leads, who stands by, each job",
    "comity service status --json\nfor a monitor; status 1 when nobody leads, or the leader is late",
)
LOGS_EPILOG = examples("comity service logs --follow\nand what comes")
_SERVICE_TIER = "VALIDATOR"
_LOOK = 0.05
_LONGEST_LINE = 2000


def start(
    ctx: typer.Context,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay here, and log to stderr.")] = False,
    standby: Annotated[bool, typer.Option("--standby", help="Start one although somebody leads.")] = False,
    wait: Annotated[float, typer.Option(min=0, metavar="S", help="How long it may take to begin.")] = 15.0,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Make sure that the service runs; in a process of its own that outlives this command."""
    at = target(ctx, url, namespace, json)
    if foreground:
        raise typer.Exit(_serve(at))
    with at.reading() as me:
        found, where = me.service.get_status(), (me.namespace, me.backend.url)
    if found.leader is not None and not standby:
        _say(at, f"{clean(found.leader)} leads already", leader=found.leader, started=None)
        return
    raise typer.Exit(_detach(at, *where, wait))


def _serve(at: Target) -> int:
    from comity.cli.service.running import log_to_stderr, serve
    from comity.model import SessionType

    log_to_stderr()
    tier = os.environ.get("COMITY_TIER") or _SERVICE_TIER
    with at.joining(session_type=SessionType.SERVICE, access_tier=tier, on_lost="rejoin") as me:
        return serve(me)


def _detach(at: Target, namespace: str, where: str, wait: float) -> int:
    """Start a process and wait until it takes part."""
    from comity.cli.service.process import Place, spawn
    from comity.model import generate_agent_id

    place, agent_id = Place(namespace, where), generate_agent_id("service")
    process = spawn(place, {**os.environ, "COMITY_AGENT_ID": agent_id})
    role = _role(at, agent_id, process, wait)
    facts = {"agent_id": agent_id, "pid": process.pid, "log": str(place.log)}
    if role is None:
        if not at.json:
            for line in place.tail(5):
                err(clean(line, _LONGEST_LINE))
        why = "it has ended" if process.poll() is not None else f"it takes no part after {wait:g} s"
        message = f"{why}; see `comity service logs` ({place.log})"
        return tell("ServiceNotStarted", message, Exit.FAILED, as_json=at.json)
    process.returncode = 0  # it goes on without us
    _say(at, f"{agent_id} {role} (pid {process.pid}), logging to {place.log}", started={**facts, "role": role})
    return Exit.OK


def _role(at: Target, agent_id: str, process: "subprocess.Popen[bytes]", wait: float) -> str | None:
    """Return how a session takes part in the service, as soon as it does."""
    ends = time.monotonic() + wait
    with at.reading() as me:
        while process.poll() is None:
            found = me.service.get_status()
            if found.leader == agent_id:
                return "leads"
            if agent_id in found.standbys:
                return "stands by"
            if time.monotonic() >= ends:
                return None
            time.sleep(_LOOK)
    return None


def stop(
    ctx: typer.Context,
    agent_id: Annotated[str | None, typer.Argument(help="Whose; default: those started here, else the leader.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown to everybody.")] = "stopped by hand",
    wait: Annotated[float, typer.Option(min=0, metavar="S", help="How long to wait for its end.")] = 15.0,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Ask the service to stop: it lets go itself, and the next one standing by leads."""
    from comity.cli.service.process import Place

    at = target(ctx, url, namespace, json)
    with at.reading() as me:
        place = Place(me.namespace, me.backend.url)
    asked = _stop_own(at, place, agent_id, reason, wait)
    if not asked:
        with at.acting() as me:
            whose = agent_id or me.service.get_status().leader
            asked = {whose or "": me.service.ask_to_stop(agent_id, reason=reason, timeout=wait)}
    late = [name for name, ended in asked.items() if not ended]
    if late:
        message = f"{', '.join(late)} did not stop within {wait:g} s; a steward may break the lock comity:service"
        raise typer.Exit(tell("ServiceNotStopped", message, Exit.FAILED, as_json=at.json))
    with at.reading() as me:
        leader = me.service.get_status().leader
    after = "nobody leads now" if leader is None else f"{clean(leader)} leads now"
    _say(at, f"stopped {', '.join(clean(name) for name in asked)}; {after}", stopped=list(asked), leader=leader)


def _stop_own(at: Target, place: "Place", agent_id: str | None, reason: str, wait: float) -> dict[str, bool]:
    """Stop what was started here, standbys first, so that none of them takes over meanwhile."""
    from comity.errors import SessionError

    with at.reading() as me:
        leader = me.service.get_status().leader
    own = [(path, each) for path, each in place.started() if agent_id in (None, each.agent_id)]
    asked: dict[str, bool] = {}
    for path, each in sorted(own, key=lambda pair: pair[1].agent_id == leader):
        try:
            with at.attaching(each.handle) as me:
                asked[each.agent_id] = me.service.ask_to_stop(each.agent_id, reason=reason, timeout=wait)
        except SessionError:  # it is over, and could not take its file away
            path.unlink(missing_ok=True)
    return asked


def status(ctx: typer.Context, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Show who leads, who stands by, and how each job fares. Status 1 when nobody leads or the leader is late."""
    at = target(ctx, url, namespace, json)
    with at.reading() as me:
        found = me.service.get_status()
        where = f"namespace {clean(me.namespace)} of {clean(me.backend.url)}"
    if at.json:
        out(js.dumps(found.to_dict()))
    else:
        _show(found, where)
    if found.leader is None or found.trouble:
        raise typer.Exit(Exit.FAILED)


def _show(found: "ServiceStatus", where: str) -> None:
    if found.leader is None:
        ended = found.report.ended if found.report is not None else ""
        out(f"nobody leads in {where}" + (f"; the last one ended: {clean(ended)}" if ended else ""))
    else:
        out(f"{paint(clean(found.leader), 'green')} leads in {where} for {span(found.held_for)} (token {found.token})")
    if found.standbys:
        out(f"standing by: {', '.join(clean(each) for each in found.standbys)}")
    if found.trouble:
        out(paint(clean(found.trouble), "yellow"))
    if found.jobs:
        table(["JOB", "EVERY", "RUNS", "FAILED", "LAST RUN", "TOOK", "DID"], [_row(found, job) for job in found.jobs])
    for name, error in found.errors.items():
        out(f"{paint(clean(name), 'red')}: {clean(error)}")


def _row(found: "ServiceStatus", job: "JobReport") -> list[Cell]:
    report = found.report
    last = "-"
    if report is not None and job.last_run_ms is not None:
        last = span(found.report_age + max(report.at_ms - job.last_run_ms, 0) / 1000) + " ago"
    return [
        clean(job.name, 40),
        span(job.interval),
        str(job.runs),
        (str(job.failures), "red" if job.error else ""),
        last,
        f"{job.last_seconds * 1000:.1f}ms",
        ", ".join(f"{clean(what, 40)} {count}" for what, count in job.counts.items()) or "-",
    ]


def logs(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Begin with so many lines.")] = 50,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show what the service processes that were started here have logged."""
    from comity.cli.service.process import Place

    at = target(ctx, url, namespace, json=False)
    with at.reading() as me:
        place = Place(me.namespace, me.backend.url)
    lines = place.tail(last)
    for line in lines:
        out(clean(line, _LONGEST_LINE))
    if not lines and last and not follow:
        out(f"nothing in {place.log}")
    if follow:
        for line in place.follow():
            out(clean(line, _LONGEST_LINE))


def _say(at: Target, text: str, **facts: Any) -> None:
    out(js.dumps(facts) if at.json else text)
