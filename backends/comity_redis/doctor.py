"""What `comity doctor` looks at on a Redis server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from comity.errors import BackendUnfit
from comity.model import Finding, Health
from comity.ops import Effect
from comity_redis.fitness import eviction, facts, too_old
from comity_redis.op import command
from comity_redis.script import Script, Source
from comity_redis.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Generator
    from collections.abc import Sequence as Listing

    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import Runner
    from comity_redis.packing import Arg

_READS = Source("reads", "return redis.call('ZSCORE', KEYS[1], ARGV[1])")
_WRITES = Source("writes", "redis.call('ZREM', KEYS[1], ''); return redis.call('PUBLISH', ARGV[1], '')")
_CLOCK_SLACK = 2.0
"""Seconds between the server's clock and ours that are worth a word; they harm nothing."""


def examine(runner: Runner, keys: Keys, *, in_process: bool) -> Op[Listing[Finding]]:
    """Return the step that looks the server over; what may not be asked is said so, not raised."""

    def ask(*args: Arg) -> Op[Any]:
        return command(runner, "diagnose", Effect.READ, _as_is, *args)

    def plan() -> Generator[Op[Any], Any, Listing[Finding]]:
        findings = [_clock((yield ask("TIME")))]
        if not in_process:
            try:
                findings += _server(facts((yield ask("INFO"))))
            except BackendUnfit as error:
                findings.append(Finding(Health.WARN, "server", f"INFO is refused: {error.why}", error.fix))
            findings.append((yield from _rights(runner, keys)))
        findings.append(_records((yield ask("HGET", keys["meta"], "corrupt"))))
        findings.append(_sessions((yield ask("ZCARD", keys["live"])), max(0, (yield ask("HLEN", keys["locks"])) - 1)))
        return findings

    return Sequence("diagnose", Effect.READ, plan)


def _as_is(answer: Any) -> Any:
    return answer


def _rights(runner: Runner, keys: Keys) -> Generator[Op[Any], Any, Finding]:
    """Try the rights that scripts need, by steps that change nothing."""
    for source, effect in ((_READS, Effect.READ), (_WRITES, Effect.WRITE)):
        script = Script(runner, source, [keys["live"]], name="diagnose", effect=effect, loose=True)
        try:
            yield script.call(_as_is, f"{keys.prefix}doctor")
        except BackendUnfit as error:
            if source is _READS:
                return Finding(Health.FAIL, "permissions", error.why, error.fix)
            said = "this user may only read: enough for an OBSERVER with auto_announce=False"
            return Finding(Health.WARN, "permissions", said, error.fix)
    return Finding(Health.OK, "permissions", "scripts may write and publish")


def _server(info: dict[str, str]) -> list[Finding]:
    version = info.get("redis_version", "?")
    if too_old(version):
        found = [Finding(Health.FAIL, "version", f"Redis {version}", "use Redis 6.2 or later")]
    else:
        found = [Finding(Health.OK, "version", f"Redis {version}")]
    found.append(eviction(info))
    if info.get("aof_enabled") == "1":
        found.append(Finding(Health.OK, "persistence", "append-only file"))
    else:
        fix = "set appendonly yes, or accept that a restart of the server ends every session and lease"
        found.append(Finding(Health.WARN, "persistence", "no append-only file", fix))
    found.append(_replication(info))
    return found


def _replication(info: dict[str, str]) -> Finding:
    if info.get("role", "master") != "master":
        return Finding(Health.FAIL, "role", info["role"], "give the address of the primary")
    replicas = int(info.get("connected_slaves", "0"))
    if not replicas:
        return Finding(Health.OK, "role", "primary without replicas")
    if int(info.get("min_slaves_good_slaves", "-1")) >= 0:
        return Finding(Health.OK, "role", f"primary, {replicas} replicas, writes need some of them")
    said = f"primary, {replicas} replicas; a fail-over may lose the last writes"
    fix = "set min-replicas-to-write 1 and min-replicas-max-lag 10, so that a primary that is cut off takes no writes"
    return Finding(Health.WARN, "role", said, fix)


def _clock(answer: list[bytes]) -> Finding:
    ahead = int(answer[0]) + int(answer[1]) / 1e6 - time.time()
    if abs(ahead) <= _CLOCK_SLACK:
        return Finding(Health.OK, "clock", f"the server's differs by {abs(ahead):.1f} s")
    where = "ahead of" if ahead > 0 else "behind"
    fix = "run NTP on both machines; leases are not harmed, but times shown are the server's"
    return Finding(Health.WARN, "clock", f"the server's is {abs(ahead):.0f} s {where} this machine's", fix)


def _records(corrupt: bytes | None) -> Finding:
    count = int(corrupt) if corrupt and corrupt.isdigit() else 0
    if not count:
        return Finding(Health.OK, "records", "none found unreadable")
    fix = "find out what else writes to keys named comity:*; the records were skipped or removed"
    return Finding(Health.WARN, "records", f"{count} found unreadable", fix)


def _sessions(live: int, locks: int) -> Finding:
    return Finding(Health.OK, "namespace", f"{live} sessions, {locks} locks held")
