"""Text of other sessions cannot do anything to a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from comity.cli import screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal is sent for a table with one red cell."""
    stream = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        screen.table(["A"], [[("x", "red")]])
    return stream.getvalue()


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which colours are wanted."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("src/app.py", "src/app.py"),
        ("größe 漢字 e\u0301", "größe 漢字 e\u0301"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("one\ntwo\rthree\t", r"one\x0atwo\x0dthree\x09"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("\u2066\u200b\ufeff", r"\u2066\u200b\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800", r"\ud800"),
        ("[bold red]not markup[/]", "[bold red]not markup[/]"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(raw: str, shown: str) -> None:
    assert screen.clean(raw) == shown


def test_long_text_is_cut() -> None:
    assert screen.clean("x" * 1000, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.7, "1m00s"), (3599, "59m59s"), (7800, "2h10m"), (356400, "4d03h")],
)
def test_durations_read_as_people_write_them(seconds: float, shown: str) -> None:
    assert screen.span(seconds) == shown


def test_columns_are_as_wide_as_a_terminal_draws_them(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(["A", "B"], [["漢字", "1"], ["abcde", "2"]])
    assert capsys.readouterr().out.splitlines() == ["A      B", "漢字   1", "abcde  2"]


def test_a_terminal_gets_colours(colours: pytest.MonkeyPatch) -> None:
    assert "\x1b[31mx\x1b[0m" in drawn(colours)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_where_they_are_not_wanted(colours: pytest.MonkeyPatch, name: str, value: str) -> None:
    colours.setenv(name, value)
    assert drawn(colours) == "A\nx\n"


def test_a_hint_is_for_a_person_at_a_terminal_alone(colours: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        with colours.context() as patch:
            patch.setattr(sys, "stderr", stream)
            screen.hint("waiting")
    assert "waiting" in terminal.getvalue()
    assert pipe.getvalue() == ""
