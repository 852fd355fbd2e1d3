"""``comity doctor``: each trouble is named with its fix, and makes the status 1."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Shell
    from tests.servers import Server


def look(shell: Shell, *args: str, **more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = shell("doctor", "--json", *args, **more)
    report = json.loads(done.stdout)
    findings = {finding["what"]: finding for finding in report["findings"]}
    assert report["ok"] is (done.returncode == 0)
    assert all(finding["fix"] for finding in report["findings"] if finding["health"] != "ok")
    return done.returncode, findings


def test_a_sound_store_is_well(shell: Shell) -> None:
    with shell.connect("one") as one, one.locks.acquire("x"):
        status, found = look(shell)
    assert status == 0
    assert found["sessions"]["found"] == "1 live, 1 leases held"
    assert {"comity", "settings", "reading", "writing", "clock", "permissions", "corrupt records", "plugins"} <= set(
        found
    )


def test_a_store_that_does_not_answer_fails(shell: Shell) -> None:
    status, found = look(shell, "--url", f"redis://127.0.0.1:{free_port()}", COMITY_DEADLINE="0.3")
    assert status == 1
    assert found["store"]["health"] == "fail"
    assert "COMITY_URL" in found["store"]["fix"]


def test_a_wrong_setting_fails_and_is_named(shell: Shell) -> None:
    status, found = look(shell, COMITY_SESSION_TTL="soon")
    assert status == 1
    assert "COMITY_SESSION_TTL='soon'" in found["settings"]["found"]


def test_a_plugin_that_cannot_be_used_fails(shell: Shell) -> None:
    status, found = look(shell, COMITY_PLUGINS="no_such_module:thing")
    assert status == 1
    assert "no_such_module" in found["plugin"]["found"]
    assert "COMITY_BLOCK_PLUGINS" in found["plugin"]["fix"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_fails(shell: Shell, tmp_path: Path) -> None:
    with shell.connect("one"):
        pass
    for path in (tmp_path / "state").iterdir():
        path.chmod(0o400)
    status, _ = look(shell)
    assert status == 1


def test_a_file_that_is_no_database_fails(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "comity.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    status, found = look(shell)
    assert status == 1
    assert found["store"]["fix"]


def test_a_server_that_may_evict_fails(shell: Shell, start_redis: Callable[..., Server]) -> None:
    server = start_redis("maxmemory", "64mb", "maxmemory-policy", "allkeys-lru")
    status, found = look(shell, "--url", server.url)
    assert status == 1
    assert found["eviction"]["health"] == "fail"
    assert "noeviction" in found["eviction"]["fix"]


def test_each_redis_is_well(shell: Shell, each_redis: Server) -> None:
    status, found = look(shell, "--url", each_redis.url, "--namespace", "doctor")
    assert status == 0
    assert found["version"]["found"].startswith("Redis")


def test_people_see_the_fix_below_the_table(shell: Shell) -> None:
    done = shell("doctor", COMITY_PLUGINS="no_such_module:thing")
    assert done.returncode == 1
    assert any(line.startswith("fail") for line in done.stdout.splitlines())
    assert any(line.startswith("fix plugin: ") for line in done.stdout.splitlines())


def test_records_that_cannot_be_read_are_counted(shell: Shell, tmp_path: Path) -> None:
    with shell.connect("good"), shell.connect("bad"):
        base = sqlite3.connect(tmp_path / "state" / "comity.db")
        base.execute("UPDATE records SET body = ? WHERE CAST(body AS TEXT) LIKE '%bad%'", (b"garbage",))
        base.commit()
        base.close()
        assert [row["agent_id"] for row in shell.json("sessions")] == ["good"]
        status, found = look(shell)
    assert status == 0
    assert found["corrupt records"]["health"] == "warn"
    assert "1" in found["corrupt records"]["found"]
