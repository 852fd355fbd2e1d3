"""What a step costs the server, by how many sessions live and how many foreign keys lie beside them: its own CPU time.

Processor time and not time of day, so that a busy machine does not count. Sessions are simulated: announced by one
process, which beats for them.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
from typing import TYPE_CHECKING, Any

import attrs

from comity.testing.kit import Stage
from comity.testing.kit.work import a_push
from comity_redis import RedisBackend
from comity_redis.keys import Keys
from tests.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from comity.model import SessionRef
    from tests.servers import Server

SIZES = (100, 1_000, 10_000, 100_000)
FOREIGN = 100_000
"""Keys of other programs in the same database."""
BLOCK = 50
"""Steps between two looks at the clock."""
MOST = 1.3
"""How much more a step may cost among the most sessions than among the fewest."""
_TTL = 86_400.0


@attrs.frozen
class Crowd:
    """Some number of live sessions: microseconds of the server's CPU per step, and bytes."""

    sessions: int
    cost: Mapping[str, float]
    bytes_each: float

    @property
    def heartbeats(self) -> float:
        """How many heartbeats one core of the server carries in a second."""
        return 1e6 / self.cost["heartbeat"]


def cpu(client: Any) -> float:
    """Return the seconds of processor time that the server's main thread has used."""
    used = client.info("cpu")
    return float(used["used_cpu_user_main_thread"]) + float(used["used_cpu_sys_main_thread"])


def weight(client: Any, stage: Stage, *keys: str) -> int:
    """Return the bytes that some keys of the namespace take."""
    named = Keys(stage.namespace)
    return sum(client.memory_usage(named[key], samples=0) or 0 for key in keys)


def steps(stage: Stage, sessions: list[SessionRef], draw: random.Random) -> dict[str, Callable[[], object]]:
    """Return the steps that are measured, each by a session drawn anew."""
    backend = stage.backend

    def one() -> SessionRef:
        return draw.choice(sessions)

    def lock() -> object:
        request = stage.request(one(), f"file-{draw.randrange(1000)}")
        stage.acquire(request)
        return stage.release(request)

    return {
        "heartbeat": lambda: backend.presence.heartbeat(one(), 0).run(5),
        "acquire + release": lock,
        "get": lambda: backend.presence.get(one().agent_id).run(5),
        "publish": lambda: stage.publish("news", b'{"ok":true}', session=one()),
        "put": lambda: stage.put(one(), f"key-{draw.randrange(1000)}", b'"value"'),
        "push": lambda: backend.tasks.push(a_push(stage, one(), "work")).run(5),
    }


def crowds(server: Server, sizes: tuple[int, ...] = SIZES, rounds: int = 2000, foreign: int = FOREIGN) -> list[Crowd]:
    """Fill a namespace for each size, then measure in all of them in turn; of each cost the median of many blocks."""
    draw = random.Random(7)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(server.client())
        with client.pipeline(transaction=False) as pipe:
            for number in range(foreign):
                pipe.set(f"foreign:{number}", "x" * 20)
            pipe.execute()
        each: dict[int, float] = {}
        every: dict[int, dict[str, Callable[[], object]]] = {}
        for size in sizes:
            stage = stack.enter_context(
                contextlib.closing(Stage(lambda name: RedisBackend.from_url(server.url, name), "sync"))
            )
            agents = (f"claude_20260120153000_{number:06d}" for number in range(size))
            sessions = [stage.session(agent_id, _TTL, capabilities=("review",)) for agent_id in agents]
            each[size] = weight(client, stage, "live", "leases", "records") / size
            every[size] = steps(stage, sessions, draw)
        taken: dict[tuple[int, str], list[float]] = {(size, name): [] for size in sizes for name in every[size]}
        for _ in range(rounds // BLOCK):
            for size, name in draw.sample(list(taken), len(taken)):
                before = cpu(client)
                for _ in range(BLOCK):
                    every[size][name]()
                taken[size, name].append((cpu(client) - before) / BLOCK * 1e6)
        return [
            Crowd(size, {name: statistics.median(taken[size, name]) for name in every[size]}, each[size])
            for size in sizes
        ]


def bytes_of_a_lock(server: Server, locks: int = 10_000) -> float:
    """Return the server's memory for one held lock, of 100 sessions that hold as many each."""
    stage = Stage(lambda name: RedisBackend.from_url(server.url, name), "sync")
    with contextlib.closing(stage), server.client() as client:
        sessions = [stage.session(ttl=_TTL) for _ in range(100)]
        for number in range(locks):
            stage.hold(sessions[number % 100], f"src/module_{number:05d}.py")
        return weight(client, stage, "locks", "own") / locks


def ratios(found: list[Crowd]) -> dict[str, float]:
    """Return by how much each step costs more among the most sessions than among the fewest."""
    return {name: found[-1].cost[name] / found[0].cost[name] for name in found[0].cost}


def markdown(found: list[Crowd]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"| live sessions | {' | '.join(f'{name}, us' for name in found[0].cost)} | bytes a session |",
        f"| ---: |{' ---: |' * (len(found[0].cost) + 1)}",
    ]
    for crowd in found:
        costs = " | ".join(f"{us:.1f}" for us in crowd.cost.values())
        lines.append(f"| {crowd.sessions:,} | {costs} | {crowd.bytes_each:.0f} |")
    lines.append(f"| most / fewest | {' | '.join(f'{ratio:.2f}' for ratio in ratios(found).values())} | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.crowding", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="how many sessions at most")
    parser.add_argument("--rounds", type=int, default=2000, help="how many steps of each kind are measured")
    options = parser.parse_args()
    servers = Servers()
    try:
        found = crowds(servers.start(), tuple(size for size in SIZES if size <= options.most), options.rounds)
        print(markdown(found))
        print(f"\nheartbeats a second on one core: {found[-1].heartbeats:,.0f}")
        print(f"bytes of a held lock: {bytes_of_a_lock(servers.start()):.0f}")
    finally:
        servers.close()


if __name__ == "__main__":
    main()
