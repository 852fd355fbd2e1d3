"""What the tests of backends share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends.redis_spaces import KINDS, Space, space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Servers


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest, redis_servers: Servers) -> Iterator[Space]:
    """A fresh namespace of fakeredis, and of each server."""
    with space(request.param, redis_servers) as opened:
        yield opened
