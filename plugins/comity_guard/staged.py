"""Which files a commit would carry: asked of git itself, because only it reads its index."""

from __future__ import annotations

import os
import subprocess

_SECONDS = 2.0
_MOST = 500


def staged(cwd: str) -> list[str]:
    """Return the real paths of the files that are staged in the checkout of `cwd`; [] when git does not tell."""
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", cwd, "diff", "--cached", "--name-only", "-z", "--no-renames"]
    try:
        root = _git(["git", "-C", cwd, "rev-parse", "--show-toplevel"], environ).decode().rstrip("\n")
        names = _git(command, environ).split(b"\0")
    except (OSError, subprocess.SubprocessError):
        return []
    return [os.path.join(os.path.realpath(root), os.fsdecode(name)) for name in names[:_MOST] if name]


def _git(command: list[str], environ: dict[str, str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS, env=environ).stdout  # noqa: S603
