"""Lua scripts: read from files, called by hash, their constant prefix packed once.

acquire = Script(runner, read_script(FOLDER, "acquire"), keys, name="locks.acquire")
op = acquire.call(parse_acquire, lock_name, request_id, ttl_ms, undo=forget)
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING, Any, TypeVar

from comity.ops import Effect
from comity_redis.op import Packed, RedisOp
from comity_redis.packing import Arg, pack, pack_args

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from comity.ops import Op
    from comity_redis.op import Runner

T = TypeVar("T")

_INCLUDE = re.compile(r"^ *--@include +(\S+)[ \t]*$", re.MULTILINE)


class Source:
    """The text of one script, its hash, and the command that loads it."""

    __slots__ = ("load", "name", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        """Take the script's `name`, for errors, and its whole `text`."""
        self.name, self.text = name, text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.load = pack("SCRIPT", "LOAD", text)

    def __repr__(self) -> str:
        return f"<Source {self.name} {self.sha[:8]}>"


@functools.cache
def read_script(folder: Path, name: str) -> Source:
    """Read ``folder/name.lua``; a line ``--@include other.lua`` stands for that file's text, the first time.

    Scripts of Redis 6.2 share no functions, so what two of them need is included in both. Put the
    include after the common case: Redis runs a file from the top on every call, and making functions
    that are not used is what costs.
    """
    seen = set[str]()

    def included(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return (folder / match[1]).read_text(encoding="utf-8")

    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    while _INCLUDE.search(text):
        text = _INCLUDE.sub(included, text)
    return Source(name, text)


class Script:
    """A script bound to a runner and to the keys of one namespace."""

    __slots__ = ("_fixed", "_heads", "_runner", "effect", "loose", "name", "source", "sources")

    def __init__(
        self,
        runner: Runner,
        source: Source,
        keys: Sequence[bytes | str],
        *,
        name: str,
        effect: Effect = Effect.WRITE,
        more_keys: int = 0,
        loose: bool = False,
    ) -> None:
        """Bind `source` to its `keys`. `name` is the verb in traces and errors: ``"locks.acquire"``.

        With `more_keys` so many of the first arguments of each call are keys as well, after the others.
        `loose` as in `RedisOp`.
        """
        self._runner, self.source, self.name, self.effect, self.loose = runner, source, name, effect, loose
        self.sources = (source,)
        self._fixed = 3 + len(keys)
        whole = pack("EVALSHA", source.sha, len(keys) + more_keys, *keys)
        prefix = whole[whole.index(b"\r\n") + 2 :]
        self._heads = [b"*%d\r\n%b" % (self._fixed + extra, prefix) for extra in range(32)]

    def data(self, *args: Arg) -> bytes:
        """Return the packed call with `args` as ARGV."""
        count = len(args)
        if count < len(self._heads):
            return pack_args([self._heads[count]], args)
        head = self._heads[0]
        return pack_args([b"*%d\r\n" % (self._fixed + count), head[head.index(b"\r\n") + 2 :]], args)

    def call(
        self,
        parse: Callable[[Any], T],
        *args: Arg,
        undo: Callable[[T | None], Op[object] | None] | None = None,
        loose: bool = False,
    ) -> RedisOp[T]:
        """Make the op that runs the script with `args` as ARGV.

        `parse` makes the result of the raw answer (bytes, int, None or a list of these). `undo` gets
        that result, or None when it is not known, and returns the op that takes it back, if any. `loose`
        makes this call so, whatever the script is.
        """
        return RedisOp(
            self._runner,
            self.name,
            self.effect,
            self.data(*args),
            parse,
            sources=self.sources,
            undo=undo,
            loose=loose or self.loose,
        )

    def call_packed(
        self,
        parse: Callable[[Any], T],
        count: int,
        *parts: bytes,
        undo: Callable[[T | None], Op[object] | None] | None = None,
    ) -> RedisOp[T]:
        """Make the op as `call` does, of `count` arguments that were packed before (fewer than 32)."""
        data = b"".join((self._heads[count], *parts))
        return RedisOp(
            self._runner, self.name, self.effect, data, parse, sources=self.sources, undo=undo, loose=self.loose
        )

    def packed(self, *args: Arg) -> Packed:
        """Return the call for use inside `op.transaction`."""
        return Packed(self.data(*args), self.source)
