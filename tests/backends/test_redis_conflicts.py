"""Contests in Redis: what stays on record, for how long, and what garbage does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from comity.logs import corrupt_counts
from comity.model import Changed, Claim, Granted, Mode, Settled, Settlement, Verdict
from comity.testing.kit.rules import rule
from comity_redis.keys import FS, RS, owner
from tests.backends.redis_spaces import Space, space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity.model import Contest, LockRequest, SessionRef
    from comity.testing.kit import Stage
    from tests.servers import Servers


@pytest.fixture
def quick(redis_servers: Servers) -> Iterator[Space]:
    with space("7.0", redis_servers) as opened:
        yield opened


def contest(stage: Stage, *agent_ids: str, name: str = "lock") -> Contest:
    return stage.run(stage.backend.conflicts.contest(name, agent_ids))


def decide(
    stage: Stage,
    *pairs: tuple[SessionRef, SessionRef],
    take: LockRequest | None = None,
    name: str = "lock",
    strategy: str = "test",
    reason: str = "because",
) -> Settlement:
    facts = contest(stage, name=name)
    verdicts = tuple(Verdict(winner, loser, strategy, reason) for winner, loser in pairs)
    tokens = tuple(holder.token for holder in facts.holders)
    return Settlement(stage.new("settle"), name, facts.counter, tokens, verdicts, take)


def settle(stage: Stage, settlement: Settlement) -> Settled:
    answer = stage.run(stage.backend.conflicts.settle(settlement))
    assert isinstance(answer, Settled), answer
    return answer


def end_all(stage: Stage, *sessions: SessionRef) -> None:
    for session in sessions:
        assert stage.run(stage.backend.presence.depart(session))


def test_nothing_is_left_behind_when_all_sessions_ended(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
    stage.hold(ann, mode=Mode.SHARED)
    stage.hold(bob, mode=Mode.SHARED)
    stage.wait(ann)
    settle(stage, decide(stage, (cid, ann), (cid, bob), take=stage.request(cid)))
    settle(stage, decide(stage, (ann, bob), name="free"))
    stage.release(stage.hold(bob, "free"))
    settle(stage, decide(stage, (bob, cid), name="free"))
    assert set(there.left()) >= {"live", "locks", "own", "past", "queue", "verdicts"}
    end_all(stage, ann, bob, cid)
    assert there.left() == {}


def test_nothing_is_left_behind_when_all_sessions_were_reaped(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann", ttl=0.3), stage.session("bob", ttl=0.3)
    stage.hold(ann)
    settle(stage, decide(stage, (bob, ann), take=stage.request(bob)))
    stage.outlive(ann)
    stage.outlive(bob)
    while stage.run(stage.backend.presence.reap()).agent_id is not None:
        pass
    assert there.left() == {}


def test_a_decision_that_is_void_does_not_seem_to_stand_again(there: Space) -> None:
    # The counter of a name starts again from 0 when nothing is left of it.
    stage = there.stage
    ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
    settle(stage, decide(stage, (ann, bob)))
    assert len(contest(stage, "ann", "bob").standing) == 1
    stage.hold(cid)
    assert contest(stage, "ann", "bob").standing == ()
    end_all(stage, cid)
    assert contest(stage, "ann", "bob").counter == 0
    assert contest(stage, "ann", "bob").standing == ()


def test_a_decision_outlives_the_last_holder(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
    stage.hold(cid)
    counter = contest(stage).counter
    settle(stage, decide(stage, (ann, bob)))
    end_all(stage, cid)
    facts = contest(stage, "ann", "bob")
    assert facts.counter == counter
    assert [verdict.winner for verdict in facts.standing] == [ann]
    end_all(stage, bob)
    assert contest(stage, "ann").counter == 0


def test_only_the_pairs_of_the_session_that_ended_go(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
    settle(stage, decide(stage, (ann, bob), (bob, cid), (ann, cid)))
    end_all(stage, bob)
    standing = contest(stage, "ann", "cid").standing
    assert [(verdict.winner, verdict.loser) for verdict in standing] == [(ann, cid)]


@rule("C3", "L8")
def test_the_loser_is_told_by_whom_and_why(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann)
    settle(stage, decide(stage, (bob, ann), take=stage.request(bob), strategy="polite", reason="it is older"))
    (loss,) = stage.own(ann).losses
    assert (loss.request_id, loss.reason) == (held.request_id, "taken over by bob (polite: it is older)")
    (event,) = stage.told("lock.lost")
    assert (event["reason"], event["by"]) == (loss.reason, "bob")
    (resolved,) = stage.told("conflict.resolved")
    assert set(resolved) == {"type", "name", "winner", "loser", "strategy", "reason", "token"}


@rule("C4")
def test_events_of_decisions_are_json_whatever_the_names_are(there: Space) -> None:
    stage = there.stage
    name, reason = 'a "quoted" \\ name ☃ %s', 'so\nit "is" \\ %d'
    ann, bob = stage.session('"ann"'), stage.session("b\\ob %")
    stage.hold(ann, name)
    settled = settle(stage, decide(stage, (bob, ann), take=stage.request(bob, name), name=name, reason=reason))
    assert settled.granted
    (event,) = (event for event in stage.stored("comity") if event.type == "conflict.resolved")
    told = json.loads(event.payload)
    assert (told["name"], told["winner"], told["loser"]) == (name, "b\\ob %", '"ann"')
    assert told["reason"] == reason.replace("\n", " ")  # control characters part fields
    assert told["token"] == settled.granted.token
    assert [v.reason for v in contest(stage, '"ann"', name=name).standing] == [told["reason"]]


@rule("X4")
def test_a_settlement_tried_again_answers_as_before_though_all_has_moved_on(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann)
    take = stage.request(bob, ttl_ms=60_000)
    settlement = decide(stage, (bob, ann), take=take)
    first = settle(stage, settlement)
    stage.release(take)
    stage.hold(ann)
    again = settle(stage, settlement)
    assert again.standing == first.standing
    assert again.granted is not None
    assert first.granted is not None
    assert (again.granted.token, again.granted.ttl_ms) == (first.granted.token, 60_000)
    assert len(stage.told("conflict.resolved")) == 1
    # What is decided anew is judged by the facts.
    stale = attrs.evolve(settlement, request_id=stage.new("settle"), take=None)
    assert isinstance(stage.run(stage.backend.conflicts.settle(stale)), Changed)


def test_a_settlement_is_remembered_apart_from_the_request_it_hands_the_name_to(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann)
    take = stage.request(bob)
    settle(stage, attrs.evolve(decide(stage, (bob, ann), take=take), request_id=take.request_id))
    assert isinstance(stage.acquire(take), Granted)
    assert stage.release(take)


def test_a_grant_by_decision_does_not_move_the_counter_whatever_follows(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann)
    counter = contest(stage).counter
    take = stage.request(bob)
    settle(stage, decide(stage, (bob, ann), take=take))
    stage.run(stage.backend.locks.renew(bob, take.request_id, 1, 60_000))
    assert contest(stage).counter == counter
    stage.release(take)
    assert contest(stage).counter == counter
    assert [v.winner for v in contest(stage, "ann", "bob").standing] == [bob]
    held = stage.hold(bob)
    assert contest(stage).counter == stage.token(held) > counter


def test_a_lease_whose_own_time_is_over_is_a_past_claim(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    held = stage.hold(ann, ttl_ms=150)
    token = stage.token(held)
    stage.until(lambda: not stage.holding())
    (party,) = contest(stage, "ann").parties
    assert (party.claim, party.claim_us, party.tokens) == (Claim.PAST, token, ())


def test_one_that_may_hold_no_more_takes_nothing_over(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann)
    stage.hold(bob, "other")
    settled = settle(stage, decide(stage, (bob, ann), take=stage.request(bob, max_held=1)))
    assert settled.granted is None
    assert [verdict.winner for verdict in settled.standing] == [bob]
    assert stage.holding() == [held.request_id]


def test_decisions_that_cannot_be_read_are_skipped(there: Space) -> None:
    stage = there.stage
    ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
    settle(stage, decide(stage, (ann, bob)))
    record = there.client.hget(there.keys["verdicts"], "lock").decode()
    counter, good = record.split(RS)
    there.client.hset(there.keys["verdicts"], "lock", RS.join((counter, "garbage", owner(ann) + FS, good)))
    before = corrupt_counts["verdict"]
    assert [verdict.winner for verdict in contest(stage, "ann", "bob").standing] == [ann]
    assert corrupt_counts["verdict"] == before + 2
    settled = settle(stage, decide(stage, (bob, ann), (cid, ann)))
    assert [verdict.winner for verdict in settled.standing] == [ann, cid]
    assert int(there.client.hget(there.keys["meta"], "corrupt")) == 2
    end_all(stage, ann, bob, cid)
    assert there.left() == {}


def test_a_record_of_decisions_that_is_all_garbage_is_replaced(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    there.client.hset(there.keys["verdicts"], "lock", "garbage")
    assert (contest(stage, "ann", "bob").counter, contest(stage, "ann", "bob").standing) == (0, ())
    assert [verdict.winner for verdict in settle(stage, decide(stage, (ann, bob))).standing] == [ann]
    assert len(contest(stage, "ann", "bob").standing) == 1


def test_a_session_in_many_decisions_has_a_bounded_list_of_them(quick: Space) -> None:
    stage = quick.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    for number in range(1005):
        name = f"n{number:04}"
        verdicts = (Verdict(ann, bob, "test", "because"),)
        settle(stage, Settlement(stage.new("settle"), name, 0, (), verdicts))
        assert len(contest(stage, "ann", "bob", name=name).standing) == 1
        if number < 500:
            stage.hold(ann, name)  # its decision is void
    of_ann = f"{owner(ann)}{FS}v"
    count = quick.client.zlexcount(quick.keys["own"], f"[{of_ann}{FS}", f"({of_ann} ")
    assert count <= 1000
    assert 500 <= quick.client.hlen(quick.keys["verdicts"]) <= 1000
    # Those that were void went, and the others stand.
    standing = [len(contest(stage, "ann", "bob", name=f"n{number:04}").standing) for number in range(500, 1005)]
    assert standing == [1] * 505
    end_all(stage, ann, bob)
    assert quick.left() == {}
