"""The database file: where it is, who may touch it, what is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from comity.errors import BackendUnfit, InvalidSetting, SessionLost
from comity.model import Health, Origin, TaskPush
from comity_sqlite import SqliteBackend
from comity_sqlite.address import default_path, path_of, url_of
from tests.backends.sqlite_calls import alive, ask, join, publish, want

not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")


def opened(path: Path, namespace: str = "space") -> SqliteBackend:
    return SqliteBackend.from_url(url_of(path), namespace)


# ------------------------------------------------------------------------------------------ where


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////srv/a.db", "/srv/a.db"),
        ("sqlite:////srv/with%20space%3F.db", "/srv/with space?.db"),
        ("sqlite:////srv/x/../a.db", "/srv/a.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert path_of(url) == Path(path)
    assert path_of(url_of(path_of(url))) == Path(path)


def test_three_slashes_begin_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of("sqlite:///sub/a.db") == tmp_path / "sub" / "a.db"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert path_of("sqlite:///~/a.db") == tmp_path / "home" / "a.db"


@pytest.mark.parametrize(
    "url",
    ["sqlite://host/a.db", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "sqlite:///a.db#x", "redis://x", "a.db"],
)
def test_what_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="sqlite:"):
        path_of(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///"])
def test_without_a_path_it_is_the_users_state_folder(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comity.folders.sys.platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert path_of(url) == tmp_path / "comity" / "comity.db"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/invalid")
    monkeypatch.setenv("HOME", "/home/someone")
    assert path_of(url) == Path("/home/someone/.local/state/comity/comity.db")


def test_the_state_folder_follows_the_platforms_custom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/Users/someone")
    monkeypatch.setattr("comity.folders.sys.platform", "darwin")
    assert default_path() == Path("/Users/someone/Library/Application Support/comity/comity.db")
    monkeypatch.setattr("comity.folders.sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert default_path() == Path("/local/comity/comity.db")


# ------------------------------------------------------------------------------------------- who


def test_file_and_folder_are_the_users_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        backend = opened(tmp_path / "state" / "comity" / "c.db")
        join(backend, "ann")
    finally:
        os.umask(previous)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "state").rglob("*")}
    assert modes == {"comity": 0o700, "c.db": 0o600, "c.db-wal": 0o600, "c.db-shm": 0o600}
    backend.close()


def test_a_folder_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    backend = opened(tmp_path / "shared" / "c.db")
    join(backend, "ann")
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o777
    found = [finding for finding in backend.diagnose().run(5) if finding.health is Health.WARN]
    assert any("chmod" in finding.fix for finding in found)
    backend.close()


def test_nothing_is_opened_before_the_first_step(tmp_path: Path) -> None:
    backend = opened(tmp_path / "c.db")
    backend.close()
    assert list(tmp_path.iterdir()) == []


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(BackendUnfit, match=r"symbolic link.*real\.db"):
        join(opened(tmp_path / "link.db"), "ann")


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendUnfit, match="no plain file"):
        join(opened(tmp_path), "ann")


def test_another_users_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.db").touch()
    monkeypatch.setattr("comity_sqlite.file.os.geteuid", lambda: 12345)
    with pytest.raises(BackendUnfit, match="this is user 12345"):
        join(opened(tmp_path / "c.db"), "ann")


@not_root
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(BackendUnfit, match="this user may write"):
        join(opened(tmp_path / "closed" / "c.db"), "ann")


def test_a_file_that_cannot_be_written_is_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tmp_path / "c.db")
    join(first, "ann")
    monkeypatch.setattr("comity_sqlite.file._MODE", "ro")
    with pytest.raises(BackendUnfit, match="write access"):
        join(opened(tmp_path / "c.db"), "bob")
    first.close()


# ------------------------------------------------------------------------------------------ what


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "c.db") as other:
        other.execute("CREATE TABLE sessions (id)")
    other.close()
    with pytest.raises(BackendUnfit, match="another program's"):
        join(opened(tmp_path / "c.db"), "ann")


def test_what_is_no_database_is_refused_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_bytes(b"no database at all " * 100)
    with pytest.raises(BackendUnfit, match="move the file"):
        join(opened(tmp_path / "c.db"), "ann")


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    backend = opened(tmp_path / "c.db")
    join(backend, "ann")
    backend.close()
    with sqlite3.connect(tmp_path / "c.db") as newer:
        newer.execute("PRAGMA user_version = 999")
    newer.close()
    with pytest.raises(BackendUnfit, match=r"layout 999.*upgrade"):
        join(opened(tmp_path / "c.db"), "bob")


def test_a_file_of_an_older_layout_is_brought_up_to_date_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    backend = opened(tmp_path / "c.db")
    ann = join(backend, "ann")
    backend.tasks.push(TaskPush("task", ann, "work", b"1", origin=Origin.HUMAN)).run(5.0)
    backend.close()
    with sqlite3.connect(tmp_path / "c.db") as older:
        older.execute("DROP TABLE cursors")
        for column in ("requests.pool", "requests.weight", "wants.pref", "tasks.pushed_by", "tasks.by_hand"):
            older.execute("ALTER TABLE {} DROP COLUMN {}".format(*column.split(".")))
        older.execute("PRAGMA user_version = 1")
    older.close()
    backend = opened(tmp_path / "c.db")
    assert alive(backend, ann)
    assert backend.pubsub.cursor("none yet").run(5.0) == {}
    task = backend.tasks.get("task").run(5.0)
    assert task is not None
    assert (task.payload, task.pushed_by, task.origin) == (1, "", "agent")
    assert backend.tasks.push(TaskPush("task 2", ann, "work", b"1")).run(5.0).task.pushed_by == "ann"
    backend.close()


def test_a_file_from_before_there_were_tasks_gets_them(tmp_path: Path) -> None:
    opened(tmp_path / "c.db").close()
    backend = opened(tmp_path / "c.db")
    join(backend, "ann")
    backend.close()
    with sqlite3.connect(tmp_path / "c.db") as older:
        older.execute("DROP TABLE tasks")
        for column in ("requests.pool", "requests.weight", "wants.pref"):
            older.execute("ALTER TABLE {} DROP COLUMN {}".format(*column.split(".")))
        older.execute("PRAGMA user_version = 1")
    older.close()
    backend = opened(tmp_path / "c.db")
    pushed = backend.tasks.push(TaskPush("task", join(backend, "bob"), "work", b"1", origin=Origin.HUMAN)).run(5.0)
    assert (pushed.task.pushed_by, pushed.task.origin) == ("bob", "human")
    backend.close()


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_put_in_its_place_is_noticed_by_the_next_heartbeat(tmp_path: Path, replaced: bool) -> None:
    backend = opened(tmp_path / "c.db")
    ann = join(backend, "ann")
    (tmp_path / "c.db").rename(tmp_path / "moved.db")
    if replaced:
        (tmp_path / "c.db").touch()
    with pytest.raises(BackendUnfit, match="put in its place"):
        alive(backend, ann)
    backend.close()


def test_data_outlive_the_processes_that_use_them(tmp_path: Path) -> None:
    first = opened(tmp_path / "c.db")
    ann = join(first, "ann")
    ask(first, want(ann))
    publish(first, "news")
    first.close()
    second = opened(tmp_path / "c.db")
    assert alive(second, ann)
    assert [h.agent_id for h in second.locks.view("lock").run(5).holders] == ["ann"]
    assert publish(second, "news") == 2
    second.close()


def test_namespaces_of_one_file_share_nothing(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "c.db", "one"), opened(tmp_path / "c.db", "two")
    ann, also_ann = join(one, "ann"), join(two, "ann")
    ask(one, want(ann))
    ask(two, want(also_ann))
    assert publish(one, "news") == publish(two, "news") == 1
    assert one.drop().run(5) > 0
    assert not alive(one, ann)
    with pytest.raises(SessionLost):
        one.locks.own(ann).run(5)
    assert alive(two, also_ann)
    assert len(two.locks.view("lock").run(5).holders) == 1
    one.close()
    two.close()


def test_the_doctor_finds_a_sound_file_well(tmp_path: Path) -> None:
    backend = opened(tmp_path / "own" / "c.db")
    findings = backend.diagnose().run(5)
    assert {finding.what for finding in findings} >= {"SQLite version", "write-ahead log", "soundness", "clock"}
    assert [finding for finding in findings if finding.health is Health.FAIL] == []
    assert all(finding.fix == "" for finding in findings if finding.health is Health.OK)
    backend.close()
