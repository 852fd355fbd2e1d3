"""``comity doctor``: what is well, what is not, and the fix of each."""

import json as js
import secrets
import sys
import time
from typing import TYPE_CHECKING

import typer

from comity.cli.exits import Exit
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.screen import Cell, clean, out, paint, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity import Coordinator
    from comity.model import Finding

EPILOG = examples(
    "comity doctor\nlook the store, the settings and the plugins over",
    "comity --url redis://cache:6379 doctor --json\nthe same of a server, for a monitor; status 1 when something fails",
)
_SLOW = 0.25
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(ctx: typer.Context, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Check store, settings and plugins, and name the fix of what is wrong."""
    from comity.model import Health

    at = target(ctx, url, namespace, json)
    findings = list(examine(at))
    failed = [finding for finding in findings if finding.health is Health.FAIL]
    if at.json:
        out(js.dumps({"ok": not failed, "findings": [_facts(finding) for finding in findings]}))
    else:
        rows: list[list[Cell]] = [
            [(each.health.value, _STYLES[each.health.value]), clean(each.what), clean(each.found)] for each in findings
        ]
        table(["", "WHAT", "FOUND"], rows)
        for finding in findings:
            if finding.fix:
                out(f"{paint('fix', 'bold')} {clean(finding.what)}: {clean(finding.fix)}")
    if failed:
        raise typer.Exit(Exit.FAILED)


def _facts(finding: "Finding") -> dict[str, str]:
    return {"health": finding.health.value, "what": finding.what, "found": finding.found, "fix": finding.fix}


def examine(at: Target) -> "Iterator[Finding]":
    """Look at everything that a session would need, from the inside out."""
    import comity
    from comity.errors import BadInput
    from comity.model import Finding, Health

    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(Health.OK, "comity", f"{comity.__version__} on Python {version}, {sys.platform}")
    try:
        me = at.reading()
    except BadInput as error:
        yield Finding(Health.FAIL, "settings", str(error), "give a value that can be used, see docs: settings")
        return
    with me:
        yield Finding(Health.OK, "settings", f"{me.backend.url}, namespace {me.namespace}")
        yield from _store(me)
        yield from _plugins(me)
        yield from _records()


def _store(me: "Coordinator") -> "Iterator[Finding]":
    from comity.errors import BackendUnavailable, BackendUnfit, ComityError
    from comity.model import Finding, Health, SessionRef
    from comity.seam import Seam

    seam, began = Seam(5.0), time.monotonic()
    try:
        live, held = len(me.sessions.active()), len(me.locks.held())
        took = time.monotonic() - began
        yield _speed("reading", took)
        yield from seam.run(me.backend.diagnose())
        began = time.monotonic()
        # The departure of a session that never was: a mark that is forgotten after a while, and nothing else.
        seam.run(me.backend.presence.depart(SessionRef("comity-doctor", secrets.token_hex(16))))
        yield _speed("writing", time.monotonic() - began)
    except BackendUnavailable as error:
        fix = "start it, or correct the address in --url or COMITY_URL; look for firewalls and a full backlog"
        yield Finding(Health.FAIL, "store", f"{error.where} does not answer: {error.why}", fix)
        return
    except BackendUnfit as error:
        yield Finding(Health.FAIL, "store", f"{error.where}: {error.why}", error.fix)
        return
    except ComityError as error:
        yield Finding(Health.FAIL, "store", str(error), "see the message")
        return
    yield Finding(Health.OK, "sessions", f"{live} live, {held} leases held")
    yield from _service(me)
    yield Finding(Health.OK, "guarantees", ", ".join(sorted(each.value for each in me.capabilities)))


def _service(me: "Coordinator") -> "Iterator[Finding]":
    from comity.model import Finding, Health

    found = me.service.get_status()
    where = f"namespace {me.namespace}"
    if found.trouble and found.is_led:
        fix = "look at its process; a steward deposes it: `comity service stop`, else break the lock comity:service"
        yield Finding(Health.WARN, "service", f"{where}: {found.trouble}", fix)
    elif found.trouble:
        yield Finding(Health.WARN, "service", f"{where}: {found.trouble}", "start one: `comity service start`")
    elif found.is_led:
        also = f", {len(found.standbys)} standing by" if found.standbys else ""
        yield Finding(Health.OK, "service", f"{where}: {found.leader} leads{also}")
    else:
        yield Finding(Health.OK, "service", f"{where}: nobody leads, and nobody has to")
    for name, error in found.errors.items():
        fix = "see `comity service logs` of whoever leads"
        yield Finding(Health.WARN, "service job", f"{where}: {name} failed: {error}", fix)


def _speed(what: str, took: float) -> "Finding":
    from comity.model import Finding, Health

    found = f"answered in {took * 1000:.1f} ms"
    if took < _SLOW:
        return Finding(Health.OK, what, found)
    return Finding(Health.WARN, what, found, "look at the load of the store's machine and the way to it")


def _plugins(me: "Coordinator") -> "Iterator[Finding]":
    from comity.model import Finding, Health

    me.plugins.cli_commands()
    yield from me.plugins.findings()
    report = me.plugins.report()
    for each in report:
        where = f"{each.plugin}.{each.hook}" if each.hook else each.plugin
        fix = f"repair or uninstall it, or set COMITY_BLOCK_PLUGINS={each.plugin}"
        yield Finding(Health.FAIL if each.count else Health.WARN, "plugin", f"{where}: {each.error or 'slow'}", fix)
    if not report:
        names = ", ".join(each.name for each in me.plugins.plugins)
        yield Finding(Health.OK, "plugins", f"{names}: none failed")


def _records() -> "Iterator[Finding]":
    from comity.logs import corrupt_counts
    from comity.model import Finding, Health

    for kind, count in sorted(corrupt_counts.items()):
        fix = "find out what else writes there; such records are skipped and harm no others"
        yield Finding(Health.WARN, "corrupt records", f"{count} of kind {kind}", fix)
    if not corrupt_counts:
        yield Finding(Health.OK, "corrupt records", "none met")
