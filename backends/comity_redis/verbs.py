"""The scripts of one namespace: one file per verb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from comity.ops import Effect
from comity_redis.script import Script, read_script

if TYPE_CHECKING:
    from comity_redis.keys import Keys
    from comity_redis.op import Runner

FOLDER: Final = Path(__file__).parent / "scripts"


class Verbs:
    """Makes the scripts that the ports of one namespace run."""

    __slots__ = ("_keys", "_runner")

    def __init__(self, runner: Runner, keys: Keys) -> None:
        self._runner, self._keys = runner, keys

    def script(self, verb: str, name: str, *more: str, effect: Effect = Effect.WRITE, loose: bool = False) -> Script:
        """Return ``scripts/<verb>.lua`` on the namespace's fixed keys, then `more`; `name` is the step's.

        `loose` is for verbs that only renew or give up: see `RedisOp`.
        """
        source = read_script(FOLDER, verb)
        keys = [*self._keys.fixed, *(self._keys[key] for key in more)]
        return Script(self._runner, source, keys, name=name, effect=effect, loose=loose)

    def apart(self, verb: str, name: str, *keys: str, effect: Effect = Effect.WRITE, more_keys: int = 0) -> Script:
        """Return ``scripts/<verb>.lua`` on these keys alone; `more_keys` as in `Script`."""
        source = read_script(FOLDER, verb)
        named = [self._keys[key] for key in keys]
        return Script(self._runner, source, named, name=name, effect=effect, more_keys=more_keys)
