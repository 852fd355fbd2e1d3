"""The proxy of fault runs does to messages what it says."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.processes.runs.proxy import Proxies, Proxy
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server

KEY = f"proxy-{uuid.uuid4().hex}"


@pytest.fixture
def proxy(redis_server: Server) -> Iterator[Proxy]:
    proxies = Proxies(("127.0.0.1", redis_server.port))
    yield proxies.open()
    proxies.close()


@pytest.fixture
def through(proxy: Proxy) -> Iterator[Any]:
    """A client with one connection, open already, and without retries of its own."""
    client: Any = redis.Redis.from_url(proxy.url, socket_timeout=0.3, single_connection_client=True, retry=None)
    client.ping()
    yield client
    client.close()


def increments(redis_server: Server, ask: Callable[[], object]) -> int:
    """Return how often the server did what was asked for."""
    with redis_server.client() as client:
        before = int(client.get(KEY) or 0)
        with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
            ask()
        return int(client.get(KEY) or 0) - before


def anew(proxy: Proxy) -> bool:
    """Tell whether a new connection is answered."""
    with redis.Redis.from_url(proxy.url, socket_timeout=0.3, retry=None) as client:
        return bool(client.ping())


@pytest.mark.parametrize("silently", [False, True])
def test_a_reply_is_lost_after_the_server_has_done_what_was_asked(
    redis_server: Server, proxy: Proxy, through: Any, silently: bool
) -> None:
    proxy.lose_reply(silently=silently)
    assert increments(redis_server, lambda: through.incr(KEY)) == 1


def test_a_request_is_lost_before_the_server_sees_it(redis_server: Server, proxy: Proxy, through: Any) -> None:
    proxy.lose_request()
    assert increments(redis_server, lambda: through.incr(KEY)) == 0


def test_a_reset_ends_the_connections_that_are_there(redis_server: Server, proxy: Proxy, through: Any) -> None:
    proxy.reset()
    assert increments(redis_server, through.connection.read_response) == 0
    assert anew(proxy)


def test_half_open_connections_are_silent_and_new_ones_are_not(
    redis_server: Server, proxy: Proxy, through: Any
) -> None:
    proxy.half_open()
    assert increments(redis_server, lambda: through.incr(KEY)) == 1
    assert anew(proxy)


def test_a_blackhole_accepts_and_answers_nothing_until_it_is_over(
    redis_server: Server, proxy: Proxy, through: Any
) -> None:
    proxy.blackhole(on=True)
    assert increments(redis_server, lambda: through.incr(KEY)) == 0
    proxy.blackhole(on=False)

    until(lambda: anew(proxy), 5.0)


def test_messages_are_held_back_and_come_in_order(proxy: Proxy, through: Any) -> None:
    proxy.delay(0.1)
    began = time.monotonic()
    assert through.echo("one") == b"one"
    assert time.monotonic() - began >= 0.2  # there and back
    proxy.delay(0.0)
