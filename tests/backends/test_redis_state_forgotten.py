"""The shared state on a server that evicts: what it has lost of keys in part (K1-K4, X11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Fence, Fenced, Mismatch, Written
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from tests.backends.redis_spaces import Space


@rule("K1", "X11")
def test_a_key_is_written_as_it_is_read_although_its_head_is_lost(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    version = stage.put(ann, "k")
    there.lose("heads")
    answer = stage.write(ann, "k", b"2", expect_version=0)
    assert isinstance(answer, Mismatch)
    assert answer.current is not None
    assert answer.current.version == version
    assert isinstance(stage.write(ann, "k", b"2", expect_version=version), Written)
    there.lose("heads")
    stage.put(ann, "k", b"3")
    assert [entry.value for entry in stage.page(b"", b"\xff").entries] == [b"3"]
    there.lose("heads")
    assert isinstance(stage.write(ann, "k", None), Written)
    assert stage.entry("k") is None


@rule("K2", "K3", "X11")
def test_keys_end_as_they_were_to_although_their_heads_are_lost(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.put(ann, "hers", ephemeral=True)
    stage.put(ann, "short", ttl_ms=30)
    there.lose("heads")
    assert stage.run(stage.backend.presence.depart(ann))
    assert stage.entry("hers") is None
    stage.until(lambda: stage.entry("short") is None)
    assert isinstance(stage.write(bob, "short", expect_version=0), Written)


@rule("K1", "K4", "X11")
def test_a_value_that_is_lost_is_not_there_and_its_fence_holds(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    held = stage.hold(ann)
    token = stage.token(held)
    stage.put(ann, "k", fence=Fence(token))
    there.lose("state")
    assert stage.entry("k") is None
    assert isinstance(stage.write(ann, "k", fence=Fence(token - 1)), Fenced)
    assert isinstance(stage.write(ann, "k", expect_version=0, fence=Fence(token)), Written)
    assert stage.value("k") == b"1"
