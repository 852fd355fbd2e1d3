"""Time on SQLite: the host's monotonic clock for life and death, the wall clock for show and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendUnfit, SessionLost
from comity.model import SYSTEM_TOPIC, Granted, TopicPosition
from comity.testing.kit.rules import rule
from comity_sqlite import HostClock, SqliteBackend
from comity_sqlite.clock import boot_id
from tests.backends.sqlite_calls import alive, ask, free, join, want

if TYPE_CHECKING:
    from pathlib import Path

    from comity.model import LockRequest

HOUR = 3600 * 1_000_000


class SetClock(HostClock):
    """A host whose clocks the test sets."""

    def __init__(self, boot: str = "first", mono_us: int = HOUR, wall_us: int = 50 * 365 * 24 * HOUR) -> None:
        self.name, self.mono, self.wall = boot, mono_us, wall_us

    def boot(self) -> str:
        return self.name

    def mono_us(self) -> int:
        return self.mono

    def wall_us(self) -> int:
        return self.wall


def token(backend: SqliteBackend, request: LockRequest) -> int:
    answer = ask(backend, request)
    assert isinstance(answer, Granted)
    return answer.token


@rule("X2")
def test_a_boot_has_a_name_and_now_is_the_monotonic_clock(tmp_path: Path) -> None:
    assert boot_id() == boot_id() != ""
    clock = SetClock(mono_us=1_500_000)
    assert SqliteBackend(tmp_path / "c.db", "space", clock=clock).now() == 1.5


@rule("X2", "L2")
@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_setting_the_wall_clock_ends_no_session_and_never_makes_a_smaller_token(tmp_path: Path, ahead: int) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    ann = join(backend, "ann", ttl=30)
    first = want(ann)
    before = token(backend, first)
    clock.wall += ahead
    assert alive(backend, ann)
    assert free(backend, first)
    assert token(backend, want(ann)) > before
    view = backend.locks.view("lock").run(5)
    assert view.holders[0].expires_ms == 30_000
    assert view.at_us >= before
    backend.close()


@rule("S3", "X2")
def test_a_session_lives_while_the_monotonic_clock_is_before_its_deadline(tmp_path: Path) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    ann = join(backend, "ann", ttl=30)
    clock.mono += 30_000_000 - 1
    assert alive(backend, ann)
    clock.mono += 30_000_000
    assert not alive(backend, ann)
    assert backend.presence.get("ann").run(5) is None
    backend.close()


@rule("X11")
@pytest.mark.parametrize(
    "later",
    [
        pytest.param(SetClock("second", mono_us=2 * HOUR), id="another boot id"),
        pytest.param(SetClock("second", mono_us=HOUR // 60), id="another boot id and a young clock"),
        pytest.param(SetClock("first", mono_us=HOUR // 60), id="a stored reading ahead of the clock"),
    ],
)
def test_a_restart_of_the_machine_ends_every_session(tmp_path: Path, later: SetClock) -> None:
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=SetClock())
    ann = join(backend, "ann", ttl=24 * 3600)
    ask(backend, want(ann))
    other = SqliteBackend(tmp_path / "c.db", "other", clock=SetClock())
    join(other, "cid", ttl=24 * 3600)
    backend.close()
    other.close()

    backend = SqliteBackend(tmp_path / "c.db", "space", clock=later)
    assert backend.presence.members(None).run(5).sessions == ()
    assert not alive(backend, ann)
    bob = join(backend, "bob")
    assert isinstance(ask(backend, want(bob)), Granted)
    (told,) = backend.pubsub.read({SYSTEM_TOPIC: TopicPosition(0, 0)}, 100).run(5)
    assert [event.type for event in told.events] == ["session.joined", "session.joined", "session.left"]
    with pytest.raises(SessionLost):
        backend.locks.own(ann).run(5)
    other = SqliteBackend(tmp_path / "c.db", "other", clock=later)
    assert other.presence.members(None).run(5).sessions == ()
    other.close()
    backend.close()


def test_opening_it_again_in_the_same_boot_ends_nobody(tmp_path: Path) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    ann = join(backend, "ann")
    again = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    assert alive(again, ann)
    again.close()
    backend.close()


def test_a_second_machine_on_the_file_is_told_of_by_heartbeats(tmp_path: Path) -> None:
    here = SqliteBackend(tmp_path / "c.db", "space", clock=SetClock("here"))
    ann = join(here, "ann")
    there = SqliteBackend(tmp_path / "c.db", "space", clock=SetClock("there"))
    join(there, "bob")
    assert not alive(here, ann)
    with pytest.raises(BackendUnfit, match="another machine"):
        join(here, "ann")
    here.close()
    there.close()
