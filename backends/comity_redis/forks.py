"""What becomes of connections when the process forks: the child lets go of them, unheard.

A child that closed its copy in the usual way would end the parent's connection, and one that kept it
open would make a dead parent look alive (the server counts subscribers by open connections). So every
copy in the child is replaced by the null device, which says nothing to the server and leaves no file
descriptor that later code could mistake for its own.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Inherited(Protocol):
    """A holder of connections."""

    def disown(self) -> Iterable[int]:
        """In the child, without any lock: refuse all calls from now on; return the descriptors."""


_holders: weakref.WeakSet[Inherited] = weakref.WeakSet()


def watch(holder: Inherited) -> None:
    """Have `holder` disown its connections in every child that is forked from now on."""
    _holders.add(holder)


def _in_child() -> None:
    descriptors = [fd for holder in list(_holders) for fd in holder.disown() if fd >= 0]
    if not descriptors:
        return
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_in_child)
