"""Another server takes over while locks are in use: what asynchronous replication can lose is lost, and nothing else.

Behind Sentinels a primary dies, stops, or is replaced by hand; in a cluster a node does, or a slot moves. Sessions
go on, waiters get their turn, tokens grow, and a turn that overlaps the next is one whose holder was told of its loss.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from tests.processes import checkers, traffic
from tests.processes.history import Place, told
from tests.topologies import SERVICE, ClusterGroup, SentinelGroup
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Servers

AGENTS = ["agent 0", "agent 1", "agent 2", "agent 3"]
_OPTIONS: dict[str, Any] = {"session_ttl": 20.0, "heartbeat_interval": 1.0, "deadline": 15.0}


class Load:
    """Sessions that take turns on one name, one that holds another, and one that waits for that."""

    def __init__(self, url: str, folder: Path) -> None:
        self.namespace = f"over-{uuid.uuid4().hex[:8]}"
        self._url, self._folder = url, folder
        self._backends: list[RedisBackend] = []
        self._sessions: dict[str, comity.Coordinator] = {}
        for name in (*AGENTS, "holder", "waiter"):
            self._backends.append(RedisBackend.from_url(url, self.namespace))
            self._sessions[name] = comity.connect(self._backends[-1], agent_id=name, **_OPTIONS)
        self.holder, self.waiter = self._sessions["holder"], self._sessions["waiter"]
        self.lease = self.holder.locks.acquire("kept")

    def run(self, strike: Callable[[], None]) -> None:
        """Let them work, `strike` when all are at it, go on until all are at it again, and check what they did."""
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        begins = time.monotonic()

        def contend(name: str) -> dict[str, Any]:
            with Place(folder) as place:
                return traffic.contend(self._sessions[name], place, "x", begins)

        def wait() -> comity.Lease:
            return self.waiter.locks.acquire("kept", timeout=traffic.PATIENCE)

        with Place(folder) as place, ThreadPoolExecutor(len(AGENTS) + 1) as pool:
            answers = [pool.submit(contend, name) for name in AGENTS]
            waiting = pool.submit(wait)
            try:
                self._until_all_went_on(place)
                strike()
                self._until_all_went_on(place)
            finally:
                place.stop()
            assert [answer for each in answers if (answer := each.result())["wrong"]] == []
            self._judge(place)
            if not self.lease.lost:
                assert not waiting.done()
                assert self.lease.release()
            handed = waiting.result(traffic.PATIENCE)
            assert handed.token > self.lease.token
            assert handed.release() or handed.lost
        self._nothing_stays()
        self.lease = self.holder.locks.acquire("kept", timeout=traffic.PATIENCE)

    @staticmethod
    def _until_all_went_on(place: Place) -> None:
        """Wait until each agent has had five turns more."""
        since = time.monotonic_ns()
        until(lambda: checkers.idle(place.turns(), AGENTS, since, 5) == [], 60.0, every=0.05)

    @staticmethod
    def _judge(place: Place) -> None:
        turns = place.turns()
        lost = [turn for turn in turns if turn.ended_ns is not None and not turn.kept]
        assert len(lost) <= len(AGENTS)  # at most one grant of each may be on its way
        assert checkers.overlaps(turns) == []
        assert checkers.disorder([turn for turn in turns if turn.kept]) == []

    def _nothing_stays(self) -> None:
        """What a fail-over brought back is given up again by the next heartbeats."""
        until(lambda: [*self.holder.locks.held(), *self.holder.locks.contenders("x")] == [])
        until(lambda: {session.liveness for session in self._sessions.values()} == {comity.Liveness.LIVE})
        assert checkers.told_wrongly(told(self.holder), ended=[], living=[*self._sessions]) == []

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        for backend in self._backends:
            backend.close()


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[[str], Load]]:
    opened: list[Load] = []

    def begin(url: str) -> Load:
        opened.append(Load(url, tmp_path))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def kill(group: SentinelGroup) -> None:
    group.fail_over()


def stop(group: SentinelGroup) -> None:
    """Stop the primary until another has taken over; then it runs again, and takes itself for the primary."""
    old = group.primary
    os.kill(old.pid, signal.SIGSTOP)
    try:
        with group.hasty():
            group.await_another(old)
    finally:
        os.kill(old.pid, signal.SIGCONT)


def replace(group: SentinelGroup) -> None:
    """Have the Sentinels replace a primary that is well: it takes writes for 10 s more."""
    old = group.primary
    with group.sentinels[0].client() as client:
        client.execute_command("SENTINEL", "FAILOVER", SERVICE)
    group.await_another(old)


@rule("X11", "L1", "L2")
def test_a_primary_that_dies_costs_latency_and_the_last_writes_at_most(
    redis_servers: Servers, load: Callable[[str], Load]
) -> None:
    group = redis_servers.group(SentinelGroup, "7.0")
    group.settle()
    load(group.url).run(lambda: kill(group))


@rule("X11", "L1", "L2")
def test_a_slot_that_moves_to_and_fro_costs_latency_only(redis_servers: Servers, load: Callable[[str], Load]) -> None:
    cluster = redis_servers.group(ClusterGroup, "7.0")
    began = load(cluster.url)

    def move() -> None:
        for _ in range(5):
            cluster.move(began.namespace, cluster.another(began.namespace))
            time.sleep(0.1)

    began.run(move)


@rule("X11", "L1", "L2")
@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
@pytest.mark.parametrize("fault", [kill, stop, replace])
def test_whatever_befalls_a_primary_sessions_go_on(
    fault: Callable[[SentinelGroup], None], version: str, redis_servers: Servers, load: Callable[[str], Load]
) -> None:
    group = redis_servers.group(SentinelGroup, version)
    for _ in range(2):
        group.settle()
        load(group.url).run(lambda: fault(group))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_a_grant_that_replicas_have_confirmed_survives_the_primary(version: str, redis_servers: Servers) -> None:
    group = redis_servers.group(SentinelGroup, version)
    for number in range(3):
        group.settle()
        backend = RedisBackend.from_url(f"{group.url}?wait_replicas=2", f"kept-{number}-{uuid.uuid4().hex[:6]}")
        with comity.connect(backend, agent_id="me", **_OPTIONS) as me:
            leases = [me.locks.acquire(f"{name}") for name in range(20)]
            kill(group)  # at once after the last answer
            me.beat()
            assert [lease for lease in leases if lease.lost] == []
            assert all(lease.release() for lease in leases)
        backend.close()


@rule("X11", "L1", "L2")
@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_whatever_befalls_a_node_sessions_go_on(
    version: str, redis_servers: Servers, load: Callable[[str], Load]
) -> None:
    cluster = redis_servers.alone(ClusterGroup(version, replicas=1))
    began = load(cluster.url)
    first, replica = cluster.nodes[0], cluster.nodes[3]
    if cluster.owner(began.namespace) is not first:
        cluster.move(began.namespace, first)

    def hand_over() -> None:
        with replica.client() as client:
            client.execute_command("CLUSTER", "FAILOVER")
        cluster.await_owner(began.namespace, replica)

    def die() -> None:
        with first.client() as client:
            client.client_unpause()  # 6.2 keeps a node that handed over from writing for 10 s (redis/redis#10985)
        replica.kill()
        cluster.await_owner(began.namespace, first)

    began.run(lambda: cluster.owner(began.namespace).restart())
    began.run(hand_over)
    began.run(die)
