"""What ``comity doctor`` says of the guard: the whole chain, from a client's settings to the session host."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comity.model import Finding, Health
from comity_guard import calls, meeting, naming, repository
from comity_guard.merging import Unusable, has_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = ("claude", "codex")
_SLOW_HOOK = 0.2
_HOST_SECONDS = 3.0
_LATELY = 3600.0
_TAIL = 20_000


def findings() -> list[Finding]:
    """Look the chain over, from the client to the store's side of it."""
    return [*_command(), *_settings(), *_host(), *_log()]


def _command() -> Iterator[Finding]:
    """Hooks call ``comity`` by name: without it every one of them fails, and edits go ahead unguarded."""
    found = shutil.which("comity")
    if found is None:
        fix = 'put it on the PATH that your client has: pipx install "comity[cli]" does, or ".[cli]" in a checkout'
        yield Finding(Health.WARN, "guard: command", "comity is not on the PATH, so that no hook can run", fix)
        return
    event = json.dumps({"session_id": "doctor", "hook_event_name": "Doctor"}).encode()
    began = time.monotonic()
    try:
        done = subprocess.run([found, "hook", "claude"], input=event, capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(Health.FAIL, "guard: command", f"{found} cannot be run: {error}", "install comity again")
        return
    took = time.monotonic() - began
    if done.returncode or done.stdout:
        yield Finding(Health.FAIL, "guard: command", f"a hook ended with status {done.returncode}", "upgrade comity")
    elif took > _SLOW_HOOK:
        fix = "look at the machine's load, and at what its Python imports when it starts"
        yield Finding(Health.WARN, "guard: command", f"a hook takes {took * 1000:.0f} ms", fix)
    else:
        yield Finding(Health.OK, "guard: command", f"{found}, {took * 1000:.0f} ms a hook")


def _settings() -> Iterator[Finding]:
    for client in CLIENTS:
        config: Any = importlib.import_module(f"comity_{client}.config")
        where = [config.settings_file(Path.home(), project, os.environ) for project in (None, Path.cwd())]
        guarded = []
        for path in where:
            try:
                events = has_ours(path.read_bytes(), config.is_ours)
            except OSError:
                continue
            except Unusable as error:
                fix = "mend it; the client reads none of it as it is"
                yield Finding(Health.FAIL, f"guard: {client}", f"{path} cannot be used: {error}", fix)
                continue
            lacking = set(config.hooks()) - events
            if events and lacking:
                fix = f"comity install {client}" + ("" if path == where[0] else " --project")
                yield Finding(Health.WARN, f"guard: {client}", f"{path} lacks {', '.join(sorted(lacking))}", fix)
            guarded += [str(path)] if events else []
        if len(guarded) > 1:
            fix = f"comity install {client} --project --uninstall; twice is once, and costs twice"
            yield Finding(Health.WARN, f"guard: {client}", "hooks for the user and for this project", fix)
        elif guarded:
            yield Finding(Health.OK, f"guard: {client}", f"hooks in {guarded[0]}")
        else:
            yield Finding(Health.OK, f"guard: {client}", f"no hooks in its settings (comity install {client})")


def _host() -> Iterator[Finding]:
    url = meeting.store_url()
    checkout = repository.find(os.getcwd())
    namespace = naming.namespace(checkout, shared=meeting.is_shared(url))
    try:
        at = meeting.meeting(url, namespace)
        call = calls.reach(at)
    except OSError as error:
        yield Finding(Health.FAIL, "guard: host", str(error), "make the folder this user's own, see the text")
        return
    state = "no session host, the first hook starts one"
    if call is not None:
        try:
            call.greet(_HOST_SECONDS)
        except (OSError, ValueError, RuntimeError) as error:
            fix = f"end it, the next hook starts another: kill -9 $(cat {at.lock})"
            yield Finding(Health.FAIL, "guard: host", f"the session host of {namespace} does not answer: {error}", fix)
            return
        finally:
            call.close()
        state = "its session host answers"
    yield Finding(Health.OK, "guard: host", f"namespace {namespace}; {state}")


def _log() -> Iterator[Finding]:
    """What hooks and hosts wrote lately: they fail in silence, so that the work goes on."""
    path = Path(meeting.meeting("", "").log)
    try:
        lines = path.read_bytes()[-_TAIL:].decode("utf-8", "replace").splitlines()
    except OSError:
        return
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - _LATELY))
    lately = [line for line in lines if line[:20] >= since and line[:4].isdecimal()]
    if lately:
        fix = f"read {path}; edits went ahead unguarded then"
        yield Finding(Health.WARN, "guard: log", f"{len(lately)} errors within the hour, the last: {lately[-1]}", fix)
