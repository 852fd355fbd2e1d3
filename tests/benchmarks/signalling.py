"""From the call of send() to the recipient having the signal; also as the recipient's process.

``python -m tests.benchmarks.signalling NAME URL`` prints, for each signal it is sent, when it had it.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

import comity
from tests.benchmarks import peers
from tests.benchmarks.peers import EMBEDDED, OURS, SEED, present
from tests.benchmarks.timing import Figure, Table, interleaved, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server

ROOT = Path(__file__).resolve().parents[2]
PEER = "bare RPUSH to BLPOP (redis-py)"
_LONGEST = 30.0
_BENCH = "bench-signals"


class Recipient:
    """A process that waits for signals."""

    def __init__(self, kind: str, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.signalling", kind, url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def answer(self) -> float:
        """Return when it had the next signal, on the monotonic clock that all processes share."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _LONGEST)
        assert ready, "no answer"
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def delivery(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure from send() in this process to receive() returning in another one."""
    urls = {OURS: server.url, EMBEDDED: f"sqlite:///{folder / 'bench.db'}", PEER: server.url}
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    with contextlib.ExitStack() as stack:
        senders: dict[str, Callable[[], object]] = {}
        recipients: dict[str, Recipient] = {}
        for name, url in urls.items():
            recipients[name] = stack.enter_context(contextlib.closing(Recipient(name, url)))
            if name == PEER:
                client = stack.enter_context(contextlib.closing(redis.Redis.from_url(url)))
                senders[name] = lambda client=client: client.rpush(_BENCH, "x")  # type: ignore[misc]
            else:
                me = stack.enter_context(comity.connect(url, namespace=_BENCH, agent_id="sender"))
                senders[name] = lambda me=me: me.signals.send("recipient", "note", {"n": 1})  # type: ignore[misc]
        warmup = 10
        for number in range(warmup + int(300 * scale)):
            for name in shuffled(list(urls), number):
                time.sleep(0.01)  # it waits again
                begun = time.monotonic()
                senders[name]()
                took = recipients[name].answer() - begun
                if number >= warmup:
                    seconds[name].append(took)
    figures = {name: Figure.of(found) for name, found in seconds.items()}
    return [Table("signal, send() to the recipient in another process having it", PEER, figures)]


EXPIRED = (10, 1000)


def cycles(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure send + receive + ack, beside few and many expired signals and departed sessions."""
    tables = []
    for store, url in (("Redis", server.url), ("SQLite", f"sqlite:///{folder / 'cycles.db'}")):
        with contextlib.ExitStack() as stack:
            calls: dict[str, Callable[[], object]] = {}
            for count in EXPIRED:
                me = stack.enter_context(comity.connect(url, namespace=f"{_BENCH}-{count}", session_ttl=600))
                for number in range(count):
                    me.signals.send(f"nobody {number}", "note", ttl=0.001, allow_offline=True)
                for number in range(count // 50):
                    comity.connect(url, namespace=me.namespace, agent_id=f"left {number}").close()
                calls[f"beside {count} expired"] = lambda me=me: cycle(me)  # type: ignore[misc]
            if store == "Redis" and present([SEED]):
                seed = stack.enter_context(peers.seed(url))
                calls[f"{SEED}, send + receive"] = lambda seed=seed: seed_cycle(seed)  # type: ignore[misc]
            tables.append(
                Table(f"send + receive + ack, {store}", "beside 10 expired", interleaved(calls, int(1000 * scale)))
            )
    return tables


def cycle(me: comity.Coordinator) -> None:
    """Send oneself a signal, receive and acknowledge it."""
    me.signals.send(me.agent_id, "note", {"n": 1})
    (signal,) = me.signals.receive()
    signal.ack()


def seed_cycle(seed: Any) -> None:
    """Do the same in the way of the seed, which cannot acknowledge: the signal is there until it expires."""
    memory, me = seed._memory, seed.credentials
    memory.send_signal("note", {"n": 1}, me, target_agent=me.agent_id)
    assert memory.receive_signals(me)


def had(kind: str, url: str) -> Iterator[Any]:
    """Yield once for each signal."""
    if kind == PEER:
        client = redis.Redis.from_url(url)
        yield None
        yield from (client.blpop([_BENCH], timeout=_LONGEST) for _ in itertools.count())
    with comity.connect(url, namespace=_BENCH, agent_id="recipient") as me:
        yield None
        while True:
            for signal in me.signals.receive(timeout=None):
                yield signal
                signal.ack()


if __name__ == "__main__":
    for _ in had(*sys.argv[1:]):
        print(time.monotonic(), flush=True)
