"""Rules K1 and K2 of the contract: what is put is read, in order, and changed only by who knows what is there."""

from __future__ import annotations

import time

import pytest

from comity.errors import SessionLost
from comity.model import Mismatch, Written
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests

END = b"\xff"
"""Behind every key."""


class StateSteps(StepTests):
    """Values stand under keys."""

    @rule("K1")
    def test_what_is_put_is_read_as_it_was_put(self, stage: Stage) -> None:
        ann = stage.session("ann")
        value = '{"text":"naïve ☃ \\u0000\\u001f","n":[1,2.5,null]}'.encode()
        version = stage.put(ann, "plan ☃", value)
        entry = stage.entry("plan ☃")
        assert entry is not None
        assert (entry.key, entry.value, entry.version, entry.writer) == ("plan ☃", value, version, "ann")
        assert (entry.owner, entry.expires_ms) == ("", None)
        assert abs(entry.at_ms / 1000 - time.time()) < 60
        assert stage.entry("plan") is None

    @rule("K1", "X6")
    def test_a_value_of_256_kib_is_kept_whole(self, stage: Stage) -> None:
        ann, value = stage.session("ann"), b'"' + b"x" * (256 * 1024 - 2) + b'"'
        stage.put(ann, "plan", value)
        stage.put(ann, "plan", value[:-1] + b'y"')
        entry = stage.entry("plan")
        assert entry is not None
        assert entry.value == value[:-1] + b'y"'

    @rule("K1")
    def test_versions_of_a_key_grow_also_over_its_deletion(self, stage: Stage) -> None:
        ann = stage.session("ann")
        versions = [stage.put(ann, "plan"), stage.put(ann, "plan"), stage.delete(ann, "plan"), stage.put(ann, "plan")]
        assert versions == sorted({*versions})
        stage.run(stage.backend.drop())
        assert stage.put(stage.session("bob"), "plan") > versions[-1]

    @rule("K1")
    def test_a_write_that_expects_a_version_needs_that_very_one(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        first = stage.put(ann, "plan", b"1", expect_version=0)
        second = stage.put(bob, "plan", b"2", expect_version=first)
        for expected in (first, 0, second + 1):
            answer = stage.write(ann, "plan", b"3", expect_version=expected)
            assert isinstance(answer, Mismatch)
            assert answer.current is not None
            assert (answer.current.value, answer.current.version, answer.current.writer) == (b"2", second, "bob")
        assert stage.value("plan") == b"2"
        assert stage.put(ann, "plan", b"3", expect_version=second) > second

    @rule("K1")
    def test_a_version_of_an_earlier_life_is_not_the_present_one(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = stage.put(ann, "plan", b"1")
        stage.delete(ann, "plan", expect_version=first)
        answer = stage.write(ann, "plan", b"2", expect_version=first)
        assert answer == Mismatch(None)
        stage.put(ann, "plan", b"1", expect_version=0)
        assert isinstance(stage.write(ann, "plan", b"2", expect_version=first), Mismatch)
        assert stage.value("plan") == b"1"

    @rule("K1")
    def test_a_deletion_may_expect_a_version_too(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = stage.put(ann, "plan", b"1")
        second = stage.put(ann, "plan", b"2")
        answer = stage.write(ann, "plan", None, expect_version=first)
        assert isinstance(answer, Mismatch)
        assert answer.current is not None
        assert answer.current.version == second
        assert stage.delete(ann, "plan", expect_version=second) > second
        assert stage.entry("plan") is None

    @rule("K1")
    def test_deleting_what_is_not_there_changes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        assert stage.delete(ann, "plan") == 0
        assert stage.delete(ann, "plan", expect_version=0) == 0
        assert stage.changes() == []

    @rule("K1", "X1")
    def test_of_many_that_expect_the_same_version_one_writes(self, stage: Stage) -> None:
        refs = [stage.session(f"agent{number}") for number in range(8)]
        asked = [stage.described(ref, "plan", expect_version=0) for ref in refs]
        answers = stage.race(
            lambda b, each: b.state.put(each, b"1", ttl_ms=None, ephemeral=False, max_held=1000),
            asked,
        )
        assert sum(isinstance(answer, Written) for answer in answers) == 1
        assert sum(isinstance(answer, Mismatch) for answer in answers) == 7

    @rule("X4")
    def test_a_retried_put_answers_its_version_and_writes_no_more(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request_id = stage.new("put")
        first = stage.put(ann, "plan", b"1", request_id=request_id)
        stage.put(ann, "plan", b"2")
        assert stage.put(ann, "plan", b"1", request_id=request_id) == first
        assert stage.value("plan") == b"2"
        stage.delete(ann, "plan")
        assert stage.put(ann, "plan", b"1", request_id=request_id) == first
        assert stage.entry("plan") is None

    @rule("X4")
    def test_a_retried_compare_and_set_is_no_conflict_with_itself(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request_id = stage.new("put")
        first = stage.put(ann, "plan", b"1", expect_version=0, request_id=request_id)
        assert stage.put(ann, "plan", b"1", expect_version=0, request_id=request_id) == first

    @rule("X4")
    def test_a_retried_deletion_answers_as_before_and_deletes_no_more(self, stage: Stage) -> None:
        ann = stage.session("ann")
        nothing, something = stage.new("delete"), stage.new("delete")
        assert stage.delete(ann, "plan", request_id=nothing) == 0
        stage.put(ann, "plan")
        assert stage.delete(ann, "plan", request_id=nothing) == 0
        version = stage.delete(ann, "plan", request_id=something)
        stage.put(ann, "plan")
        assert stage.delete(ann, "plan", request_id=something) == version > 0
        assert stage.entry("plan") is not None

    @rule("X4", "X5")
    def test_a_write_that_was_voided_never_comes(self, stage: Stage) -> None:
        ann = stage.session("ann")
        late, done = stage.new("put"), stage.new("put")
        version = stage.put(ann, "plan", b"1", request_id=done)
        voided = [stage.run(stage.backend.state.void(ann, each)).version for each in (done, late, late)]
        assert voided == [version, 0, 0]
        assert stage.put(ann, "plan", b"2", request_id=late) == 0
        assert stage.value("plan") == b"1"

    @rule("X4", "X5")
    def test_a_write_of_unknown_outcome_is_undone_by_voiding_it(self, stage: Stage) -> None:
        ann = stage.session("ann")
        write = stage.described(ann, "plan")
        op = stage.backend.state.put(write, b"1", ttl_ms=None, ephemeral=False, max_held=1000)
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        answer = stage.run(op)
        assert isinstance(answer, Written)
        assert answer.version == 0
        assert stage.entry("plan") is None
        deletion = stage.backend.state.delete(stage.described(ann, "plan"))
        assert deletion.undo(None) is not None
        assert op.undo(Written(1)) is None

    @rule("K1", "X4")
    def test_a_session_that_is_over_writes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request_id = stage.new("put")
        version = stage.put(ann, "plan", b"1", request_id=request_id)
        stage.run(stage.backend.presence.depart(ann))
        for value in (b"2", None):
            with pytest.raises(SessionLost):
                stage.write(ann, "plan", value)
        assert stage.value("plan") == b"1"
        assert stage.put(ann, "plan", b"1", request_id=request_id) == version  # the truth, as before

    @rule("K1")
    def test_keys_are_listed_in_the_order_of_their_bytes(self, stage: Stage) -> None:
        ann = stage.session("ann")
        keys = ["a", "a b", "a!", "a/", "a/b", "ab", "b", "B", "é", "\U0001f600", "￿", "a\U0010ffff"]
        for key in keys:
            stage.put(ann, key, b'"%s"' % key.encode())
        everything = stage.page(b"", END)
        assert [entry.key for entry in everything.entries] == sorted(keys, key=str.encode)
        assert everything.entries[0].value == b'"B"'
        assert everything.rest is None
        begun = [entry.key for entry in stage.page(b"a", b"a" + END).entries]
        assert begun == sorted((key for key in keys if key.startswith("a")), key=str.encode)
        assert [entry.key for entry in stage.page(b"a/", b"a/" + END).entries] == ["a/", "a/b"]
        assert stage.page(b"c", b"d").entries == ()

    @rule("K1")
    def test_a_list_is_read_on_page_by_page(self, stage: Stage) -> None:
        ann = stage.session("ann")
        keys = [f"k{number:02}" for number in range(10)]
        for key in keys:
            stage.put(ann, key)
        start: bytes | None = b""
        pages = []
        while start is not None:
            page = stage.page(start, END, limit=4)
            pages.append([entry.key for entry in page.entries])
            start = page.rest
        assert [key for page in pages for key in page] == keys
        assert [len(page) for page in pages] == [4, 4, 2]

    @rule("K1", "K3")
    def test_a_list_tells_its_place_among_the_changes(self, stage: Stage) -> None:
        ann = stage.session("ann")
        before = stage.page(b"", END)
        assert (before.epoch, before.position) == (0, 0)
        stage.put(ann, "a")
        stage.put(ann, "b")
        page = stage.page(b"", END)
        assert page.position == 2
        assert page.epoch > 0
        stage.delete(ann, "a")
        assert stage.page(b"", END).position == 3

    @rule("X8")
    def test_namespaces_share_no_keys(self, stage: Stage) -> None:
        stage.put(stage.session("ann"), "plan")
        other = stage.another(f"{stage.namespace}-other")
        assert stage.run(other.state.get("plan")) is None
        assert stage.run(other.state.list(b"", END, 10)).entries == ()
