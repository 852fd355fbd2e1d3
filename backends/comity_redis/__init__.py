"""Comity on Redis: ``comity.connect("redis://localhost:6379")``."""

from comity_redis.backend import RedisBackend

__all__ = ["RedisBackend"]
