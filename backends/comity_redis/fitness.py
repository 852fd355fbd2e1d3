"""Whether a server will do: asked once on the first connection to it, all in one write.

What it must have is found out by trying it, for a name and a version say little about a proxy or a
compatible server. Whatever may not be asked counts as well: then the steps themselves will tell.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from comity.errors import BackendUnavailable, BackendUnfit
from comity.logs import log
from comity.model import Finding, Health
from comity_redis.packing import pack
from comity_redis.replies import ErrorReply, comes_back, is_forgotten_script, lacking
from comity_redis.script import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OLDEST: Final = (6, 2)

USED: Final = (
    *("DEL", "EXISTS", "TYPE", "UNLINK"),
    *("HDEL", "HEXISTS", "HGET", "HINCRBY", "HKEYS", "HLEN", "HMGET", "HSET", "HSTRLEN"),
    *("PEXPIREAT", "PUBLISH", "XADD", "XDEL", "XLEN", "XRANGE", "XTRIM"),
    *("ZADD", "ZCARD", "ZCOUNT", "ZLEXCOUNT", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZREM"),
    *("ZREMRANGEBYLEX", "ZREVRANGEBYLEX", "ZSCORE"),
)
"""What scripts call besides TIME and PUBSUB NUMSUB. Asked for without arguments, which nothing accepts."""

_PROBE: Final = Source(
    "probe",
    """-- Answers  the commands that scripts lack here, of those named by ARGV
local missing = {}
local function try(name, ...)
  local answer = redis.pcall(...)
  local why = type(answer) == 'table' and answer.err
  if why and (string.find(why, 'nknown') or string.find(why, 'not allowed from')) then
    missing[#missing + 1] = name
  end
end
for _, name in ipairs(ARGV) do try(name, name) end
try('TIME', 'TIME')
try('PUBSUB NUMSUB', 'PUBSUB', 'NUMSUB', 'comity')
return missing
""",
)
_CALL: Final = pack("EVALSHA", _PROBE.sha, 0, *USED)
QUESTIONS: Final = (pack("HELLO") + pack("INFO", "memory") + _CALL, 3)
"""What a new server is asked, and how many answers that gives."""
AGAIN: Final = (_PROBE.load + _CALL, 2)
"""What it is asked when it does not know the script yet."""


def must_load(answers: Sequence[Any]) -> bool:
    """Tell whether the answers to `QUESTIONS` call for `AGAIN`."""
    return isinstance(answers[-1], ErrorReply) and is_forgotten_script(answers[-1])


def judge(answers: Sequence[Any], where: str, step: str) -> bool:
    """Raise when the server at `where` cannot serve, log when it will lose data; False: ask again another time.

    `answers` are those to `QUESTIONS`, the last one replaced by those to `AGAIN` where that was asked.

    Raises:
        BackendUnfit: too old, a Sentinel, or without a command that is needed, which is named.
        BackendUnavailable: a replica. It may become the primary.
    """
    hello, memory, *scripts = answers
    if isinstance(hello, list):
        _identity(_pairs(hello), where, step)
    for answer in scripts:
        if isinstance(answer, ErrorReply):
            if name := lacking(answer):
                raise _without([name], where)
            return not comes_back(answer)
    if missing := [name.decode() for name in scripts[-1]]:
        raise _without([f"{name} in scripts" for name in missing], where)
    if isinstance(memory, bytes):
        found = eviction(facts(memory))
        if found.health is not Health.OK:
            log(logging.WARNING, "server_may_evict", where=where, policy=found.found, fix=found.fix)
    return True


def _identity(hello: Mapping[str, str], where: str, step: str) -> None:
    if hello.get("mode") == "sentinel":
        raise BackendUnfit(where, "it is a Sentinel", "write redis+sentinel://host:26379/service")
    if too_old(version := hello.get("version", "")):
        raise BackendUnfit(where, f"it is Redis {version}", "use Redis 6.2 or later")
    if hello.get("role", "master") != "master":
        why = "it is a replica; give the address of the primary, or redis+sentinel://"
        raise BackendUnavailable(where, why, step=step)


def _without(names: Sequence[str], where: str) -> BackendUnfit:
    fix = "use Redis 6.2 or later itself, or a server or proxy that is wholly compatible with it"
    return BackendUnfit(where, f"it lacks {', '.join(names)}", fix)


def _pairs(flat: list[Any]) -> dict[str, str]:
    texts = [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in flat]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def facts(info: bytes) -> dict[str, str]:
    """Read the answer to INFO."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def too_old(version: str) -> bool:
    """Tell whether a server of this version lacks what is needed; one that tells none may do."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return bool(numbers) and numbers < OLDEST


def eviction(info: Mapping[str, str]) -> Finding:
    """Judge what a server does when its memory is full, from its INFO."""
    policy, limit = info.get("maxmemory_policy", "noeviction"), info.get("maxmemory", "0")
    said = f"{policy}, maxmemory {limit if limit != '0' else 'unlimited'}"
    fix = "set maxmemory-policy noeviction: "
    if policy == "noeviction" or (limit == "0" and policy.startswith("volatile-")):
        return Finding(Health.OK, "eviction", said)
    if policy.startswith("volatile-"):
        return Finding(Health.WARN, "eviction", said, f"{fix}a full server may drop the events of topics")
    if limit == "0":
        return Finding(Health.WARN, "eviction", said, f"{fix}with a limit of memory it may drop a whole namespace")
    return Finding(Health.FAIL, "eviction", said, f"{fix}a full server may drop a whole namespace at any time")
