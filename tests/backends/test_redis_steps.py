"""What presence and locks promise of Redis alone: bounded records, and what a step costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comity.model import Ended, Granted, Held, Mode, NewSignal, Queued, SessionInfo, WakeKind
from comity.testing.kit.rules import rule
from comity_redis.keys import FS, Keys, owner
from tests import servers
from tests.backends.redis_spaces import Space, on, space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server, Servers

SHARED = Mode.SHARED


@pytest.fixture
def real(redis_servers: Servers) -> Iterator[Space]:
    with space("7.0", redis_servers) as opened:
        yield opened


def commands(there: Space) -> dict[str, int]:
    """How often each command was performed since the last call, by scripts too."""
    stats = there.client.info("commandstats")
    there.client.config_resetstat()
    return {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()}


def depart(there: Space, *sessions: Any) -> None:
    for session in sessions:
        assert there.stage.run(there.stage.backend.presence.depart(session))


@rule("L14")
def test_an_area_costs_what_overlaps_it_and_not_what_else_is_held(real: Space) -> None:
    stage = real.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann, ("src/a", "src/b"))
    costs = []
    for part in ("docs/", "srcs/"):
        commands(real)
        assert isinstance(stage.acquire(stage.request(bob, "src/")), Held)
        costs.append(commands(real))
        stage.hold(ann, tuple(f"{part}{number}" for number in range(250)))
    assert costs[0] == costs[1]
    commands(real)
    assert isinstance(stage.acquire(stage.request(bob, "tests/")), Granted)
    assert isinstance(stage.acquire(stage.request(bob, "lib/a/b/c")), Granted)
    spent = commands(real)
    assert (spent["evalsha"], spent["hmget"], spent["zrangebylex"]) == (2, 2, 3)  # one round trip, one look


# ---------------------------------------------------------------------------------- what stays


@rule("S7")
def test_nothing_stays_when_everybody_has_left(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
    first, second = stage.hold(ann), stage.wait(bob)
    third = stage.wait(cid, priority=5)
    for place_ms in (1, 300_000):
        stage.wait(bob, place_ms=place_ms)
    stage.hold(ann, "read", mode=SHARED)
    stage.hold(bob, "read", mode=SHARED)
    stage.release(first)
    assert stage.holding() == [third.request_id]
    taken = stage.request(ann)
    token = stage.token(third)
    assert isinstance(stage.run(stage.backend.locks.preempt(taken, token, "mine")), Granted)
    stage.run(stage.backend.locks.withdraw(bob, second.request_id, keep=False))
    stage.run(stage.backend.locks.break_lock(ann, "break", "read", "stuck"))
    assert there.left()
    depart(there, ann, bob, cid)
    assert there.left() == {}


@rule("S8")
def test_nothing_stays_of_sessions_that_expired(there: Space) -> None:
    stage = there.stage
    sessions = [stage.session(ttl=1.0) for _ in range(3)]
    stage.hold(sessions[0])
    stage.wait(sessions[1])
    stage.hold(sessions[2], "other")
    for session in sessions:
        stage.outlive(session)
    while stage.run(stage.backend.presence.reap()).agent_id:
        pass
    assert there.left() == {}


@rule("L2", "L11", "X4")
def test_the_last_token_outlives_a_request_for_any_of_several_that_asks_again_and_gives_up(there: Space) -> None:
    stage, key = there.stage, there.keys.prefix + "locks"
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann, "a")
    stage.hold(ann, "b")
    waiting = stage.wait(bob, ("a", "b"), any_of=True)
    last = there.client.hget(key, "")
    assert isinstance(stage.acquire(waiting), Queued)
    stage.run(stage.backend.locks.release(bob, waiting.request_id))
    assert there.client.hget(key, "") == last  # without it tokens would be the clock's, which may have been set back
    other = stage.wait(bob, ("a", "b"), any_of=True)
    last = there.client.hget(key, "")
    stage.run(stage.backend.locks.withdraw(bob, other.request_id, keep=False))
    assert there.client.hget(key, "") == last
    assert there.client.hget(there.keys.prefix + "meta", "corrupt") is None


def test_a_released_name_leaves_only_the_past_claim(there: Space) -> None:
    ann = there.stage.session("ann")
    for _ in range(5):
        there.stage.release(there.stage.hold(ann))
    assert "locks" not in there.left()
    assert len(there.left()["own"]) == len(there.left()["past"]) == 1


def test_past_claims_of_a_session_are_the_latest_thousand(real: Space) -> None:
    stage = real.stage
    ann = stage.session("ann")
    for number in range(1000):
        stage.release(stage.hold(ann, f"n{number:04d}"))
    stage.release(stage.hold(ann, "n0000"))  # no longer the oldest
    stage.release(stage.hold(ann, "one more"))
    past = real.left()["past"]
    assert len(past) == len(real.left()["own"]) == 1000
    assert b"n0000" in past
    assert b"n0001" not in past
    depart(real, ann)
    assert real.left() == {}


@rule("X4")
def test_ended_ids_are_forgotten_in_time(real: Space) -> None:
    # About every eighth release clears up to 16, so 1,000 of them clear far more than these.
    stage = real.stage
    ann = stage.session("ann")
    ended = real.keys["ended"]
    real.client.zadd(ended, {f"old-{number}": number + 1 for number in range(500)})
    real.client.hset(real.keys["ids"], mapping={f"old-{number}": "!why" for number in range(500)})
    for _ in range(1000):
        stage.release(stage.hold(ann))
    assert real.client.zcount(ended, "-inf", 1000) == 0
    assert real.client.zcard(ended) == 1000
    assert real.client.hlen(real.keys["ids"]) == 0


def test_at_most_a_thousand_losses_wait_for_their_session(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    losses = there.keys["own"]
    note = f"{owner(ann)}{FS}n{FS}"
    there.client.zadd(losses, {f"{note}{n:010d}{FS}r{n}{FS}{n:016d}{FS}lock{FS}why": 0 for n in range(1, 1001)})
    there.client.hset(there.keys["leases"], f"ann{FS}v", 1000)
    held = stage.hold(ann)
    stage.run(stage.backend.locks.break_lock(bob, "break", "lock", "stuck"))
    known = stage.own(ann).losses
    assert len(known) == 1000
    assert (known[0].request_id, known[-1].request_id) == ("r2", held.request_id)


def test_a_session_with_a_thousand_leases_ends_in_one_step(real: Space) -> None:
    stage = real.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    for number in range(1000):
        stage.hold(ann, f"n{number}")
    waits = [stage.wait(bob, f"n{number}") for number in range(0, 1000, 100)]
    assert len(stage.own(ann).held) == 1000
    assert len(stage.run(stage.backend.locks.held("n"))) == 1000
    depart(real, ann)
    held = stage.own(bob).held
    assert {lease.request_id for lease in held} == {request.request_id for request in waits}
    assert stage.version(bob) == len(waits)
    depart(real, bob)
    assert real.left() == {}


def test_a_name_with_hundreds_of_readers(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    readers = [stage.hold(ann, mode=SHARED) for _ in range(300)]
    writer = stage.request(bob, wait=True)
    answer = stage.acquire(writer)
    assert isinstance(answer, Queued)
    assert [holder.request_id for holder in answer.holders] == [reader.request_id for reader in readers[:100]]
    for reader in readers:
        assert stage.release(reader)
    assert stage.holding() == [writer.request_id]


@rule("L5")
def test_an_uncontended_acquire_and_release_are_one_script_each(real: Space) -> None:
    stage = real.stage
    ann = stage.session("ann")
    stage.release(stage.hold(ann))
    request = stage.request(ann)
    commands(real)
    assert isinstance(stage.acquire(request), Granted)
    once = commands(real)
    assert once.pop("evalsha") == 1
    assert sum(once.values()) <= 10, once  # what the script does, and the asking
    assert stage.release(request)
    once = commands(real)
    assert once.pop("evalsha") == 1
    assert sum(once.values()) <= 14, once


def test_no_cost_depends_on_what_else_is_there(real: Space) -> None:
    stage = real.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.release(stage.hold(ann))

    def costs() -> dict[str, int]:
        commands(real)
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        known = stage.run(stage.backend.presence.members(None)).version
        assert stage.run(stage.backend.presence.members(known)).sessions is None
        request = stage.request(ann)
        assert isinstance(stage.acquire(request), Granted)
        assert isinstance(stage.acquire(stage.request(bob)), Held)
        waits = stage.wait(bob)
        assert stage.release(request)
        assert stage.release(waits)
        found = commands(real)
        # Ended ids are cleared by about every eighth mark.
        return {name: calls for name, calls in found.items() if name not in {"zrangebyscore", "zcard"}}

    costs()
    before = costs()
    for number in range(200):
        stage.hold(ann, f"other {number}")
        stage.session()
    real.client.mset({f"foreign:{number}": "x" for number in range(5000)})
    try:
        assert costs() == before
    finally:
        real.client.delete(*(f"foreign:{number}" for number in range(5000)))
    assert not before.keys() & {"keys", "scan", "hscan", "zscan", "sscan"}


@rule("L1", "L5")
def test_a_writer_is_handed_nothing_while_a_reader_is_left(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
    first, second = stage.hold(ann, mode=SHARED), stage.hold(bob, mode=SHARED)
    writer = stage.wait(cid)
    stage.release(first)
    assert stage.holding() == [second.request_id]
    stage.release(second)
    assert stage.holding() == [writer.request_id]


@rule("L14")
def test_what_is_handed_on_in_another_mode_is_found_by_it_from_above(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
    held = stage.hold(ann, "area/lock", mode=SHARED)
    stage.wait(bob, "area/lock")
    stage.release(held)
    assert isinstance(stage.acquire(stage.request(cid, "area/", mode=SHARED)), Held)


@rule("L5", "L7")
def test_a_time_of_its_own_bounds_the_look_of_who_waits_and_goes_with_what_is_handed_on(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann, ttl_ms=5000)
    waiting = stage.request(bob, wait=True, ttl_ms=4000)
    answer = stage.acquire(waiting)
    assert isinstance(answer, Queued)
    assert answer.retry_ms <= 5000
    stage.release(held)
    again = stage.acquire(waiting)
    assert isinstance(again, Granted)
    assert again.ttl_ms is not None
    assert 0 < again.ttl_ms <= 4000


@rule("L5")
def test_the_wake_up_carries_the_whole_grant(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    ear = stage.listener(bob)
    held = stage.hold(ann)
    waits = stage.wait(bob, listener=ear.address, ttl_ms=4000)
    stage.release(held)
    wake = stage.hears(ear, WakeKind.GRANTED)
    assert wake.granted is not None
    assert wake.granted.ttl_ms == 4000
    assert (wake.name, wake.request_id) == ("lock", waits.request_id)
    assert wake.token == wake.granted.token == stage.token(waits)
    assert wake.granted.at_us > 0


# -------------------------------------------------------------------------------- where it runs


@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_every_step_is_legal_in_a_cluster(
    version: str, start_redis: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A node also listens on its port + 10000, which must be a port too.
    any_port = servers.free_port
    low = (port for port in iter(any_port, 0) if port < 55_000)
    monkeypatch.setattr(servers, "free_port", lambda: next(low))
    server = start_redis("cluster-enabled", "yes", version=version)
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    with on(server, "name{with}:%") as there:
        stage, backend = there.stage, there.stage.backend
        stage.until(lambda: there.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        ann, bob = stage.session("ann"), stage.session("bob")
        first, second = stage.hold(ann), stage.wait(bob)
        stage.run(backend.locks.renew(ann, first.request_id, 1, 60_000))
        stage.release(first)
        taken = stage.request(ann)
        stage.run(backend.locks.preempt(taken, stage.token(second), "mine"))
        stage.run(backend.locks.withdraw(ann, taken.request_id, keep=False))
        stage.run(backend.locks.break_lock(ann, "break", "lock", "stuck"))
        stage.run(backend.locks.held(""))
        assert stage.own(bob).losses
        stage.run(backend.presence.update(ann, SessionInfo("ann", revision=1)))
        stage.run(backend.presence.reap())
        assert len(stage.run(backend.presence.members(None)).sessions or ()) == 2
        signal = NewSignal(ann, "signal", "note", b"1", 60_000)
        stage.run(backend.signals.send(signal, "bob", allow_offline=False))
        stage.run(backend.signals.broadcast(NewSignal(ann, "all", "note", b"2", 60_000), ["bob"]))
        assert len(stage.run(backend.signals.receive(bob, 0, (), None, 9))) == 2
        assert stage.run(backend.signals.ack(bob, ["signal", "all.bob"])) == (True, True)
        stage.run(backend.signals.trim(9))
        depart(there, ann, bob)
        stage.run(backend.drop())


@rule("X8")
@pytest.mark.parametrize("own", ["", "}", "{x}", "%7B", "a:b"])
def test_names_of_keys_tell_namespaces_apart(own: str) -> None:
    keys = Keys(own + "ns")
    assert keys.prefix.count("{") == keys.prefix.count("}") == 1
    others = [Keys(other + "ns") for other in ("", "}", "{x}", "%7B", "a:b") if other != own]
    assert not any(keys.all & other.all for other in others)


def test_a_release_of_another_sessions_request_touches_nothing(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held, waits = stage.hold(ann), stage.wait(bob)
    for mine, other in ((held, bob), (waits, ann)):
        assert stage.run(stage.backend.locks.release(other, mine.request_id)).ok is False
    assert isinstance(stage.acquire(held), Granted)
    assert isinstance(stage.acquire(waits), Queued)
    assert stage.release(held)
    assert isinstance(stage.acquire(held), Ended)
    assert stage.holding() == [waits.request_id]


def test_a_session_record_that_is_lost_does_not_end_the_session(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    stage.hold(ann)
    there.client.hset(there.keys["leases"], "ann", "garbage")
    there.client.hset(there.keys["records"], "ann", "garbage")
    assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
    assert stage.run(stage.backend.presence.get("ann")) is None
    depart(there, ann)
    assert there.left() == {}
