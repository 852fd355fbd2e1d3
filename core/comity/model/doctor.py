"""Values of the doctor: what was looked at, what was found, and the fix."""

from __future__ import annotations

import enum

import attrs


class Health(enum.StrEnum):
    """How a finding is to be read."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@attrs.frozen
class Finding:
    """One line of the doctor's report. `fix` is empty when all is well."""

    health: Health
    what: str
    found: str
    fix: str = ""
