"""What names a flow, the thread or task that asks: unique for ever, unlike a thread's or an object's id (rule L13)."""

from __future__ import annotations

import itertools
import os
import secrets

_LONGEST = 32
_process = secrets.token_hex(4)
_numbers = itertools.count(1)


def new_flow(label: str) -> str:
    """Return a name that no other flow has, in this process or in another; `label` is for people."""
    shown = label if label.isprintable() else "flow"
    return f"{shown[:_LONGEST]}.{_process}.{next(_numbers)}"


def _renew() -> None:
    """In the child of a fork: it is another process."""
    global _process  # noqa: PLW0603 - there is one process
    _process = secrets.token_hex(4)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
