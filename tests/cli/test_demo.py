"""``comity demo`` with real processes, from the first to the last."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comity.cli.demo.register import Register
from tests.cli.conftest import COMMAND
from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Shell
    from tests.servers import Server

SHORT = ("--sessions", "4", "--seconds", "4")
SHORTEST = ("--sessions", "4", "--seconds", "2")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("README.md", "src/app.py", "src/model.py", "src/view.py", "tests/test_app.py", ".git/config"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n" * 50)
    # modules that would be taken for others if the folder came first
    (root / "json.py").write_text("raise RuntimeError('a file of the folder was run')\n")
    return root


@pytest.fixture
def room(shell: Shell, tmp_path: Path) -> dict[str, str]:
    """An environment without a store, whose temporary folder is the test's own."""
    (tmp_path / "temp").mkdir()
    return {**shell.environ, "COMITY_URL": "", "TMPDIR": str(tmp_path / "temp"), "HOME": str(tmp_path / "home")}


def perform(environ: dict[str, str], folder: Path, *args: str) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Run a demo; return its status, its checks by name, and all lines."""
    command = [*COMMAND, "demo", "--json", *args]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=55, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert lines[-1]["event"] == "verdict"
    return done.returncode, {check["name"]: check for check in lines[-1]["checks"]}, lines


def told(checks: dict[str, Any]) -> str:
    return json.dumps(checks, indent=1)


def digest(root: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_on_sqlite_all_holds_and_nothing_is_left_behind(room: dict[str, str], files: Path) -> None:
    before = digest(files)
    status, checks, lines = perform(room, files, *SHORT)
    assert status == 0, told(checks)
    assert checks["overlaps"]["overlaps"] == 0
    assert checks["stale writes"]["refused"] > 0
    assert checks["late write"]["refused"]
    assert checks["late completion"]["refused"]
    assert checks["tasks"]["files"] == checks["totals"]["files"] == checks["aggregate"]["done"] == 6
    assert checks["tasks"]["begun_again"] == 2
    assert checks["grants"]["sessions"] == 4
    assert sum(checks["conflicts"].get(name, 0) for name in ("priority", "first_write", "last_write")) > 0
    kinds = [line["event"] for line in lines]
    assert [kind for kind in kinds if kind in {"killed", "stopped", "resumed", "woke"}] == [
        "killed",
        "stopped",
        "resumed",
        "woke",
    ]
    assert digest(files) == before
    assert list(Path(room["TMPDIR"]).iterdir()) == []
    assert not Path(room["HOME"]).exists()  # this user's own store was not touched


def test_on_redis_all_holds_and_the_namespace_is_removed(
    room: dict[str, str], files: Path, redis_server: Server
) -> None:
    keys = redis_server.client().dbsize()
    status, checks, _ = perform({**room, "COMITY_URL": redis_server.url}, files, *SHORT)
    assert status == 0, told(checks)
    assert redis_server.client().dbsize() == keys


@pytest.mark.slow
def test_on_each_redis_all_holds(room: dict[str, str], files: Path, each_redis: Server) -> None:
    status, checks, _ = perform(room, files, "--url", each_redis.url, "--sessions", "8", "--seconds", "8")
    assert status == 0, told(checks)


@pytest.mark.slow
def test_with_many_sessions_on_sqlite_all_holds(room: dict[str, str], files: Path) -> None:
    status, checks, _ = perform(room, files, "--sessions", "16", "--seconds", "10")
    assert status == 0, told(checks)


def test_a_session_that_ignores_the_lock_fails_the_verdict(room: dict[str, str], files: Path) -> None:
    status, checks, _ = perform(room, files, *SHORTEST, "--sabotage", "ignore-lock")
    assert status == 1
    assert checks["overlaps"]["held"] is False
    assert checks["overlaps"]["overlaps"] > 0


def test_a_register_without_fencing_fails_the_verdict(room: dict[str, str], files: Path) -> None:
    status, checks, _ = perform(room, files, *SHORTEST, "--sabotage", "blind-register", "--keep")
    assert status == 1
    assert checks["stale writes"]["missed"] > 0
    assert checks["late write"]["held"] is False
    (folder,) = Path(room["TMPDIR"]).iterdir()
    with Register(folder / "journal.db") as register:
        assert len([write for write in register.read().writes if write.kind == "begin"]) == checks["grants"]["grants"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupted_it_leaves_nothing_behind(room: dict[str, str], files: Path, name: str) -> None:
    number = getattr(signal, name)
    command = [*COMMAND, "demo", "--json", *SHORTEST]
    with subprocess.Popen(command, env=room, cwd=files, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        workers: set[int] = set()
        for line in demo.stdout:
            if json.loads(line)["event"] == "stopped":  # the worst moment: one is stopped
                workers = {int(path.name) for path in Path("/proc").iterdir() if _is_child(path, demo.pid)}
                demo.send_signal(number)
                break
        assert workers
        assert demo.wait(20) == 128 + number
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert list(Path(room["TMPDIR"]).iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for it")
def test_its_processes_end_with_it_even_when_it_is_killed(room: dict[str, str], files: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo", "--json", *SHORTEST], env=room, cwd=files, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if json.loads(line)["event"] == "stopped":
                break
        workers = {int(path.name) for path in Path("/proc").iterdir() if _is_child(path, demo.pid)}
        assert workers
        demo.kill()
        demo.wait(10)
    until(lambda: not any(_runs(pid) for pid in workers))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _is_child(path: Path, parent: int) -> bool:
    try:
        return path.name.isdecimal() and (path / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)
    except OSError:
        return False


def test_a_store_within_one_process_is_refused(room: dict[str, str], files: Path) -> None:
    command = [*COMMAND, "demo", "--url", "fakeredis://x"]
    done = subprocess.run(command, env=room, cwd=files, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "lives in one process" in done.stderr
    assert list(Path(room["TMPDIR"]).iterdir()) == []


def test_a_pipe_gets_plain_lines_and_a_terminal_a_live_view(room: dict[str, str], files: Path) -> None:
    command = [*COMMAND, "demo", *SHORTEST]
    done = subprocess.run(command, env=room, cwd=files, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stdout
    assert "\x1b" not in done.stdout
    assert "is killed (SIGKILL) while it holds" in done.stdout
    assert done.stdout.rstrip().endswith("All held.")
    leader, follower = pty.openpty()
    with subprocess.Popen(command, env={**room, "TERM": "xterm"}, cwd=files, stdout=follower, stderr=follower) as demo:
        os.close(follower)
        drawn = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            drawn += piece
        os.close(leader)
        assert demo.wait(10) == 0
    assert b"\x1b[?25h" in drawn  # the cursor is shown again
    for word in (b"KILLED", b"STOPPED", b"waits, place", b"holds", b"All held."):
        assert word in drawn
