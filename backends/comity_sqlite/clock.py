"""The host's clocks: a monotonic one for deadlines, the wall clock for what people see."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

_MACOS_BOOT = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")


@functools.cache
def boot_id() -> str:
    """Name this boot of the machine: the same text in all its processes, another after a restart.

    Empty where the system offers none (Windows): then only a stored reading of the monotonic clock that
    lies ahead of the present one tells of a restart.
    """
    if sys.platform == "darwin":
        try:
            done = subprocess.run(_MACOS_BOOT, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.strip()
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class HostClock:
    """What time it is on this host; tests put one of their own in its place.

    `time.monotonic` counts from the same instant in all processes of a host and stands still while the
    machine sleeps (Linux: ``CLOCK_MONOTONIC``; macOS: ``mach_absolute_time``), so neither a set clock nor
    a closed lid ends a session. On Windows before Python 3.13 it goes on during sleep.
    """

    def boot(self) -> str:
        """Name this boot of the machine, see `boot_id`."""
        return boot_id()

    def mono_us(self) -> int:
        """Microseconds on the clock that deadlines are kept by."""
        return time.monotonic_ns() // 1000

    def wall_us(self) -> int:
        """Microseconds since 1970: times that are shown, events, fencing tokens."""
        return time.time_ns() // 1000
