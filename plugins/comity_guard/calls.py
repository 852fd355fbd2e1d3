"""One call to a session host: a line of JSON there, a line back, and a line that says the answer has arrived."""

from __future__ import annotations

from comity_guard import text

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from typing import Any

    from comity_guard.meeting import Meeting
    from comity_guard.report import Reply, Report

VERSION = 1
LONGEST_LINE = 1 << 20


class Call:
    """An open connection to a host."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._delivered: list[str] = []

    def ask(self, report: Report, seconds: float) -> Reply:
        """Tell the host of an event and return its reply. Raises OSError or ValueError when there is none."""
        self._connection.settimeout(seconds)
        self._send({"v": VERSION, "op": "event", "report": report})
        return self.reply()

    def wait_for_mail(self, report: Report) -> None:
        """Ask for the mail of an idle session: the `reply` comes when there is some; `select` waits for it."""
        self._send({"v": VERSION, "op": "wait", "report": report})

    def fileno(self) -> int:
        """Return what ``select`` takes."""
        found: int = self._connection.fileno()
        return found

    def reply(self) -> Reply:
        """Read the reply to what was asked. Raises OSError or ValueError when there is none."""
        reply: Any = self._read()
        self._delivered = [str(each) for each in reply.get("delivered", [])]
        return reply  # type: ignore[no-any-return] # as far as its parts are read

    def greet(self, seconds: float) -> None:
        """See whether the host answers. Raises OSError or ValueError when it does not."""
        self._connection.settimeout(seconds)
        self._send({"v": VERSION, "op": "hello"})
        self._read()

    def _read(self) -> dict[str, Any]:
        line = b""
        while not line.endswith(b"\n"):  # nothing follows an answer before the next question
            part = self._connection.recv(65_536)
            line += part
            if not part or len(line) > LONGEST_LINE:
                raise ConnectionError("the session host hung up")
        reply = text.loads(line)
        if not isinstance(reply, dict):
            raise TypeError(f"the session host answered {reply!r}")
        if "error" in reply:
            raise RuntimeError(str(reply["error"]))
        return reply

    def confirm(self) -> None:
        """Tell the host that what it delivered has left this process: it is not delivered again."""
        if self._delivered:
            self._send({"v": VERSION, "op": "delivered", "ids": self._delivered})
            self._delivered = []

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _send(self, message: dict[str, Any]) -> None:
        self._connection.sendall(text.dumps(message).encode() + b"\n")


def reach(at: Meeting) -> Call | None:
    """Connect to the host of a namespace; None when there is none."""
    import _socket  # what `socket` wraps, which costs a process per edit 5 ms to import

    connection: Any = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(1.0)
    try:
        connection.connect(at.socket)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return Call(connection)
