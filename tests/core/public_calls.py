"""Every public call once: which action of the tiers it is, how it is made, and how it is made wrongly.

Whoever adds a public call adds it here; `test_every_call` sees to that, and to what holds for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = "a\nb"
"""No name."""


@attrs.frozen
class Call:
    """`perform` makes the call on a coordinator; `spoil` with something in it that must be refused."""

    action: str
    perform: Callable[[Any], Any]
    spoil: Callable[[Any], Any] | None = None
    needs_session: bool = True


def reads(action: str, perform: Callable[[Any], Any], spoil: Callable[[Any], Any] | None = None) -> Call:
    """Describe a call that needs no session of one's own."""
    return Call(action, perform, spoil, needs_session=False)


def nothing(*_: object) -> None:
    """Serve as a handler."""


CALLS: dict[str, Call] = {
    # its life
    "announce": reads("announce", lambda me: me.announce()),
    "depart": reads("depart", lambda me: me.depart()),
    "beat": Call("beat", lambda me: me.beat()),
    "update": Call("update", lambda me: me.update(status="busy"), lambda me: me.update(status=BAD)),
    "handle": Call("handle", lambda me: me.handle),
    # the others
    "sessions.active": reads("sessions.active", lambda me: me.sessions.active()),
    "sessions.get": reads("sessions.get", lambda me: me.sessions.get("ann"), lambda me: me.sessions.get(BAD)),
    "sessions.watch": reads("sessions.watch", lambda me: me.sessions.watch()),
    "sessions.on_joined": reads("sessions.on_joined", lambda me: me.sessions.on_joined(nothing)),
    "sessions.on_left": reads("sessions.on_left", lambda me: me.sessions.on_left(nothing)),
    "sessions.evict": Call(
        "sessions.evict", lambda me: me.sessions.evict("ann", "why"), lambda me: me.sessions.evict("ann", BAD)
    ),
    # locks
    "locks.acquire": Call(
        "locks.acquire", lambda me: me.locks.acquire("x", timeout=0), lambda me: me.locks.acquire(BAD)
    ),
    "locks.acquire_all": Call(
        "locks.acquire",
        lambda me: me.locks.acquire_all(["x", "y"], timeout=0),
        lambda me: me.locks.acquire_all(["x", BAD]),
    ),
    "locks.acquire_any": Call(
        "locks.acquire",
        lambda me: me.locks.acquire_any(["x", "y"], timeout=0),
        lambda me: me.locks.acquire_any(["x", BAD]),
    ),
    "locks.holder": reads("locks.holder", lambda me: me.locks.holder("x"), lambda me: me.locks.holder(BAD)),
    "locks.holders": reads("locks.holders", lambda me: me.locks.holders("x"), lambda me: me.locks.holders(BAD)),
    "locks.contenders": reads(
        "locks.contenders", lambda me: me.locks.contenders("x"), lambda me: me.locks.contenders(BAD)
    ),
    "locks.held": reads("locks.held", lambda me: me.locks.held(), lambda me: me.locks.held(BAD)),
    "locks.mine": Call("locks.mine", lambda me: me.locks.mine()),
    "locks.preempt": Call("locks.preempt", lambda me: me.locks.preempt("x", 1), lambda me: me.locks.preempt(BAD, 1)),
    "locks.break_lock": Call(
        "locks.break_lock", lambda me: me.locks.break_lock("x", "why"), lambda me: me.locks.break_lock("x", BAD)
    ),
    # events
    "events.publish": Call(
        "events.publish", lambda me: me.events.publish("t", 1), lambda me: me.events.publish("t", {1, 2})
    ),
    "events.subscribe": reads(
        "events.subscribe", lambda me: me.events.subscribe("t"), lambda me: me.events.subscribe(BAD)
    ),
    # conflicts
    "conflicts.resolve": Call(
        "conflicts.resolve", lambda me: me.conflicts.resolve("x", "ann"), lambda me: me.conflicts.resolve(BAD, "ann")
    ),
    "conflicts.resolve of others": Call(
        "conflicts.settle",
        lambda me: me.conflicts.resolve("x", "ann", agent_id="bob"),
        lambda me: me.conflicts.resolve("x", "ann", agent_id=BAD),
    ),
    "conflicts.list": reads("conflicts.list", lambda me: me.conflicts.list()),
    # state
    "state.put": Call("state.put", lambda me: me.state.put("k", 1), lambda me: me.state.put(BAD, 1)),
    "state.delete": Call("state.delete", lambda me: me.state.delete("k"), lambda me: me.state.delete(BAD)),
    "state.get": reads("state.get", lambda me: me.state.get("k"), lambda me: me.state.get(BAD)),
    "state.list": reads("state.list", lambda me: me.state.list(), lambda me: me.state.list(limit=0)),
    "state.watch": reads("state.watch", lambda me: me.state.watch(), lambda me: me.state.watch(BAD)),
    "stash": Call("stash", lambda me: me.stash("k", 1), lambda me: me.stash(BAD, 1)),
    "retrieve": reads("retrieve", lambda me: me.retrieve("k"), lambda me: me.retrieve(BAD)),
    # patterns
    "patterns.stage": Call(
        "patterns.stage", lambda me: me.patterns.stage("x", 1), lambda me: me.patterns.stage(BAD, 1)
    ),
    "patterns.get": reads("patterns.get", lambda me: me.patterns.get("p1"), lambda me: me.patterns.get(BAD)),
    "patterns.list": reads("patterns.list", lambda me: me.patterns.list(), lambda me: me.patterns.list(status="odd")),
    "patterns.promote": Call(
        "patterns.promote", lambda me: me.patterns.promote("p1"), lambda me: me.patterns.promote(BAD)
    ),
    "patterns.reject": Call(
        "patterns.reject", lambda me: me.patterns.reject("p1", "why"), lambda me: me.patterns.reject("p1", BAD)
    ),
    "patterns.finish_promotions": Call("patterns.finish_promotions", lambda me: me.patterns.finish_promotions()),
    # signals
    "signals.send": Call(
        "signals.send", lambda me: me.signals.send("ann", "ready"), lambda me: me.signals.send("ann", BAD)
    ),
    "signals.broadcast": Call(
        "signals.broadcast", lambda me: me.signals.broadcast("ready"), lambda me: me.signals.broadcast(BAD)
    ),
    "signals.receive": Call(
        "signals.receive", lambda me: me.signals.receive(), lambda me: me.signals.receive(types=BAD)
    ),
    "signals.listen": reads("signals.receive", lambda me: me.signals.listen(), lambda me: me.signals.listen(types=BAD)),
    "signals.peek": reads("signals.peek", lambda me: me.signals.peek("ann"), lambda me: me.signals.peek(BAD)),
    "signals.status": reads("signals.status", lambda me: me.signals.status("s1"), lambda me: me.signals.status(BAD)),
    # tasks
    "tasks.push": Call("tasks.push", lambda me: me.tasks.push("q"), lambda me: me.tasks.push(BAD)),
    "tasks.claim": Call(
        "tasks.claim", lambda me: me.tasks.claim("q", timeout=0), lambda me: me.tasks.claim(BAD, timeout=0)
    ),
    "tasks.mine": Call("tasks.mine", lambda me: me.tasks.mine()),
    "tasks.get": reads("tasks.get", lambda me: me.tasks.get("t1"), lambda me: me.tasks.get(BAD)),
    "tasks.list": reads("tasks.list", lambda me: me.tasks.list("q", "ready"), lambda me: me.tasks.list("q", "odd")),
    "tasks.results": reads("tasks.results", lambda me: me.tasks.results("b"), lambda me: me.tasks.results(BAD)),
    "tasks.stats": reads("tasks.stats", lambda me: me.tasks.stats("q"), lambda me: me.tasks.stats(BAD)),
    "tasks.queues": reads("tasks.queues", lambda me: me.tasks.queues()),
    "tasks.finished": reads("tasks.finished", lambda me: me.tasks.finished(), lambda me: me.tasks.finished(limit=0)),
    "tasks.retry": Call("tasks.retry", lambda me: me.tasks.retry("t1"), lambda me: me.tasks.retry(BAD)),
    "tasks.remove": Call("tasks.remove", lambda me: me.tasks.remove("t1"), lambda me: me.tasks.remove(BAD)),
    "tasks.trim": Call("tasks.trim", lambda me: me.tasks.trim()),
    # the background service
    "service.start": Call("service.start", lambda me: me.service.start()),
    "service.ask_to_stop": Call(
        "service.start", lambda me: me.service.ask_to_stop(reason="why"), lambda me: me.service.ask_to_stop(reason=BAD)
    ),
    "service.get_status": reads("service.status", lambda me: me.service.get_status()),
    "service.aggregate": reads(
        "service.status", lambda me: me.service.aggregate(queue="q"), lambda me: me.service.aggregate(queue=BAD)
    ),
}

LEFT_OUT = {
    "close": "ends things: from anywhere, as often as one likes",
    "conflicts.contender": "what locks.acquire asks, and no call of a user's",
    "sessions.on_lost": "tells of one's own session, and asks nobody",
    "service.stop": "ends what runs here: from anywhere, as often as one likes",
    "service.wait": "waits for what runs here",
    "tasks.worker": "makes a worker, which claims",
    "tasks.claim_unless": "what a worker asks, and no call of a user's",
}

NOT_CALLS = {
    "diagnose": "`comity doctor`",
    "drop": "`comity drop`",
    "events.commit": "of a subscription",
    "events.read": "the command line reads without a session",
    "locks.release": "of a lease",
    "locks.renew": "of a lease",
    "service.stop": "asked of the session to be stopped",
    "signals.ack": "of a signal",
    "tasks.complete": "of a claim",
    "tasks.fail": "of a claim",
}
"""Actions of the tiers that no call of a coordinator is."""
