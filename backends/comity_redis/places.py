"""URLs that name several servers: ``redis+sentinel://`` and ``redis+cluster://``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from comity.errors import InvalidSetting
from comity_redis.address import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("sentinel", "cluster")
_SHAPE = re.compile(
    r"(?P<tls>rediss?)(?:\+(?P<kind>\w+))?://(?:(?P<user>[^@/?#]*)@)?(?P<places>[^@/?#]*)(?P<path>/[^@?#]*)?(?:\?(?P<query>[^#]*))?"
)
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:,]+)(?::(?P<port>\d{1,5}))?")
_EXAMPLES = {
    "sentinel": "redis+sentinel://[user:password@]host1[:26379],host2,host3/service[/db]",
    "cluster": "redis+cluster://[user:password@]host1[:6379],host2",
}
_PORTS = {"sentinel": 26379, "cluster": 6379}
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_MOST_REPLICAS = 100


class Places(NamedTuple):
    """What a URL says."""

    kind: str
    """``""`` for one server, else ``"sentinel"`` or ``"cluster"``."""
    address: Address
    """How to log in, for whichever server it will be; for one server, the whole address."""
    places: Sequence[tuple[str, int]]
    """The hosts and ports that the URL names, in its order."""
    service: str
    """The name that Sentinels know the primary by."""
    sentinel_login: dict[str, str]
    replicas: int
    """How many replicas are to confirm what is written."""


def read(url: str) -> Places:
    """Read the URL of one or several servers.

    Raises `InvalidSetting` for one that cannot be used; the text shows no part that could be a password.
    """
    match = _SHAPE.fullmatch(url)
    kind = match["kind"] if match else re.split(r"[+:]", url)[1] if re.match(r"rediss?\+", url) else None
    if kind is None:
        single, options = _without_ours(url) if "@" not in url.partition("?")[2] else (url, {})
        _no_login(options)
        return Places("", Address.parse(single), (), "", {}, _replicas(options))
    if match is None or kind not in _EXAMPLES:
        known = " or ".join(_EXAMPLES.values())
        raise InvalidSetting(
            f"the URL of Redis cannot be read; write {_EXAMPLES.get(kind, known)}, "
            "with / : @ # ? , of a password percent-encoded"
        )
    places = [_place(text, kind) for text in match["places"].split(",")]
    service, db = _path(kind, [unquote(part) for part in (match["path"] or "").strip("/").split("/")])
    user = f"{match['user']}@" if match["user"] else ""
    query = f"?{match['query']}" if match["query"] else ""
    single, options = _without_ours(f"{match['tls']}://{user}{_host(places[0][0])}:{places[0][1]}/{db}{query}")
    if kind != "sentinel":
        _no_login(options)
    login = {name.removeprefix("sentinel_"): options[name] for name in _SENTINEL_OPTIONS if name in options}
    address = Address.parse(single)
    if kind == "cluster" and int(address.login.get("db") or 0):
        raise InvalidSetting(f"a cluster has only database 0: write {_EXAMPLES['cluster']}")
    return Places(kind, address, places, service, login, _replicas(options))


def shown(kind: str, address: Address, places: Sequence[tuple[str, int]], path: str = "") -> str:
    """Return such a URL without a password."""
    scheme = address.where.partition("://")[0]
    return f"{scheme}+{kind}://{','.join(f'{_host(host)}:{port}' for host, port in places)}{path}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _place(text: str, kind: str) -> tuple[str, int]:
    match = _PLACE.fullmatch(text)
    port = int(match["port"] or _PORTS[kind]) if match else 0
    if match is None or not 0 < port < 2**16:
        raise InvalidSetting(f"the hosts of the URL cannot be read; write {_EXAMPLES[kind]}")
    return unquote(match["host"]).strip("[]"), port


def _path(kind: str, parts: list[str]) -> tuple[str, str]:
    """Return the service and the database in the URL's path."""
    if kind == "cluster":
        if parts not in ([""], ["0"]):
            raise InvalidSetting(f"a cluster has only database 0: write {_EXAMPLES['cluster']}")
        return "", "0"
    service, db = parts[0], parts[1] if len(parts) > 1 else "0"
    if not service or len(parts) > 2 or not db.isdecimal():  # noqa: PLR2004 - service and database
        raise InvalidSetting(
            f"name the service that the Sentinels watch, and a database by its number: {_EXAMPLES[kind]}"
        )
    return service, db


def _without_ours(url: str) -> tuple[str, dict[str, str]]:
    """Part the options that redis-py does not know from a URL."""
    plain, mark, query = url.partition("?")
    if not mark:
        return url, {}
    options = parse_qsl(query, keep_blank_values=True)
    ours = {name: value for name, value in options if name in {"wait_replicas", *_SENTINEL_OPTIONS}}
    if not ours:
        return url, {}
    rest = urlencode([(name, value) for name, value in options if name not in ours])
    return f"{plain}?{rest}" if rest else plain, ours


def _no_login(options: dict[str, str]) -> None:
    if options.keys() & {*_SENTINEL_OPTIONS}:
        raise InvalidSetting(f"{' and '.join(_SENTINEL_OPTIONS)} belong to {_EXAMPLES['sentinel']}")


def _replicas(options: dict[str, str]) -> int:
    text = options.get("wait_replicas", "0")
    if not text.isdecimal() or int(text) > _MOST_REPLICAS:
        raise InvalidSetting(f"wait_replicas={text!r}: give how many replicas confirm a grant, 0 to {_MOST_REPLICAS}")
    return int(text)
