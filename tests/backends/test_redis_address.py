"""Addresses: what is taken from a URL or a client, and what is never shown."""

from __future__ import annotations

from typing import Any, cast

import pytest
import redis
import redis.asyncio

from comity.errors import InvalidArgument, InvalidSetting
from comity_redis.address import LEFT_BEHIND, Address
from comity_redis.cluster import ClusterRoute
from comity_redis.keys import Keys
from comity_redis.routes import route_from
from comity_redis.sentinel import SentinelRoute

WORD = "s3cret"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("redis://db.example:7000/3", "redis://db.example:7000/3"),
        ("redis://[::1]:7000", "redis://[::1]:7000/0"),
        ("rediss://db.example", "rediss://db.example:6379/0"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("redis://ann:s3cret@h/1", "redis://h:6379/1"),
        ("redis://h?db=4&client_name=ci", "redis://h:6379/4"),
    ],
)
def test_a_url_is_read_and_shown_without_its_password(url: str, where: str) -> None:
    address = Address.parse(url)
    assert address.where == where
    assert repr(address) == str(address) == f"<Address {where}>"


@pytest.mark.parametrize("url", ["redis://ann:s3%2Fcret@h", "redis://:s3%2Fcret@h", "unix://ann:s3%2Fcret@/run/r.sock"])
def test_user_and_password_are_for_the_handshake_only(url: str) -> None:
    address = Address.parse(url)
    assert address.login["password"] == "s3/" + WORD[2:]
    assert "password" not in address.options
    assert "cret" not in f"{address!r}{address}{address.where}"


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:s3/cret@h",
        "redis://ann:s3cret@h:port",
        "redis://:s3cret@h:99999",
        "redis://:s3cret@h/s3cret",
        "redis://:s3cret@h:0",
        "redis://:s3cret@h?db=s3cret",
        "redis://:s3cret@h?wibble=1",
        "unix://",
        "http://s3cret@h",
        "s3cret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Address.parse(url)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_timeouts_retries_protocol_and_decoding_of_a_url_are_left_behind() -> None:
    url = "redis://h?protocol=3&socket_timeout=9&health_check_interval=3&retry_on_timeout=1&decode_responses=1"
    address = Address.parse(url)
    assert not LEFT_BEHIND & set(address.options)


def test_an_option_of_tls_reaches_both_colours() -> None:
    address = Address.parse("rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=no")
    for cls, options in (address.sync_class(), address.async_class()):
        assert options["ssl_ca_certs"] == "/ca.pem"
        assert options["ssl_check_hostname"] is False
        assert cls.__name__ == "SSLConnection"


@pytest.mark.parametrize("library", [redis, redis.asyncio])
@pytest.mark.parametrize(
    ("given", "where", "sync", "asynchronous"),
    [
        (
            {"host": "h", "port": 7, "db": 1},
            "redis://h:7/1",
            redis.Connection,
            redis.asyncio.Connection,
        ),
        (
            {"host": "h", "ssl": True, "ssl_cert_reqs": None},
            "rediss://h:6379/0",
            redis.SSLConnection,
            redis.asyncio.SSLConnection,
        ),
        (
            {"unix_socket_path": "/r.sock"},
            "unix:///r.sock?db=0",
            redis.UnixDomainSocketConnection,
            redis.asyncio.UnixDomainSocketConnection,
        ),
    ],
)
def test_a_client_of_either_colour_gives_the_address_for_both(
    library: Any, given: dict[str, Any], where: str, sync: type, asynchronous: type
) -> None:
    client = library.Redis(**given, password=WORD, decode_responses=True, socket_timeout=77)
    address = Address.of(client)
    assert address.where == where
    assert address.login["password"] == WORD
    assert address.sync_class()[0] is sync
    assert address.async_class()[0] is asynchronous
    assert not LEFT_BEHIND & set(address.options)
    if given.get("ssl"):
        assert address.sync_class()[1]["ssl_cert_reqs"] is None


def test_a_credential_provider_of_a_client_is_kept() -> None:
    provider = redis.UsernamePasswordCredentialProvider("ann", WORD)
    address = Address.of(redis.Redis(credential_provider=provider))
    assert address.login["credential_provider"] is provider


class Tunnel(redis.Connection):
    """A connection class of the caller's own."""


def test_a_connection_class_of_the_callers_own_serves_its_own_colour_only() -> None:
    pool = redis.ConnectionPool(connection_class=Tunnel, host="h")
    address = Address.of(redis.Redis(connection_pool=pool))
    assert address.sync_class()[0] is Tunnel
    with pytest.raises(InvalidArgument, match="asyncio twin"):
        address.async_class()


def test_a_tls_option_that_the_other_colour_lacks_is_refused_not_dropped() -> None:
    address = Address.of(redis.Redis(ssl=True, ssl_validate_ocsp_stapled=True))
    address.sync_class()
    with pytest.raises(InvalidArgument, match="ssl_validate_ocsp_stapled"):
        address.async_class()


def test_clients_that_are_not_of_one_server_are_refused() -> None:
    sentinel = cast("Any", redis.Sentinel)([("127.0.0.1", 1)]).master_for("main")
    for client in (sentinel, object(), "redis://h"):
        with pytest.raises(InvalidArgument):
            Address.of(client)


@pytest.mark.parametrize("library", [redis, redis.asyncio])
@pytest.mark.parametrize("tls", [False, True])
def test_a_client_of_sentinels_gives_them_and_both_logins(library: Any, tls: bool) -> None:
    tls_options = {"ssl": True, "ssl_ca_certs": "/ca.pem"} if tls else {}
    own = {"password": "s3ntinel", **tls_options}
    made = library.Sentinel([("a", 1), ("b", 2)], sentinel_kwargs=own, username="ann", password=WORD, **tls_options)
    route = route_from(made.master_for("main", db=3, **tls_options), Keys("n"))
    assert isinstance(route, SentinelRoute)
    assert route.where == f"redis{'s' * tls}+sentinel://a:1,b:2/main/3"
    assert [each.place for each in route.sentinels] == [("a", 1), ("b", 2)]
    assert [each.login["password"] for each in route.sentinels] == ["s3ntinel"] * 2
    assert route.address.login["username"] == "ann"
    at = route.address.at("c", 7)
    assert at.sync_class()[0] is (redis.SSLConnection if tls else redis.Connection)
    assert at.async_class()[1].get("ssl_ca_certs") == tls_options.get("ssl_ca_certs")
    with pytest.raises(InvalidArgument, match="master_for"):
        route_from(made.slave_for("main"), Keys("n"))


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_of_a_cluster_gives_its_nodes_and_login(tls: bool) -> None:
    options: dict[str, Any] = {"ssl": True, "ssl_ca_certs": "/ca.pem"} if tls else {}
    client = redis.asyncio.RedisCluster(host="a", port=7000, username="ann", password=WORD, **options)
    route = route_from(client, Keys("n"))
    assert isinstance(route, ClusterRoute)
    assert route.where == f"redis{'s' * tls}+cluster://a:7000"
    at = route.address.at("b", 7)
    assert at.login["username"] == "ann"
    assert at.async_class()[0] is (redis.asyncio.SSLConnection if tls else redis.asyncio.Connection)
    assert not LEFT_BEHIND & set(at.options)
    at.sync_class()
