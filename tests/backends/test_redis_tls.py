"""TLS with certificates on both sides: in both colours, on the wake-up connection, behind Sentinels, on a cluster."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

import comity
from comity.errors import BackendUnavailable, BackendUnfit
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from comity_redis.address import Address
from comity_redis.keys import Keys
from comity_redis.packing import pack
from comity_redis.routes import route_to
from comity_redis.runner import RedisRunner
from comity_redis.wire import connect, readable
from tests.backends.calls import ask, once
from tests.topologies import ClusterGroup, SentinelGroup
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.certificates import Certificates
    from tests.servers import Server, Servers


@pytest.fixture
def server(start_redis: Callable[..., Server], certificates: Certificates) -> Server:
    return start_redis(tls=certificates)


def test_tls_serves_both_colours_and_the_listener(server: Server) -> None:
    runner = RedisRunner(Address.parse(server.url))
    assert ask(runner, "PING").run(5) == b"PONG"
    assert asyncio.run(once(server.url, "PING")) == b"PONG"
    started = time.monotonic()
    with pytest.raises(BackendUnavailable, match="silent"):
        ask(runner, "BLPOP", "never", 0).run(0.2)
    assert time.monotonic() - started < 0.5
    listener = runner.listener()
    listener.subscribe(b"news")
    assert listener.next(5) == [(b"news",)]
    ask(runner, "PUBLISH", "news", b"x" * 100_000).run(5)
    heard = listener.next(5)
    assert [len(part) for part in heard[0]] == [4, 100_000]
    listener.close()
    runner.close()


@rule("X9", "X11")
def test_a_connection_ended_from_another_thread_shows_no_encrypted_bytes(server: Server) -> None:
    wire = connect(Address.parse(server.url), time.monotonic() + 5, "ping")
    wire.sock.sendall(pack("PING"))
    assert readable(wire.sock, timeout=5)  # the answer is there, and nobody has read it
    wire.shut()
    buffer = bytearray(100)
    count = wire.sock.recv_into(buffer)
    assert bytes(buffer[:count]) in {b"+PONG\r\n", b""}
    wire.drop()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_authorities_are_read_once_and_again_when_their_file_has_changed(
    colour: str, server: Server, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Mock(wraps=ssl.create_default_context)
    monkeypatch.setattr(ssl, "create_default_context", reading)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificates.authority.read_bytes())
    url = server.url.replace(str(certificates.authority), str(authority))
    for _ in range(3):
        assert ping(url, colour) == b"PONG"
    assert reading.call_count == 1
    authority.write_bytes(certificates.client.read_bytes())
    assert ping(f"{url}&ssl_cert_reqs=none&ssl_check_hostname=false", colour) == b"PONG"
    for options in ("", "&ssl_check_hostname=false"):
        with pytest.raises(BackendUnfit, match="cannot be verified"):
            ping(url + options, colour)
    assert reading.call_count == 4


def ping(url: str, colour: str, seconds: float = 5.0) -> object:
    """Perform a step by URL, as a program would."""
    runner = RedisRunner(route_to(url, Keys("tls")))

    async def perform() -> object:
        try:
            return await ask(runner, "PING").arun(seconds)
        finally:
            await runner.aclose()

    try:
        return asyncio.run(perform()) if colour == "async" else ask(runner, "PING").run(seconds)
    finally:
        runner.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", r"its certificate cannot be verified .*; give its certificate authority: \?ssl_ca_certs=PATH"),
        ("ssl_ca_certs={authority}", r"certificate.* give one: \?ssl_certfile=PATH&ssl_keyfile=PATH"),
        ("ssl_ca_certs={authority}&ssl_certfile=/no/where.pem", "a file .* cannot be used: .*; check the paths"),
    ],
)
def test_what_lacks_for_tls_is_said_with_the_fix(
    query: str, words: str, colour: str, server: Server, certificates: Certificates
) -> None:
    url = f"rediss://127.0.0.1:{server.port}/1?{query.format(authority=certificates.authority)}"
    # Whether a server that wants a certificate is heard to say so before it hangs up is a matter of chance.
    with pytest.raises((BackendUnfit, BackendUnavailable), match=words):
        ping(url, colour)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_tls_and_none_do_not_understand_each_other_and_the_fix_is_said(
    colour: str, server: Server, redis_server: Server
) -> None:
    with pytest.raises(BackendUnavailable, match="does it speak TLS there, else write redis://"):
        ping(redis_server.url.replace("redis:", "rediss:"), colour, 0.3)
    with pytest.raises((BackendUnfit, BackendUnavailable), match="wants rediss://"):
        ping(f"redis://127.0.0.1:{server.port}", colour)


def hand_over(ann: comity.Coordinator, bob: comity.Coordinator, meanwhile: Callable[[], object]) -> None:
    """One holds, the other waits and is handed the lock, whatever happens meanwhile."""
    lease = ann.locks.acquire("x")
    got: list[comity.Lease] = []
    thread = threading.Thread(target=lambda: got.append(bob.locks.acquire("x", timeout=20)))
    thread.start()
    until(lambda: ann.locks.contenders("x"))
    meanwhile()
    assert lease.release()
    thread.join(20)
    assert got[0].token > lease.token


def test_a_primary_is_found_on_tls(redis_servers: Servers, certificates: Certificates) -> None:
    group = redis_servers.alone(SentinelGroup(tls=certificates))
    backend = RedisBackend.from_url(group.url, "tls")
    with comity.connect(backend, agent_id="ann") as ann, comity.connect(backend) as bob:
        hand_over(ann, bob, lambda: None)
    backend.close()
    redis_servers.close_extra()


@pytest.mark.slow
def test_a_fail_over_is_followed_on_tls(redis_servers: Servers, certificates: Certificates) -> None:
    group = redis_servers.alone(SentinelGroup(tls=certificates))
    group.settle()
    backend = RedisBackend.from_url(group.url, "tls")
    options: dict[str, Any] = {"session_ttl": 20.0, "deadline": 10.0}
    with comity.connect(backend, agent_id="ann", **options) as ann, comity.connect(backend, **options) as bob:

        def fail_over() -> None:
            with group.primary.client() as client:
                client.set("last", "write")
                assert client.wait(2, 10_000) == 2
            group.fail_over()

        hand_over(ann, bob, fail_over)
    backend.close()
    redis_servers.close_extra()


def test_a_slot_is_followed_on_tls(redis_servers: Servers, certificates: Certificates) -> None:
    cluster = redis_servers.alone(ClusterGroup(tls=certificates))
    backend = RedisBackend.from_url(cluster.url, "tls")
    with comity.connect(backend, agent_id="ann") as ann, comity.connect(backend) as bob:
        hand_over(ann, bob, lambda: cluster.move("tls", cluster.another("tls")))
        assert asyncio.run(_active(cluster.url)) == 3
    backend.close()
    redis_servers.close_extra()


async def _active(url: str) -> int:
    backend = RedisBackend.from_url(url, "tls")
    async with comity.aconnect(backend) as me:
        count = len(await me.sessions.active())
    await backend.aclose()
    return count
