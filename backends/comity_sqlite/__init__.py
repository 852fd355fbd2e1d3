"""Comity without a server: one SQLite file that the processes of a machine share.

``sqlite:///path`` names the file; ``sqlite://`` is the file in the user's state folder. Needs nothing
but the standard library. Sessions in many processes of one host meet in it; for several hosts, or
where a stopped process must never hold up the others, use Redis.
"""

from __future__ import annotations

from comity_sqlite.backend import SqliteBackend
from comity_sqlite.clock import HostClock

__all__ = ["HostClock", "SqliteBackend"]
