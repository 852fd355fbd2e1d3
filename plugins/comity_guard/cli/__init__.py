"""The commands for people whose agents the guard looks after: ``comity status``, ``watch``, ``why`` and others.

They work on files and repositories where `comity`'s own commands work on names and namespaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from comity.model import Finding


class GuardCommands:
    """Offers the commands to ``comity``."""

    name = "comity_guard"

    @hookimpl
    def comity_findings(self) -> Sequence[Finding]:
        """Return what the doctor should say of the guard."""
        from comity_guard.cli.findings import findings

        return findings()

    @hookimpl
    def comity_cli_commands(self) -> Mapping[str, Callable[..., Any]]:
        """Return the commands by name."""
        from comity_guard.cli import history, installing, leases, saying, simulate, status, watch

        return {
            "status": status.status,
            "watch": watch.watch,
            "why": history.why,
            "log": history.log,
            "say": saying.say,
            "wait": leases.wait,
            "claim": leases.claim,
            "release": leases.release,
            "break": leases.break_,
            "install": installing.install,
            "simulate": simulate.simulate,
        }


plugin = GuardCommands
