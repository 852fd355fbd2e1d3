"""Fork: the child's handles refuse, its new ones work, the parent's go on, the file stays sound."""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comity.errors import Closed, Forked
from comity.model import Granted, WakeKind
from comity.testing.kit.rules import rule
from comity_sqlite import SqliteBackend
from comity_sqlite.forks import gate
from tests.backends.sqlite_calls import alive, ask, free, heard, is_sound, join, publish, want

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    yield backend
    backend.close()


def in_child(body: Callable[[], None]) -> None:
    """Run `body` in a forked child; fail with its traceback when it raises."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:  # noqa: BLE001 - told to the parent
            os.write(writer, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert not said, said


@rule("X10")
def test_the_childs_handles_refuse_and_the_parents_go_on(backend: SqliteBackend) -> None:
    ann = join(backend, "ann")
    ear = backend.listener(ann)
    heard(ear, WakeKind.LISTENING)

    def child() -> None:
        with pytest.raises(Forked):
            backend.presence.get("ann").run(5)
        with pytest.raises(Forked):
            ear.next(1)
        backend.close()
        ear.close()

    in_child(child)
    assert alive(backend, ann)
    held = want(ann)
    assert isinstance(ask(backend, held), Granted)
    heard(ear, WakeKind.LISTENING)  # its connection is a new one
    assert free(backend, held)
    ear.close()


@rule("X10")
def test_a_child_may_connect_anew_and_takes_part_in_the_file(backend: SqliteBackend) -> None:
    ann = join(backend, "ann")
    held = want(ann)
    ask(backend, held)

    def child() -> None:
        mine = SqliteBackend(backend.path, "space")
        bob = join(mine, "bob")
        assert not isinstance(ask(mine, want(bob)), Granted)
        for number in range(200):
            publish(mine, "news", str(number).encode())
        mine.close()

    in_child(child)
    assert publish(backend, "news") == 201
    assert backend.presence.get("bob").run(5) is not None
    assert is_sound(backend.path)


def test_no_connection_is_open_at_the_moment_of_a_fork(backend: SqliteBackend) -> None:
    join(backend, "ann")
    in_child(lambda: _assert_no_database_file_is_open(str(backend.path)))


def _assert_no_database_file_is_open(path: str) -> None:
    folder = Path("/proc/self/fd")
    links = []
    for entry in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            links.append(str(entry.readlink()))
    assert [link for link in links if link.startswith(path)] == []


@rule("X10")
def test_forking_while_other_threads_write_harms_nobody(backend: SqliteBackend) -> None:
    join(backend, "ann")
    stop = threading.Event()
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            while not stop.is_set():
                publish(backend, f"news{number}")
        except BaseException as error:  # noqa: BLE001 - judged below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()

    def child() -> None:
        mine = SqliteBackend(backend.path, "space")
        join(mine, f"child{os.getpid()}")
        publish(mine, "children")
        mine.close()

    try:
        for _ in range(20):
            in_child(child)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert publish(backend, "children") == 21
    assert is_sound(backend.path)


def test_a_file_inherited_in_the_middle_of_a_step_is_refused_in_the_child(backend: SqliteBackend) -> None:
    join(backend, "ann")
    other = SqliteBackend(backend.path, "space")
    inside, go_on = threading.Event(), threading.Event()

    def slow(_step: object) -> None:
        inside.set()
        go_on.wait(10)

    thread = threading.Thread(target=lambda: other._runner.read("slow", slow).run(5))
    thread.start()
    assert inside.wait(5)

    def child() -> None:
        mine = SqliteBackend(backend.path, "space")
        with pytest.raises(Exception, match="forked in the middle"):
            mine.presence.get("ann").run(5)

    in_child(child)  # waits a second for the step
    go_on.set()
    thread.join()
    assert backend.presence.get("ann").run(5) is not None
    other.close()


def test_a_closed_backend_is_closed_in_the_child_too(backend: SqliteBackend) -> None:
    join(backend, "ann")
    backend.close()
    with pytest.raises(Closed):
        backend.presence.reap().run(5)
    in_child(lambda: None)
    with gate.passing():
        pass  # the gate is open again
