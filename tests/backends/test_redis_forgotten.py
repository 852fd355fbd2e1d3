"""What a server forgets: scripts, its data; and a clock that was ahead (L2, X11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.errors import SessionLost
from comity.testing.kit.rules import rule
from tests.backends.redis_spaces import KINDS, Space, on, space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server, Servers


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest, redis_servers: Servers) -> Iterator[Space]:
    with space(request.param, redis_servers) as opened:
        yield opened


@rule("X11")
def test_scripts_that_were_flushed_are_loaded_again(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    there.client.script_flush()
    held = stage.hold(ann)
    there.client.script_flush()
    assert stage.run(stage.backend.presence.members(None)).sessions
    there.client.script_flush()
    assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
    there.client.script_flush()
    assert stage.release(held)


@rule("L2")
def test_tokens_grow_although_the_server_lost_everything(start_redis: Callable[..., Server]) -> None:
    with on(start_redis()) as there:
        stage = there.stage
        ann = stage.session("ann")
        before = stage.token(stage.hold(ann))
        there.client.flushall()
        assert not stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        with pytest.raises(SessionLost):
            stage.hold(ann)
        assert stage.token(stage.hold(stage.session("ann"))) > before


@rule("L2", "X2")
def test_tokens_grow_although_the_clock_was_ahead(there: Space) -> None:
    ahead = 8_999_999_999_999_990  # near the largest that a script takes for a token: the year 2255
    there.client.hset(there.keys["locks"], "", ahead)
    stage = there.stage
    ann = stage.session("ann")
    first = stage.hold(ann)
    waits = stage.wait(ann)
    token = stage.token(first)
    assert token == ahead + 1
    stage.release(first)
    assert stage.token(waits) > token
