"""Rule K1 of the contract: a writer that was deposed writes nothing more, by its token and by its grant."""

from __future__ import annotations

import pytest

from comity.errors import SessionLost
from comity.model import Fence, Fenced, Grant, Granted, LockRequest, Mismatch, Mode, SessionRef, Written
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests


def by_token(token: int) -> Fence:
    """Return a fence that says the token alone."""
    return Fence(token)


def by_grant(stage: Stage, request: LockRequest, token: int | None = None) -> Fence:
    """Return a fence that says which grant must be held."""
    held = stage.token(request) if token is None else token
    name = request.wants[0].name
    return Fence(held, Grant(name, request.request_id, request.session, held))


class FenceSteps(StepTests):
    """Writes are fenced by tokens, and by grants that must be held."""

    @rule("K1", "X4")
    def test_several_keys_are_written_and_read_at_once_and_each_is_judged_by_itself(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "fenced", b"0", fence=by_token(9))
        version = stage.put(ann, "plan", b"0")
        writes = [
            stage.described(ann, "plan", expect_version=version),
            stage.described(ann, "fenced", fence=by_token(8)),
            stage.described(ann, "new", expect_version=0, fence=by_token(8)),
            stage.described(ann, "wrong", expect_version=1),
        ]
        puts = [(write, b"%d" % number) for number, write in enumerate(writes, 1)]
        answers = stage.run(stage.backend.state.put_all(puts, ttl_ms=500_000))
        assert [type(answer) for answer in answers] == [Written, Fenced, Written, Mismatch]
        again = stage.run(stage.backend.state.put_all(puts, ttl_ms=500_000))  # a reply was lost
        made = [answer.version for answer in answers if isinstance(answer, Written)]
        assert [answer.version for answer in again if isinstance(answer, Written)] == made
        found = stage.run(stage.backend.state.get_all(["new", "nothing", "plan", "fenced"]))
        assert [entry and (entry.key, entry.value) for entry in found] == [
            ("new", b"3"),
            None,
            ("plan", b"1"),
            ("fenced", b"0"),
        ]
        assert [entry and entry.version for entry in found][::2] == made[::-1]
        assert [bool(entry and entry.expires_ms) for entry in found] == [True, False, True, False]
        assert [change["key"] for change in stage.changes()] == ["fenced", "plan", "plan", "new"]
        stage.run(stage.backend.presence.depart(ann))
        with pytest.raises(SessionLost):
            stage.run(stage.backend.state.put_all([(stage.described(ann, "late"), b"1")], ttl_ms=None))
        assert stage.entry("late") is None

    def refused(self, stage: Stage, ref: SessionRef, fence: Fence, key: str = "plan") -> Fenced:
        """Write and delete in vain; return the refusal."""
        before = stage.changes()
        deletion = stage.write(ref, key, None, fence=fence)
        answer = stage.write(ref, key, b'"refused"', fence=fence)
        assert isinstance(answer, Fenced)
        assert answer == deletion
        assert stage.changes() == before
        return answer

    @rule("K1")
    def test_a_token_older_than_the_newest_that_wrote_the_key_is_refused(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.put(ann, "plan", b"1", fence=by_token(7))
        stage.put(bob, "plan", b"2", fence=by_token(9))
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)
        stage.put(bob, "plan", b"3", fence=by_token(9))
        assert stage.value("plan") == b"3"

    @rule("K1")
    def test_each_key_has_a_fence_of_its_own(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", fence=by_token(9))
        stage.put(ann, "other", fence=by_token(7))
        assert stage.value("other") == b"1"

    @rule("K1")
    def test_a_write_without_a_token_leaves_the_fence_where_it_is(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", fence=by_token(9))
        stage.put(ann, "plan", b"2")
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)

    @rule("K1")
    def test_the_fence_outlives_the_key(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", fence=by_token(7))
        stage.delete(ann, "plan", fence=by_token(9))
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)
        stage.put(ann, "plan")
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)
        stage.delete(ann, "plan")
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)
        stage.put(ann, "plan", b"2", fence=by_token(10))
        assert stage.value("plan") == b"2"

    @rule("K1")
    def test_a_deletion_of_nothing_sets_the_fence_too(self, stage: Stage) -> None:
        ann = stage.session("ann")
        assert stage.delete(ann, "plan", fence=by_token(9)) == 0
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)

    @rule("K1")
    def test_the_fence_outlives_a_key_that_expires(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", fence=by_token(9), ttl_ms=1)
        stage.until(lambda: stage.entry("plan") is None)
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)
        stage.run(stage.backend.state.trim(10))
        assert self.refused(stage, ann, by_token(8)) == Fenced(9)

    @rule("K1")
    def test_tokens_keep_all_their_digits(self, stage: Stage) -> None:
        ann = stage.session("ann")
        token = 1_790_000_000_123_457
        stage.put(ann, "plan", fence=by_token(token))
        assert self.refused(stage, ann, by_token(token - 1)) == Fenced(token)

    @rule("K1", "B1")
    def test_a_grant_that_is_held_writes(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann, "leader")
        fence = by_grant(stage, request)
        stage.put(ann, "plan", b"2", fence=fence)
        assert stage.value("plan") == b"2"
        stage.delete(ann, "plan", fence=fence)
        assert stage.entry("plan") is None

    @rule("K1", "B1")
    def test_a_grant_that_was_released_writes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann, "leader")
        fence = by_grant(stage, request)
        stage.release(request)
        assert self.refused(stage, ann, fence) == Fenced(0, grant_over=True)

    @rule("K1", "B1")
    def test_a_deposed_holder_writes_nothing_and_learns_of_the_newer_token(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request = stage.hold(ann, "leader")
        fence = by_grant(stage, request)
        stage.put(ann, "plan", b"1", fence=fence)
        taken = stage.run(stage.backend.locks.preempt(stage.request(bob, "leader"), fence.token, "because"))
        assert isinstance(taken, Granted)
        assert self.refused(stage, ann, fence) == Fenced(taken.token, grant_over=True)
        assert self.refused(stage, ann, fence, "never written") == Fenced(taken.token, grant_over=True)
        assert stage.value("plan") == b"1"

    @rule("K1", "B1")
    def test_a_holder_whose_session_ended_writes_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request, waiting = stage.hold(ann, "leader"), stage.wait(bob, "leader")
        fence = by_grant(stage, request)
        stage.run(stage.backend.presence.depart(ann))
        token = stage.token(waiting)
        cid = stage.session("cid")  # acts for it, late
        assert self.refused(stage, cid, fence) == Fenced(token, grant_over=True)

    @rule("K1", "B1")
    def test_a_holder_past_its_deadline_writes_nothing_though_nobody_reaped_it(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        fence = by_grant(stage, stage.hold(ann, "leader"))
        stage.outlive(ann)
        assert self.refused(stage, bob, fence) == Fenced(0, grant_over=True)

    @rule("K1", "B1")
    def test_a_lease_past_its_own_time_writes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.request(ann, "leader", ttl_ms=100)
        granted = stage.acquire(request)
        assert isinstance(granted, Granted)
        stage.until(lambda: not stage.token(request))
        assert self.refused(stage, ann, by_grant(stage, request, granted.token)) == Fenced(0, grant_over=True)

    @rule("K1")
    @pytest.mark.parametrize("mode", [Mode.SHARED])
    def test_a_shared_lease_is_no_fence(self, stage: Stage, mode: Mode) -> None:
        ann = stage.session("ann")
        fence = by_grant(stage, stage.hold(ann, "leader", mode=mode))
        assert self.refused(stage, ann, fence).grant_over

    @rule("K1")
    def test_another_token_or_request_than_the_one_held_is_no_fence(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request = stage.hold(ann, "leader")
        token = stage.token(request)
        strangers = [
            Grant("leader", "another", ann, token),
            Grant("leader", request.request_id, bob, token),
            Grant("leader", request.request_id, ann, token - 1),
            Grant("other", request.request_id, ann, token),
        ]
        for grant in strangers:
            assert self.refused(stage, ann, Fence(grant.token, grant)).grant_over

    @rule("K1")
    def test_a_grant_that_is_held_may_still_be_older_than_the_key(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        older, newer = stage.hold(ann, "leader"), stage.hold(bob, "other")
        token = stage.token(newer)
        stage.put(bob, "plan", fence=by_grant(stage, newer))
        assert self.refused(stage, ann, by_grant(stage, older)) == Fenced(token)

    @rule("X4", "K1")
    def test_a_retry_of_a_fenced_write_answers_though_the_grant_is_over(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request, request_id = stage.hold(ann, "leader"), stage.new("put")
        fence = by_grant(stage, request)
        version = stage.put(ann, "plan", fence=fence, request_id=request_id)
        stage.release(request)
        assert stage.put(ann, "plan", fence=fence, request_id=request_id) == version
