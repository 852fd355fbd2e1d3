"""What the module that Comity grew out of did wrong, and what is so now; the page about it names each of these."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity import ConflictStrategy, LockTimeout
from comity.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[2] / "docs/howto/coming_from_empathy_framework.md"
SHORT: dict[str, Any] = {"session_ttl": 0.6, "heartbeat_interval": 0.15}
WITHIN = 10.0


class Crew:
    """Sessions on one file, each of which can die as a killed process does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._joined: dict[str, tuple[comity.Coordinator, Faults]] = {}

    def __call__(self, agent_id: str, **options: Any) -> comity.Coordinator:
        faults = Faults()
        me = comity.connect(self.url, agent_id=agent_id, interceptors=[faults], **options)
        self._joined[f"{agent_id} {options.get('namespace')}"] = (me, faults)
        return me

    def kill(self, me: comity.Coordinator) -> None:
        next(faults for each, faults in self._joined.values() if each is me).kill(me)

    def close(self) -> None:
        for me, faults in self._joined.values():
            faults.mend()
            me.close()


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(f"sqlite:///{tmp_path}/seed.db")
    yield crew
    crew.close()


def soon(condition: Callable[[], object]) -> None:
    done = threading.Event()
    for _ in range(int(WITHIN / 0.02)):
        if condition():
            return
        done.wait(0.02)
    raise AssertionError(f"not so within {WITHIN} s")


def test_a_lock_has_an_end_from_the_step_that_grants_it(join: Crew) -> None:
    ann, bob = join("ann", **SHORT), join("bob")
    ann.locks.acquire("file")
    holder = bob.locks.holder("file")
    assert holder is not None
    assert holder.expires_in is not None
    assert holder.expires_in <= 0.6
    join.kill(ann)
    assert bob.locks.acquire("file", timeout=WITHIN).token > holder.token


def test_a_lease_lasts_as_long_as_its_session_beats(join: Crew) -> None:
    ann, bob = join("ann", **SHORT), join("bob")
    lease = ann.locks.acquire("file")
    with pytest.raises(LockTimeout):
        bob.locks.acquire("file", timeout=1.3)  # twice the session's ttl
    assert lease.ensure_held() == lease.token


def test_a_late_release_does_not_free_the_next_holders_lock(join: Crew) -> None:
    ann, bob = join("ann"), join("bob")
    late = ann.locks.acquire("file", ttl=0.05)
    taken = bob.locks.acquire("file", timeout=WITHIN)
    assert late.release() is False
    assert taken.release() is True


def test_every_later_holder_has_a_larger_token(join: Crew) -> None:
    ann, bob = join("ann"), join("bob")
    tokens = []
    for me in (ann, bob, ann, bob):
        with me.locks.acquire("file") as lease:
            tokens.append(lease.token)
    assert tokens == sorted(set(tokens))


def test_a_session_may_ask_to_enter_again(join: Crew) -> None:
    ann = join("ann")
    with ann.locks.acquire("file", reentrant=True) as outer:
        with pytest.raises(LockTimeout):
            ann.locks.acquire("file", timeout=0)
        with ann.locks.acquire("file", timeout=0, reentrant=True) as inner:
            assert inner.token == outer.token
        assert outer.ensure_held() == outer.token


def test_times_are_aware_and_the_stores(join: Crew) -> None:
    ann = join("ann")
    (info,) = ann.sessions.active()
    assert info.started_at.utcoffset() is not None
    assert info.last_heartbeat >= info.started_at
    assert type(info).from_dict(info.to_dict()) == info


def test_a_session_that_died_is_told_as_left_exactly_once(join: Crew) -> None:
    ann, bob, cid = join("ann", **SHORT), join("bob", **SHORT), join("cid", **SHORT)
    left: list[tuple[str, str]] = []
    cid.sessions.on_left(lambda info, reason: left.append((info.agent_id, reason)))
    join.kill(ann)
    soon(lambda: left)
    assert "ann" not in {info.agent_id for info in bob.sessions.active()}
    bob.events.publish("later", 1)
    bob.depart()
    soon(lambda: len(left) > 1)
    assert left == [("ann", "expired"), ("bob", "departed")]


def test_a_heartbeat_never_revives_a_session(join: Crew) -> None:
    ann, bob = join("ann", **SHORT), join("bob")
    join.kill(ann)
    soon(lambda: bob.sessions.get("ann") is None)
    with pytest.raises(comity.SessionLost):
        ann.beat()
    assert bob.sessions.get("ann") is None


def test_both_sides_of_a_conflict_get_the_same_winner(join: Crew) -> None:
    ann, bob = join("ann"), join("bob")
    for number, strategy in enumerate(ConflictStrategy):
        name = f"file {number}"
        one = ann.conflicts.resolve(name, "bob", strategy=strategy)
        other = bob.conflicts.resolve(name, "ann", strategy=strategy)
        assert one.winner == other.winner


def test_settling_a_conflict_hands_nothing_to_a_session_that_does_not_want_it(join: Crew) -> None:
    ann, bob = join("ann"), join("bob")
    ann.conflicts.resolve("file", "bob", strategy=ConflictStrategy.FIRST_WRITE_WINS)
    assert bob.locks.holder("file") is None


def test_a_session_that_is_gone_loses(join: Crew) -> None:
    ann = join("ann")
    result = ann.conflicts.resolve("file", "nobody")
    assert (result.winner, result.loser) == ("ann", "nobody")
    assert "not live" in result.reason


def test_a_standby_that_stops_leaves_the_leader_alone(join: Crew) -> None:
    leader = comity.get_or_start_service(join("ann", access_tier="steward"))
    soon(lambda: leader.is_running)
    standby = comity.get_or_start_service(join("bob", access_tier="steward"))
    soon(lambda: standby.is_standing_by)
    standby.stop()
    assert leader.is_running
    assert leader.get_status().leader == "ann"
    leader.stop()


def test_there_is_always_a_service_to_ask(join: Crew) -> None:
    ann, bob = join("ann", access_tier="steward", **SHORT), join("bob", access_tier="steward")
    leader = comity.get_or_start_service(ann)
    soon(lambda: leader.is_running)
    standby = comity.get_or_start_service(bob)
    assert standby.get_status().leader == "ann"
    assert not standby.is_running
    join.kill(ann)
    soon(lambda: standby.is_running)
    standby.stop()


def test_a_watch_can_be_ended(join: Crew) -> None:
    ann = join("ann")
    watch = ann.sessions.watch()
    ended = threading.Event()

    def follow() -> None:
        for _ in watch:
            pass
        ended.set()

    threading.Thread(target=follow, daemon=True).start()
    watch.close()
    assert ended.wait(WITHIN)


def test_a_handler_that_raises_stops_nobody_else(join: Crew) -> None:
    ann = join("ann")
    seen: list[str] = []

    def breaks(_: object) -> None:
        raise RuntimeError("on purpose")

    ann.sessions.on_joined(breaks)
    ann.sessions.on_joined(lambda info: seen.append(info.agent_id))
    join("bob")
    soon(lambda: seen == ["bob"])


def test_two_namespaces_do_not_see_each_other(join: Crew) -> None:
    ann, other = join("ann", namespace="one"), join("ann", namespace="two")
    ann.locks.acquire("file", timeout=0)
    other.locks.acquire("file", timeout=0)
    assert [info.agent_id for info in other.sessions.active()] == ["ann"]


def test_two_signals_of_one_type_both_arrive_in_order(join: Crew) -> None:
    ann, bob = join("ann"), join("bob")
    ann.signals.send("bob", "ready", 1)
    ann.signals.send("bob", "ready", 2)
    assert [signal.data for signal in bob.signals.receive(timeout=WITHIN)] == [1, 2]


def test_an_acknowledged_signal_does_not_come_again_and_a_broadcast_not_to_its_sender(join: Crew) -> None:
    ann, bob = join("ann"), join("bob")
    ann.signals.broadcast("ready")
    (signal,) = bob.signals.receive(timeout=WITHIN)
    assert signal.ack()
    assert bob.signals.peek() == []
    assert ann.signals.peek() == []


def test_a_task_of_a_worker_that_died_is_claimed_again(join: Crew) -> None:
    ann, bob = join("ann", **SHORT), join("bob")
    bob.tasks.push("reviews", {"file": "a.py"})
    assert ann.tasks.claim("reviews", timeout=WITHIN) is not None
    join.kill(ann)
    claim = bob.tasks.claim("reviews", timeout=WITHIN)
    assert claim is not None
    assert (claim.task.payload, claim.task.attempts) == ({"file": "a.py"}, 2)
    claim.complete("fine")


def test_the_page_names_tests_that_exist_and_all_of_them() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    here = {name for name in globals() if name.startswith("test_")} - {
        test_the_page_names_tests_that_exist_and_all_of_them.__name__
    }
    assert named == here
