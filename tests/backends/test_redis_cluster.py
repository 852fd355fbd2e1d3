"""A cluster: the node that serves a namespace, and following it when its slot moves, also in the middle of moving."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

import comity
from comity.errors import BackendUnavailable, BackendUnfit
from comity.seam import Seam
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from comity_redis.address import Address
from comity_redis.keys import Keys
from comity_redis.replies import ErrorReply
from comity_redis.routes import route_to
from comity_redis.runner import RedisRunner
from tests.backends import mute
from tests.backends.calls import ask, echo
from tests.servers import free_port
from tests.topologies import ClusterGroup
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_redis.op import RedisOp
    from tests.servers import Server, Servers

VERSIONS = ["7.0", pytest.param("6.2", marks=pytest.mark.slow), pytest.param("8.2", marks=pytest.mark.slow)]


@pytest.fixture(params=VERSIONS)
def cluster(request: pytest.FixtureRequest, redis_servers: Servers) -> ClusterGroup:
    return redis_servers.group(ClusterGroup, request.param)


@pytest.fixture
def space() -> str:
    """A namespace of the test's own; its keys are tagged with it."""
    return f"n{secrets.token_hex(6)}"


@pytest.fixture
def runner(cluster: ClusterGroup, space: str) -> Iterator[RedisRunner]:
    runner = RedisRunner(route_to(cluster.url, Keys(space)))
    yield runner
    runner.close()


@pytest.fixture
def backend(cluster: ClusterGroup, space: str) -> Iterator[RedisBackend]:
    backend = RedisBackend.from_url(cluster.url, space)
    yield backend
    backend.close()


def in_colour(colour: str, runner: RedisRunner, op: RedisOp[Any], seconds: float = 5.0) -> Any:
    """Perform an op with a seam's patience."""
    seam = Seam(seconds)

    async def perform() -> Any:
        try:
            return await seam.arun(op)
        finally:
            pool = runner._loops.pop(asyncio.get_running_loop())
            gone = [wire.gone for wire in pool.wires]
            pool.close()
            if gone:
                await asyncio.wait(gone)

    return asyncio.run(perform()) if colour == "async" else seam.run(op)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_node_is_found_from_any_other_and_whichever_seeds_are_dead_or_silent(
    colour: str, cluster: ClusterGroup, space: str
) -> None:
    with mute.silent() as silent:
        dead = f"127.0.0.1:{free_port()},{silent.removeprefix('redis://').removesuffix('/0')}"
        seed = cluster.another(space)
        runner = RedisRunner(route_to(f"redis+cluster://{dead},127.0.0.1:{seed.port}", Keys(space)))
        assert in_colour(colour, runner, ask(runner, "SET", f"{{{space}}}a", "1"), 2.0) == b"OK"
        runner.close()
    with cluster.owner(space).client() as client:
        assert client.get(f"{{{space}}}a") == b"1"


def test_a_server_that_is_no_cluster_is_said_to_be_none(redis_server: Server) -> None:
    runner = RedisRunner(route_to(f"redis+cluster://127.0.0.1:{redis_server.port}", Keys("n")))
    with pytest.raises(BackendUnfit, match="it is no cluster: write redis://"):
        ask(runner, "PING").run(5)
    runner.close()


def test_a_plain_url_of_a_cluster_says_what_to_write(cluster: ClusterGroup, space: str) -> None:
    runner = RedisRunner(Address.parse(cluster.another(space).url))
    with pytest.raises(BackendUnfit, match=r"it is a cluster: write redis\+cluster://"):
        ask(runner, "GET", f"{{{space}}}a").run(5)
    runner.close()


def test_nodes_that_point_to_each_other_are_followed_a_few_times_only() -> None:
    with mute.scripted(b"-MOVED 1 127.0.0.1:1\r\n") as first:
        port = int(first.rpartition(":")[2].removesuffix("/0"))
        route = route_to(f"redis+cluster://127.0.0.1:{port}", Keys("n"))
        assert route.pointed(ErrorReply("MOVED 1 127.0.0.1:7")) is not None
        assert route.pointed(ErrorReply("ERR Error running script: MOVED 1 :8")) is not None
        assert route.address.place == ("127.0.0.1", 8)  # no host: the one that answered
        assert route.pointed(ErrorReply("MOVED 1 [::1]:9")) is not None
        assert route.address.place == ("::1", 9)
        assert route.pointed(ErrorReply("TRYAGAIN Multiple keys request during rehashing of slot")) is None


def test_a_clients_cluster_is_used_and_its_connections_are_left_alone(cluster: ClusterGroup, space: str) -> None:
    client = redis.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port)
    backend = RedisBackend.from_client(client, space)
    with comity.connect(backend) as me:
        assert me.locks.acquire("x").release()
    backend.close()
    assert client.ping()
    client.close()


@rule("X11")
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_moved_slot_is_followed_within_the_call(
    colour: str, cluster: ClusterGroup, runner: RedisRunner, space: str
) -> None:
    key = f"{{{space}}}a"

    async def main() -> None:
        for number in range(3):
            op = ask(runner, "INCR", key)
            assert (await op.arun(5) if colour == "async" else op.run(5)) == number + 1
            cluster.move(space, cluster.another(space))
        await runner.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_key_that_has_gone_ahead_is_asked_for_at_its_new_node(
    colour: str, cluster: ClusterGroup, runner: RedisRunner, space: str
) -> None:
    key = f"{{{space}}}a"
    in_colour("sync", runner, ask(runner, "SET", key, "1"))
    source = cluster.owner(space)
    with cluster.moving(space, cluster.another(space)) as migrate:
        migrate()
        assert in_colour(colour, runner, ask(runner, "INCR", key)) == 2
        assert in_colour(colour, runner, echo(runner, key))[0] == key.encode()  # a script the target does not know
        assert runner.route.address.place[1] == source.port  # it still serves all that has not gone
    assert in_colour("sync", runner, ask(runner, "GET", key)) == b"2"


@rule("X1", "X11")
def test_a_step_on_keys_of_both_sides_waits_until_they_are_together(
    cluster: ClusterGroup, backend: RedisBackend, space: str
) -> None:
    with comity.connect(backend, agent_id="ann") as ann:
        done: list[comity.Lease] = []
        with cluster.moving(space, cluster.another(space)):
            thread = threading.Thread(target=lambda: done.append(ann.locks.acquire("x", timeout=0)))
            thread.start()
            time.sleep(0.1)
            assert done == []
        thread.join(5)
        assert [lease.lost for lease in done] == [False]


def test_a_slot_that_takes_too_long_is_an_outage_not_an_error_of_the_server(
    cluster: ClusterGroup, backend: RedisBackend, space: str
) -> None:
    with comity.connect(backend, agent_id="ann", deadline=0.2) as ann:
        with cluster.moving(space, cluster.another(space)), pytest.raises(BackendUnavailable, match="TRYAGAIN"):
            ann.locks.acquire("x", timeout=0)
        assert ann.locks.acquire("x", timeout=0).release()


@rule("L6")
def test_listeners_move_with_the_slot_and_are_seen_there(
    cluster: ClusterGroup, runner: RedisRunner, space: str
) -> None:
    listener = runner.listener()
    channel = Keys(space).ear("me")
    listener.subscribe(channel)
    until(lambda: listener.next(0.05))
    source, target = cluster.owner(space), cluster.another(space)
    with source.client() as client:
        assert client.pubsub_numsub(channel) == [(channel, 1)]
        newer = client.info("server")["redis_version"] >= "7"
    cluster.move(space, target)
    if not newer:  # 6.2 tells listeners nothing: the next step does
        in_colour("sync", runner, ask(runner, "GET", f"{{{space}}}a"))
    started = time.monotonic()
    until(lambda: (channel,) in listener.next(0.05))
    assert time.monotonic() - started < 1
    with target.client() as client:
        assert client.pubsub_numsub(channel) == [(channel, 1)]
    with source.client() as client:
        until(lambda: client.pubsub_numsub(channel) == [(channel, 0)])
    listener.close()


@rule("L5", "L6")
def test_a_waiter_is_handed_the_lock_wherever_the_slot_is(
    cluster: ClusterGroup, backend: RedisBackend, space: str
) -> None:
    with comity.connect(backend, agent_id="ann") as ann, comity.connect(backend, agent_id="bob") as bob:
        tokens = []
        for _ in range(2):
            lease = ann.locks.acquire("x")
            waited: list[comity.Lease] = []
            thread = threading.Thread(target=lambda got: got.append(bob.locks.acquire("x", timeout=10)), args=(waited,))
            thread.start()
            until(lambda: ann.locks.contenders("x"))
            cluster.move(space, cluster.another(space))
            assert ann.locks.holders("x")[0].token == lease.token
            assert [each.agent_id for each in ann.locks.contenders("x")] == ["bob"]
            assert lease.release()
            thread.join(5)
            tokens += [lease.token, waited[0].token]
            assert waited[0].release()
        assert tokens == sorted(set(tokens))


@rule("X8")
def test_many_namespaces_live_on_all_nodes_and_share_nothing(cluster: ClusterGroup, space: str) -> None:
    names = [f"{space}-{number}" for number in range(12)]
    assert len({cluster.owner(name).port for name in names}) == 3
    with contextlib.ExitStack() as stack:
        for name in names:
            backend = RedisBackend.from_url(cluster.url, name)
            stack.callback(backend.close)
            me = stack.enter_context(comity.connect(backend, agent_id="me"))
            me.locks.acquire("the same name", timeout=0)
            assert [each.agent_id for each in me.sessions.active()] == ["me"]


@rule("X11")
def test_a_node_that_restarts_with_its_data_costs_latency_only(
    cluster: ClusterGroup, backend: RedisBackend, space: str
) -> None:
    with comity.connect(backend, agent_id="ann", deadline=10.0) as ann:
        lease = ann.locks.acquire("x")
        cluster.owner(space).restart()
        assert lease.release()
        assert ann.locks.acquire("x", timeout=0).token > lease.token
        assert ann.liveness is comity.Liveness.LIVE
