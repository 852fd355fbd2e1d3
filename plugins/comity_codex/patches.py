"""Which files a Codex patch writes: read off its headers, line by line.

A header is one of four fixed beginnings after leading blanks, as Codex itself reads them; what a patch adds or takes
away begins with ``+`` or ``-``, so that it is not mistaken for one.
"""

from __future__ import annotations

_HEADERS = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")


def paths(patch: str) -> list[str]:
    """Return every path that the patch adds, changes, deletes or moves to, each once, as written in it."""
    found: dict[str, None] = {}
    for line in patch.splitlines():
        text = line.strip()
        for header in _HEADERS:
            if text.startswith(header):
                found[text[len(header) :].strip()] = None
    found.pop("", None)
    return list(found)
