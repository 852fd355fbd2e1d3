"""What the agents of a simulation did, each line of it written before anything else can happen to its writer."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Journal:
    """Appends facts to one file, each in one write, so that a killed writer leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, **facts: Any) -> None:
        """Append one fact."""
        os.write(self._file, json.dumps({"what": what, **facts}).encode() + b"\n")


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every fact of every agent, agent by agent in the order in which it wrote them."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
