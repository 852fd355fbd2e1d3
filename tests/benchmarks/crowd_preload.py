"""What the processes of a crowd are forked with: everything they will need, so that none of them loads it."""

from __future__ import annotations

import contextlib
import importlib

import comity
from tests.benchmarks import crowd, peers

__all__ = ["crowd"]

for _name in ("comity_redis", "comity_sqlite", "tooz.coordination", *peers.MODULES.values()):
    if _name != "empathy_os":  # it takes a second, and has no lock that waits
        with contextlib.suppress(ImportError):
            importlib.import_module(_name)
_connect = comity.connect
