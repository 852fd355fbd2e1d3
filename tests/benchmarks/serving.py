"""The background service: what a look at it costs, and how many ends of tasks it adds up in a second."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import redis

import comity
from comity.aggregates import FEED_KEY, batch_key, queue_key
from comity.jobs import Turn
from comity.model import Claimed, ClaimRequest, Retention, StateWrite, TaskPush
from comity.model.service import SERVICE_NAME
from tests.benchmarks.timing import Table, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.servers import Server

ENDS = 1000
PING = "PING (redis-py)"
FEW, MANY = f"{ENDS} ends of 4 queues and 10 batches", f"{ENDS} ends, each of a batch of its own"
MOST_FOR_ENDS = ENDS / 5000
"""Seconds that `ENDS` may take: 5,000 completions a second."""


def serving(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure `get_status()`, and the aggregation of ends that are waiting."""
    tables = []
    for store, url in (("Redis", server.url), ("SQLite", f"sqlite:///{folder / 'bench.db'}")):
        with contextlib.ExitStack() as stack:
            ping = stack.enter_context(contextlib.closing(redis.Redis.from_url(server.url))).ping
            me = stack.enter_context(comity.connect(url, namespace="bench-status", session_ttl=600, service=True))
            other = stack.enter_context(comity.connect(url, namespace="bench-status", auto_announce=False))
            calls: dict[str, Callable[[], object]] = {PING: ping, "get_status()": other.service.get_status}
            tables.append(Table(f"status of the service, {store}", PING, interleaved(calls, int(400 * scale))))
            me.service.stop()
        rounds = max(int(20 * scale), 5)
        with contextlib.closing(redis.Redis.from_url(server.url)) as client:
            for name, batches in ((FEW, 10), (MANY, ENDS)):
                with comity.connect(url, namespace=f"bench-{batches}", session_ttl=600) as me:
                    work = Backlog(me, batches)
                    figures = interleaved({PING: client.ping, name: work.add_up}, rounds, warmup=2, before=work.forget)
                    tables.append(Table(f"aggregation, {store}", PING, figures))
                    me.backend.drop().run(30.0)
    return tables


class Backlog:
    """Ends of tasks that nobody has added up yet, again and again."""

    def __init__(self, me: comity.Coordinator, batches: int) -> None:
        self._me, self._space = me, me._space
        self._keys = [FEED_KEY, *(queue_key(f"q{n}") for n in range(4)), *(batch_key(f"b{n}") for n in range(batches))]
        self._lease = me.locks._stand_for(SERVICE_NAME, 0, "bench", lambda _: None)
        ref = self._space.session.ref
        assert ref is not None
        self._ref, tasks, run = ref, me.backend.tasks, self._space.seam.run
        for number in range(ENDS):
            queue, body = f"q{number % 4}", b'{"size":4096,"lines":120,"words":931,"hash":"0123456789abcdef"}'
            run(tasks.push(TaskPush(self._space.ids(), ref, queue, b"1", batch=f"b{number % batches}")))
            claimed = run(tasks.claim(ClaimRequest(self._space.ids(), ref, (queue,))))
            assert isinstance(claimed, Claimed)
            run(tasks.complete(ref, claimed.request_id, claimed.task.id, claimed.task.token, body, Retention()))

    def forget(self) -> None:
        """Let nothing have been added up."""
        for key in self._keys:
            write = StateWrite(self._space.ids(), self._ref, key)
            self._space.seam.run(self._me.backend.state.delete(write))

    def add_up(self) -> None:
        """Do what a leader does that has just begun."""
        job, taken = self._job(), 0
        while taken < ENDS:
            turn = Turn(self._me, self._lease, lambda: False)
            job.run(turn)
            taken += turn.counts["aggregated"]

    def _job(self) -> Any:
        from comity._sync.service.aggregating import Aggregating
        from comity._sync.service.records import Records

        return Aggregating(self._space, Records(self._space, self._lease))


def too_slow(tables: Iterable[Table]) -> list[str]:
    """Return the aggregations that would not keep up with 5,000 completions a second."""
    return [
        f"{table.title}: {name} took {figure.median:.3f} s"
        for table in tables
        for name, figure in table.figures.items()
        if name in (FEW, MANY) and figure.median > MOST_FOR_ENDS
    ]
