"""Tasks: what each call costs, a queue between two processes beside the peers', many workers, many finished tasks."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import redis

import comity
from tests.benchmarks.peers import EMBEDDED, OURS
from tests.benchmarks.timing import Figure, Table, interleaved, shuffled
from tests.benchmarks.working import Pusher, Workshop, installed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

PING = "PING (redis-py)"
FEW, MANY = 100, 10_000


def _claimed(me: comity.Coordinator, queue: str = "q") -> comity.Claim:
    claim = me.tasks.claim(queue, timeout=0)
    assert claim is not None
    return claim


def calls(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure push, claim and complete by one process, nobody else about."""
    with (
        contextlib.closing(redis.Redis.from_url(server.url)) as client,
        comity.connect(server.url, namespace="bench-calls", max_held=10_000) as me,
        comity.connect(f"sqlite:///{folder / 'bench.db'}", namespace="bench-calls", max_held=10_000) as embedded,
    ):
        claims: dict[str, list[comity.Claim]] = {OURS: [], EMBEDDED: []}

        def claim(name: str, who: comity.Coordinator) -> None:
            claims[name].append(_claimed(who))

        def cycle(who: comity.Coordinator) -> None:
            who.tasks.push("cycle", {"n": 1})
            _claimed(who, "cycle").complete({"n": 1})

        timed: dict[str, Callable[[], object]] = {PING: client.ping}
        rounds = {name: {**timed} for name in ("push", "claim", "complete", "push + claim + complete")}
        for name, who in ((OURS, me), (EMBEDDED, embedded)):
            rounds["push"][name] = lambda who=who: who.tasks.push("q", {"n": 1})  # type: ignore[misc]
            rounds["claim"][name] = lambda name=name, who=who: claim(name, who)  # type: ignore[misc]
            rounds["complete"][name] = lambda name=name: claims[name].pop().complete({"n": 1})  # type: ignore[misc]
            rounds["push + claim + complete"][name] = lambda who=who: cycle(who)  # type: ignore[misc]
        count = int(1000 * scale)
        return [Table(f"tasks: {what}", PING, interleaved(each, count)) for what, each in rounds.items()]


def two_processes(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure a queue between this process, which pushes, and one that works, beside those of the peers."""
    urls = {OURS: server.url, EMBEDDED: f"sqlite:///{folder / 'bench.db'}", **dict.fromkeys(installed(), server.url)}
    per_task: dict[str, list[float]] = {name: [] for name in urls}
    alone: dict[str, list[float]] = {name: [] for name in urls}
    batch = 100
    with contextlib.ExitStack() as stack:
        pushers: dict[str, Any] = {}
        shops: dict[str, Workshop] = {}
        for name, url in urls.items():
            pushers[name] = stack.enter_context(contextlib.closing(Pusher(name, url)))
            shops[name] = stack.enter_context(contextlib.closing(Workshop(name, url)))
            pushers[name].push(True)
            shops[name].answer()
        for number in range(2 + max(int(20 * scale), 3)):
            for name in shuffled(list(urls), number):
                begun = time.monotonic()
                for left in reversed(range(batch)):
                    pushers[name].push(left == 0)
                per_task[name].append((shops[name].answer() - begun) / batch)
        for number in range(2 + max(int(100 * scale), 3)):
            for name in shuffled(list(urls), number):
                time.sleep(0.02)  # so that whoever polls is met between two looks
                begun = time.monotonic()
                pushers[name].push(True)
                alone[name].append(shops[name].answer() - begun)
    return [
        Table(
            f"tasks: {batch} through a queue to one worker of another process, per task",
            OURS,
            {name: Figure.of(seconds[2:]) for name, seconds in per_task.items()},
        ),
        Table(
            "tasks: one to an idle worker of another process, push() to done",
            OURS,
            {name: Figure.of(seconds[2:]) for name, seconds in alone.items()},
        ),
    ]


def scaling(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure how long a task takes with 1 to 16 working processes, and how busy the server is meanwhile."""
    del folder
    total = max(int(6000 * scale), 500)
    figures = {}
    for count in (1, 2, 4, 8, 16):
        with contextlib.ExitStack() as stack:
            url, namespace = server.url, f"bench-scaling-{count}"
            me = stack.enter_context(comity.connect(url, namespace=namespace))
            for _ in range(count):
                stack.enter_context(contextlib.closing(Workshop(f"scaling:{namespace}", url)))
            for _ in range(total):
                me.tasks.push("waits", 1)
            while len(me.sessions.active()) <= count:
                time.sleep(0.01)
            busy, begun = server_seconds(server), time.monotonic()
            for _ in range(count):
                me.tasks.push("start", 1)
            while me.tasks.stats("waits").done < total:
                time.sleep(0.01)
            took, busy = time.monotonic() - begun, server_seconds(server) - busy
            share = f"server {100 * busy / took:.0f} %"
            name = f"{count} workers ({share}, {total / took:.0f} tasks/s)"
            figures[name] = Figure(took / total, took / total, total)
    return [Table("tasks: claim + complete, by the number of workers", next(iter(figures)), figures)]


def server_seconds(server: Server) -> float:
    """Return the processor time that the server has used."""
    with server.client() as client:
        used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def finished(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure with 100 and with 10,000 finished tasks in the queue."""
    tables = []
    for name, url in ((OURS, server.url), (EMBEDDED, f"sqlite:///{folder / 'bench.db'}")):
        with contextlib.ExitStack() as stack:
            calls: dict[str, dict[str, Callable[[], object]]] = {}
            for kept in (FEW, MANY):
                me = stack.enter_context(comity.connect(url, namespace=f"bench-{kept}"))
                for number in range(kept):
                    me.tasks.push("q", number, batch="b")
                    _claimed(me).complete(number)
                task = me.tasks.push("other")
                position = me.tasks.finished(limit=kept - 50).position

                def cycle(me: comity.Coordinator = me) -> None:
                    me.tasks.push("q", 1)
                    _claimed(me).complete(1)

                each: dict[str, Callable[[], object]] = {
                    "push + claim + complete": cycle,
                    "stats": lambda me=me: me.tasks.stats("q"),  # type: ignore[misc]
                    "get": lambda me=me, task=task: me.tasks.get(task.id),  # type: ignore[misc]
                    "list, 20 done": lambda me=me: me.tasks.list("q", "done", limit=20),  # type: ignore[misc]
                    "results, 20": lambda me=me: me.tasks.results("b", limit=20),  # type: ignore[misc]
                    "finished, 50": lambda me=me, at=position: me.tasks.finished(at, limit=50),  # type: ignore[misc]
                }
                for what, call in each.items():
                    calls.setdefault(what, {})[f"{kept} finished"] = call
            for what, both in calls.items():
                figures = interleaved(both, int(500 * scale))
                tables.append(Table(f"{name}: {what}", f"{FEW} finished", figures))
    return tables


def following(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure reading 1,000 ends at a time, per end: at 5,000 completions a second there are 200 us for each."""
    figures = {}
    for name, url in ((OURS, server.url), (EMBEDDED, f"sqlite:///{folder / 'bench.db'}")):
        with comity.connect(url, namespace="bench-following") as me:
            for number in range(1000):
                me.tasks.push("q", number)
                _claimed(me).complete({"n": number})
            (figure,) = interleaved({name: me.tasks.finished}, int(100 * scale), warmup=2).values()
            figures[name] = Figure(figure.median / 1000, figure.p99 / 1000, figure.calls)
    return [Table("tasks: reading ends, per end", OURS, figures)]
