"""Rules K3 and K4 of the contract: every change is told in order, also those that come about by themselves."""

from __future__ import annotations

import pytest

from comity.errors import LimitExceeded
from comity.model import STATE_TOPIC, UNTOLD_KEYS, Mismatch, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, START, Stage, StepTests

END = b"\xff"


class ChangeSteps(StepTests):
    """What becomes of keys, and how it is told."""

    def kinds(self, stage: Stage) -> list[tuple[str, str]]:
        """Return what was told, as (type, key)."""
        return [(change["type"].removeprefix("state."), change["key"]) for change in stage.changes()]

    @rule("K3")
    def test_each_change_is_told_by_the_step_that_makes_it(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = stage.put(ann, 'a "plan" \\', b'{"n":[1,2.50]}')
        second = stage.delete(ann, 'a "plan" \\')
        put, deleted = stage.changes()
        assert put == {
            "type": "state.put",
            "sender": "ann",
            "key": 'a "plan" \\',
            "version": first,
            "value": {"n": [1, 2.5]},
            "ttl_ms": None,
            "owner": "",
        }
        assert deleted == {"type": "state.deleted", "sender": "ann", "key": 'a "plan" \\', "version": second}
        stage.put(ann, "b", ttl_ms=60_000, ephemeral=True)
        assert [stage.changes()[-1][name] for name in ("ttl_ms", "owner")] == [60_000, "ann"]

    @rule("K3", "B2")
    def test_nothing_is_told_of_the_services_own_keys(self, stage: Stage) -> None:
        ann = stage.session("ann")
        own = f"{UNTOLD_KEYS}report"
        stage.put(ann, own, b"1")
        stage.delete(ann, own)
        stage.put(ann, own, b"2", ttl_ms=20)
        stage.until(lambda: stage.entry(own) is None, within=1.0)
        stage.put(ann, own, b"3", ttl_ms=20)
        stage.until(lambda: stage.run(stage.backend.state.trim(10)).count == 1, within=1.0)
        stage.put(ann, "plan")
        stage.put(ann, own[:-8], b"4")  # not below it
        assert [change["key"] for change in stage.changes()] == ["plan", own[:-8]]

    @rule("K3")
    def test_a_follower_of_the_changes_is_woken(self, stage: Stage) -> None:
        ann = stage.session("ann")
        ear = stage.listener(None)
        ear.follow(STATE_TOPIC)
        stage.settle(ear)
        stage.put(ann, "plan")
        assert stage.hears(ear, WakeKind.TOPIC).name == STATE_TOPIC

    @rule("K1", "X2")
    def test_a_key_is_gone_for_every_reader_when_its_time_is_over(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", ttl_ms=150)
        entry = stage.entry("plan")
        assert entry is not None
        assert entry.expires_ms is not None
        assert 0 < entry.expires_ms <= 150
        stage.until(lambda: stage.entry("plan") is None, within=1.0)
        assert stage.page(b"", END).entries == ()
        version = stage.put(ann, "plan", b"2", expect_version=0)
        assert version
        assert stage.entry("plan") == stage.page(b"", END).entries[0]

    @rule("K3")
    def test_expired_keys_are_trimmed_and_told_once(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for key in ("a", "b", "c"):
            stage.put(ann, key, ttl_ms=1)
        stage.put(ann, "later", ttl_ms=60_000)
        stage.until(lambda: [entry.key for entry in stage.page(b"", END).entries] == ["later"])
        trimmed = [stage.run(stage.backend.state.trim(2)) for _ in range(3)]
        assert sum(each.count for each in trimmed) <= 3  # a write may have taken one away
        told = [key for kind, key in self.kinds(stage) if kind == "expired"]
        assert sorted(told) == ["a", "b", "c"]
        last = trimmed[-1].next_due_ms
        assert last is not None
        assert 50_000 < last <= 60_000

    @rule("K3")
    def test_a_list_tells_when_the_next_key_expires(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "for ever")
        assert stage.page(b"", END).next_due_ms is None
        stage.put(ann, "long", ttl_ms=90_000)
        stage.put(ann, "short", ttl_ms=30_000)
        due = stage.page(b"", END).next_due_ms
        assert due is not None
        assert 20_000 < due <= 30_000
        stage.put(ann, "short")
        due = stage.page(b"", END).next_due_ms
        assert due is not None
        assert 80_000 < due <= 90_000
        stage.delete(ann, "long")
        assert stage.page(b"", END).next_due_ms is None

    @rule("K3")
    def test_a_key_past_its_time_is_told_gone_before_it_is_put_anew(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", ttl_ms=1)
        stage.until(lambda: stage.entry("plan") is None)
        stage.put(ann, "plan")
        assert self.kinds(stage) == [("put", "plan"), ("expired", "plan"), ("put", "plan")]
        versions = [change["version"] for change in stage.changes()]
        assert versions == sorted({*versions})

    @rule("K3")
    def test_later_writes_take_away_what_has_expired(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for number in range(20):
            stage.put(ann, f"brief{number}", ttl_ms=1)

        def swept() -> bool:
            stage.put(ann, "plan")
            told[:] = [key for kind, key in self.kinds(stage) if kind == "expired"]
            return len(told) >= 20

        told: list[str] = []
        stage.until(swept)
        assert sorted(told) == sorted(f"brief{number}" for number in range(20))

    @rule("K4", "S7")
    def test_an_ephemeral_key_ends_with_its_session_in_the_step_that_ends_it(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.put(ann, "b", ephemeral=True)
        stage.put(ann, "a", ephemeral=True)
        stage.put(ann, "kept")
        stage.put(bob, "bob's", ephemeral=True)
        entry = stage.entry("a")
        assert entry is not None
        assert entry.owner == "ann"
        stage.run(stage.backend.presence.depart(ann))
        assert [e.key for e in stage.page(b"", END).entries] == ["bob's", "kept"]
        ended = [change for change in stage.changes() if change["type"] == "state.ended"]
        assert [(change["key"], change["reason"]) for change in ended] == [("a", "departed"), ("b", "departed")]

    @rule("K4", "S8")
    def test_an_ephemeral_key_is_gone_at_its_sessions_deadline_and_told_once_by_the_reaping(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        stage.put(ann, "plan", ephemeral=True)
        stage.put(ann, "other", ephemeral=True)
        stage.put(bob, "bob's", ephemeral=True)
        stage.outlive(ann)
        assert stage.entry("plan") is None
        assert [e.key for e in stage.page(b"", END).entries] == ["bob's"]
        assert stage.write(bob, "plan", b"2", expect_version=1) == Mismatch(None)
        stage.run(stage.backend.presence.reap())
        stage.run(stage.backend.presence.reap())
        ended = [change for change in stage.changes() if change["type"] == "state.ended"]
        assert [(change["key"], change["reason"]) for change in ended] == [("other", "expired"), ("plan", "expired")]

    @rule("K4")
    def test_what_a_dead_session_left_may_be_put_anew_before_it_is_reaped(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        stage.put(ann, "plan", ephemeral=True)
        stage.outlive(ann)
        stage.put(bob, "plan", b"2", expect_version=0)
        stage.run(stage.backend.presence.reap())
        assert stage.value("plan") == b"2"
        assert self.kinds(stage) == [("put", "plan"), ("ended", "plan"), ("put", "plan")]

    @rule("K4")
    def test_a_key_belongs_to_whoever_put_it_last(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.put(ann, "a", ephemeral=True)
        stage.put(bob, "a", b"2", ephemeral=True)
        stage.put(ann, "b", ephemeral=True)
        stage.put(bob, "b", b"2")
        stage.put(bob, "c")
        stage.put(ann, "c", b"2", ephemeral=True)
        stage.run(stage.backend.presence.depart(ann))
        assert [(e.key, e.owner) for e in stage.page(b"", END).entries] == [("a", "bob"), ("b", "")]
        assert self.kinds(stage)[-1] == ("ended", "c")

    @rule("K4")
    def test_an_ephemeral_key_may_expire_before_its_session(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.put(ann, "plan", ephemeral=True, ttl_ms=1)
        stage.until(lambda: stage.entry("plan") is None)
        stage.run(stage.backend.state.trim(10))
        stage.run(stage.backend.presence.depart(ann))
        assert self.kinds(stage) == [("put", "plan"), ("expired", "plan")]

    @rule("K4")
    def test_a_session_has_only_so_many_ephemeral_keys(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for key in ("a", "b"):
            stage.put(ann, key, ephemeral=True, max_held=2)
        with pytest.raises(LimitExceeded):
            stage.put(ann, "c", ephemeral=True, max_held=2)
        assert stage.entry("c") is None
        stage.put(ann, "b", b"2", ephemeral=True, max_held=2)  # one that it has already
        stage.put(ann, "c", max_held=2)
        stage.delete(ann, "a")
        stage.put(ann, "d", ephemeral=True, max_held=2)

    @rule("X4", "K4")
    def test_an_ephemeral_key_of_an_ended_session_does_not_come_back(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request_id = stage.new("put")
        version = stage.put(ann, "plan", ephemeral=True, request_id=request_id)
        stage.run(stage.backend.presence.depart(ann))
        assert stage.put(ann, "plan", ephemeral=True, request_id=request_id) == version
        assert stage.entry("plan") is None

    @rule("K3")
    def test_the_topic_of_changes_keeps_what_fits_and_not_everything(self, stage: Stage) -> None:
        ann = stage.session("ann")
        value = b'"' + b"x" * (1024 * 1024) + b'"'
        for number in range(24):
            stage.put(ann, f"k{number}", value)
        (found,) = stage.run(stage.backend.pubsub.read({STATE_TOPIC: START}, 1000))
        assert found.last == 24
        assert 15 <= len(found.events) < 24
        assert [event.number for event in found.events] == list(range(found.first, 25))
