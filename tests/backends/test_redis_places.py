"""URLs of several servers: what is taken from them, and what is never shown."""

from __future__ import annotations

import pytest

from comity.backends import redact
from comity.errors import InvalidSetting
from comity.testing.kit.rules import rule
from comity_redis import places
from comity_redis.cluster import ClusterRoute
from comity_redis.keys import Keys
from comity_redis.routes import route_to
from comity_redis.sentinel import SentinelRoute


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis+sentinel://a/main", "redis+sentinel://a:26379/main/0"),
        ("redis+sentinel://a:1,b,[::1]:3/main/2", "redis+sentinel://a:1,b:26379,[::1]:3/main/2"),
        ("redis+sentinel://ann:s3cret@a,b/main?wait_replicas=1", "redis+sentinel://a:26379,b:26379/main/0"),
        ("rediss+sentinel://a/main?ssl_ca_certs=/ca.pem", "rediss+sentinel://a:26379/main/0"),
        ("redis+cluster://a", "redis+cluster://a:6379"),
        ("redis+cluster://:s3cret@a:7000,b:7001/", "redis+cluster://a:7000,b:7001"),
        ("rediss+cluster://a/0?ssl_ca_certs=/ca.pem", "rediss+cluster://a:6379"),
        ("redis://a:7/1?wait_replicas=2", "redis://a:7/1"),
    ],
)
def test_a_url_of_several_servers_is_read_and_shown_without_its_password(url: str, where: str) -> None:
    route = route_to(url, Keys("n"))
    assert route.where == where
    assert repr(route) == f"<{type(route).__name__} {where}>"


def test_user_and_password_are_those_of_the_servers_and_sentinels_have_their_own() -> None:
    url = "redis+sentinel://ann:s3%2Fcret%2C@a,b/main?sentinel_username=eve&sentinel_password=t%40p&ssl=0"
    route = route_to(url.replace("&ssl=0", ""), Keys("n"))
    assert isinstance(route, SentinelRoute)
    assert route.address.login["username"] == "ann"
    assert route.address.login["password"] == "s3/cret,"  # noqa: S105
    assert [each.login for each in route.sentinels] == [{"db": 0, "username": "eve", "password": "t@p"}] * 2
    bare = route_to("redis+sentinel://ann:s3cret@a/main/3", Keys("n"))
    assert isinstance(bare, SentinelRoute)
    assert [each.login for each in bare.sentinels] == [{"db": 0}]


def test_options_reach_every_server() -> None:
    cluster = route_to("rediss+cluster://a,b?ssl_certfile=/c.pem&ssl_keyfile=/k.pem&wait_replicas=1", Keys("n"))
    assert isinstance(cluster, ClusterRoute)
    assert cluster.address.at("c", 9).options["ssl_certfile"] == "/c.pem"
    assert cluster.address.at("c", 9).where == "rediss://c:9/0"
    assert cluster.frame is not None
    assert cluster.frame.replicas == 1


def test_a_namespace_is_one_slot_whatever_its_name() -> None:
    slots = set()
    for name in ("n", "a{b}c", "ü:%", "{}"):
        route = route_to("redis+cluster://a", Keys(name))
        assert isinstance(route, ClusterRoute)
        slots.add(route.slot)
    assert len(slots) == 4


@rule("X12")
@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://ann:s3cret@a",
        "redis+sentinel://ann:s3cret@a/",
        "redis+sentinel://ann:s3cret@a/main/zero",
        "redis+sentinel://ann:s3cret@a/main/0/1",
        "redis+sentinel://ann:s3/cret@a/main",
        "redis+sentinel://ann:s3cret@/main",
        "redis+sentinel://ann:s3cret@a:0/main",
        "redis+sentinel://ann:s3cret@a:99999/main",
        "redis+sentinel://ann:s3cret@a,,b/main",
        "redis+sentinel://:s3cret@a/main?wibble=1",
        "redis+sentinel://:s3cret@a/main?wait_replicas=s3cret1",
        "redis+sentinel://:s3cret@a/main?wait_replicas=-1",
        "redis+cluster://:s3cret@a/1",
        "redis+cluster://:s3cret@a/main",
        "redis+cluster://:s3cret@a?db=2",
        "redis+cluster://a?sentinel_password=s3cret",
        "redis://a?sentinel_password=s3cret",
        "redis+wibble://:s3cret@a",
        "redis+://:s3cret@a",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        route_to(url, Keys("n"))
    assert ":s3cret@" not in str(caught.value)
    assert "=s3cret'" not in str(caught.value)
    assert caught.value.__cause__ is None


@rule("X12")
@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://ann:s3cret@a:1,b:2/main",
        "redis+sentinel://ann:s3/cr@et@a:1,b:2/main",
        "redis+sentinel://a:1,b:2/main?sentinel_password=s3cret&wait_replicas=1",
        "redis+sentinel://a:1,b:2/main?sentinel_username=eve&sentinel_password=s3cr@et",
        "rediss+cluster://:s3cret@[::1]:1,b:2?ssl_password=s3cret",
    ],
)
def test_no_password_of_such_a_url_is_shown_by_the_core_either(url: str) -> None:
    shown = redact(url)
    assert "s3" not in shown
    assert shown.startswith(url.partition("://")[0])


def test_a_plain_url_is_read_as_before() -> None:
    said = places.read("unix:///run/r.sock?db=2")
    assert (said.kind, said.address.where, said.replicas) == ("", "unix:///run/r.sock?db=2", 0)
