"""The MCP tools of a guarded session: they act for it where it is, and bring its host back."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from comity_mcp.identity import Identity
from comity_mcp.work import Tools
from tests.waiting import until

if TYPE_CHECKING:
    import pytest

    from tests.guard.clients import Machine


def test_the_tools_bring_a_killed_host_back_and_name_files_from_where_the_session_works(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", machine.environ["XDG_STATE_HOME"])
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    ann.hook("CwdChanged", old_cwd=str(machine.repo), new_cwd=str(machine.repo / "sub"))
    (host,) = machine.hosts()
    os.kill(host, signal.SIGKILL)
    until(lambda: host not in machine.hosts())
    environ = {"COMITY_URL": machine.environ["COMITY_URL"], "CLAUDE_CODE_SESSION_ID": "ann"}
    identity = Identity(str(machine.repo), environ)
    (lease,) = Tools(identity).claim(["x.py"])
    assert lease.path == "x.py"
    until(lambda: machine.hosts() not in ([], [host]))
    identity.close()
    assert bob.edit("sub/x.py").denied
