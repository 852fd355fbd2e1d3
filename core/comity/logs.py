"""Where the library's words go: the application's structlog when it is configured, else stdlib logging.

The library is silent by default and never writes to stdout: an unconfigured structlog prints there,
which would break hooks, MCP servers and ``--json``.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import Counter
from typing import Any

_stdlib = logging.getLogger("comity")
_stdlib.addHandler(logging.NullHandler())

_guard = threading.RLock()
corrupt_counts: Counter[str] = Counter()
"""How many unreadable records were skipped, by kind; shown by ``comity doctor``."""
_MAX_REMEMBERED = 1000
_SECRET = re.compile("[0-9a-f]{16,}")
"""An incarnation, also one that was cut."""
_told: set[tuple[str, str]] = set()


def log(level: int, event: str, **facts: object) -> None:
    """Write one event (a snake_case noun) with its facts as keys; `level` as in `logging`.

    An exception given as ``exc_info`` is written with its traceback.
    """
    structlog: Any = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        structlog.get_logger("comity").log(level, event, **facts)
    elif _stdlib.isEnabledFor(level):
        raised = facts.pop("exc_info", None)
        told = " ".join(f"{key}={value!r}" for key, value in facts.items())
        _stdlib.log(level, "%s %s", event, told, exc_info=raised if isinstance(raised, BaseException) else None)


def corrupt(kind: str, key: str | bytes, why: object) -> None:
    """Count an unreadable record and log it once (rule X7). `kind`: of record; `key`: which one.

    A record's own text, in `why` or as bytes in `key`, is shown without what may be a session's secret (S13).
    """
    key = key if isinstance(key, str) else repr(key)
    with _guard:
        corrupt_counts[kind] += 1
        if (kind, key) in _told or len(_told) >= _MAX_REMEMBERED:
            return
        _told.add((kind, key))
    shown = _masked(key) if key.startswith(("b'", 'b"')) else key
    log(logging.WARNING, "corrupt_record", kind=kind, key=shown, why=_masked(str(why)))


def _masked(text: str) -> str:
    return _SECRET.sub("...", text)
