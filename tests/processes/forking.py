"""A child of ``fork`` with the handles of its parent: what they say, and that it ends like any process."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any

import comity

if TYPE_CHECKING:
    from collections.abc import Callable

_HUNG = 10
"""Seconds after which a child that hangs is ended by its alarm."""


def fork() -> int:
    """Fork, with threads or without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is the point
        return os.fork()


def child_of(me: comity.Coordinator, lease: comity.Lease | None, url: str) -> dict[str, Any]:
    """Fork; return what the child found out, and the status it ended with."""
    read, write = os.pipe()
    pid = fork()
    if pid == 0:
        signal.alarm(_HUNG)
        os.close(read)
        # With a lease the child ends like a program: finalizers and exit handlers run, and must harm nobody.
        try:
            os.write(write, json.dumps(_find_out(me, lease, url)).encode())
        finally:
            if lease is None:
                os._exit(0)
            sys.exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {**json.loads(found or '{"said": "nothing"}'), "status": status}


def _find_out(me: comity.Coordinator, lease: comity.Lease | None, url: str) -> dict[str, Any]:
    calls: list[Callable[[], object]] = [
        lambda: me.locks.acquire("other", timeout=0),
        me.sessions.active,
        lambda: me.events.publish("topic", 1),
        me.beat,
        me.depart,
    ]
    if lease is not None:
        calls += [lease.ensure_held, lease.release, lambda: lease.lost]
    said = sorted({_said(call) for call in calls})
    me.close()
    if lease is None:
        return {"said": said}
    with (
        comity.connect(url, namespace=me.namespace, agent_id="child") as own,
        own.locks.acquire("the child's", timeout=0),
    ):
        seen = [info.agent_id for info in own.sessions.active()]
    return {"said": said, "anew": me.agent_id in seen and "child" in seen}


def _said(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - what it says is the answer
        return type(error).__name__
    return "went through"
