"""Comity in one process: ``comity.connect("fakeredis://ci")``, no server, no files."""

from comity_fakeredis.backend import FakeRedisBackend

__all__ = ["FakeRedisBackend"]
