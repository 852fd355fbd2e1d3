"""What a crash costs those who wait: the holder's, and that of the next in line."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import redis

from tests.benchmarks.crowd import Member
from tests.benchmarks.goals import Goal
from tests.benchmarks.locking import addresses
from tests.benchmarks.peers import OURS, PYTHON_REDIS_LOCK, REDIS_PY
from tests.benchmarks.timing import Figure, Table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

PAIRS = 16
LEASE = 1.0
_QUEUED = 0.03


def holder(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure from the end of a killed holder's lease, by the server, to the next process holding."""
    figures = {}
    for kind in addresses(server, folder, (OURS, PYTHON_REDIS_LOCK, REDIS_PY)):
        rounds = max(int(4 * scale), 1) if kind == OURS else 1
        figures[kind] = Figure.of([took for number in range(rounds) for took in _takeovers(server, kind, number)])
    table = Table("holder killed: end of its lease to the next process holding", OURS, figures)
    return [table.aim(Goal("holder killed: lease end to new holder", "p99", figures[OURS].p99 * 1e3, 20, "ms"))]


def _takeovers(server: Server, kind: str, number: int) -> list[float]:
    with contextlib.ExitStack() as stack, contextlib.closing(redis.Redis.from_url(server.url)) as client:

        def members(who: str, ttl: float) -> list[Member]:
            found = [
                stack.enter_context(
                    contextlib.closing(
                        Member(
                            kind,
                            server.url,
                            f"dies-{place}",
                            namespace=f"bench-dies-{number}-{place}",
                            ttl=ttl,
                            agent_id=who,
                        )
                    )
                )
                for place in range(PAIRS)
            ]
            for member in found:
                member.answer()
            return found

        heirs, holders = members("heir", 30.0 if kind == OURS else LEASE), members("holder", LEASE)
        ends: list[float] = []
        for place, (dies, heir) in enumerate(zip(holders, heirs, strict=True)):
            time.sleep(0.03)  # so that the ends of their leases do not fall together
            dies.ask("take")
            dies.answer()
            heir.ask("take")
            time.sleep(_QUEUED)
            dies.kill()
            ends.append(_end(client, kind, number, place))
        offset = time.time() - time.monotonic()
        return [max(0.0, heir.answer()[0] + offset - end) for heir, end in zip(heirs, ends, strict=True)]


def _end(client: Any, kind: str, number: int, place: int) -> float:
    """Return when a holder's lease ends, by the server's clock, which is this machine's."""
    if kind == OURS:
        live = client.zrange(f"comity:{{bench-dies-{number}-{place}}}:live", 0, -1, withscores=True)
        return next(float(score) / 1000 for member, score in live if member.startswith(b"holder\x1f"))
    key = f"lock:bench:prl:dies-{place}" if kind == PYTHON_REDIS_LOCK else f"bench:redis-py:dies-{place}"
    left = client.pttl(key)
    return time.time() + float(left) / 1000


def waiter(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure from the call of release() to the second in line holding, the first having been killed."""
    del folder
    seconds = []
    for number in range(max(int(40 * scale), 5)):
        options = {"namespace": f"bench-gone-{number}"}
        with contextlib.ExitStack() as stack:
            holds, dies, heir = (
                stack.enter_context(contextlib.closing(Member(OURS, server.url, "x", **options))) for _ in range(3)
            )
            for member in (holds, dies, heir):
                member.answer()
            holds.ask("take")
            holds.answer()
            for member in (dies, heir):
                member.ask("take")
                time.sleep(_QUEUED)
            dies.kill()
            time.sleep(_QUEUED)  # the server has seen its connections end
            holds.ask("give")
            _, given = holds.answer()
            had, _ = heir.answer()
            seconds.append(had - given)
    table = Table("first waiter killed: release() to the second one holding", OURS, {OURS: Figure.of(seconds)})
    what = "waiter killed: the next one owns after the release"
    return [table.aim(Goal(what, "p99", table.figures[OURS].p99 * 1e3, 5, "ms"))]
