"""One blocking connection: a socket, a reader, and one deadline for each exchange."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import redis

from comity.errors import BackendUnavailable, BackendUnfit, ComityError
from comity_redis import handshake, redis_py
from comity_redis.replies import MORE, ErrorReply, NotRedis, new_reader, refusal

if TYPE_CHECKING:
    from comity_redis.address import Address

_CERTIFICATE = "give one: ?ssl_certfile=PATH&ssl_keyfile=PATH"
_PERHAPS = "perhaps it wants rediss://, or is a proxy that lacks HELLO, INFO or EVALSHA"
_SLACK = 0.02
"""A socket timeout set before is kept when it is this near, in seconds: setting one is a system call."""


class Silent(Exception):
    """The server did not answer in time."""


class Hangup(Exception):
    """The server closed the connection."""


class Wire:
    """A connected socket of ours. Used by one thread at a time; any error is the end of it."""

    __slots__ = ("_buffer", "_feed", "_gets", "_recv_into", "_timeout", "address", "sock", "used")

    def __init__(self, sock: socket.socket, address: Address, deadline: float) -> None:
        """Take a socket connected to `address`. `deadline`: the monotonic time for its first exchange."""
        self.sock, self.address, self.used = sock, address, time.monotonic()
        reader = new_reader()
        self._feed, self._gets = reader.feed, reader.gets
        self._recv_into, self._buffer = sock.recv_into, bytearray(65536)
        self._timeout = max(0.001, deadline - self.used)
        sock.settimeout(self._timeout)

    def ask(self, data: bytes, replies: int, seconds_left: float) -> Any:
        """Send `data` and return the answer, a list of answers when `replies` is not 1.

        Raises `Silent`, `Hangup` or `OSError`; the wire must then be dropped.
        """
        self.used = started = time.monotonic()
        if not -_SLACK <= self._timeout - seconds_left <= _SLACK:
            self._set_timeout(seconds_left)
        self.sock.sendall(data)
        count = self._recv_into(self._buffer)
        if not count:
            raise Hangup
        self._feed(self._buffer, 0, count)
        answer = self._gets()
        if replies == 1 and answer is not MORE:
            return answer
        return self._rest(answer, replies, started + seconds_left)

    def _rest(self, answer: Any, replies: int, deadline: float) -> Any:
        """Read until all is there; the server may send it in any pieces, at any speed."""
        answers = []
        while True:
            if answer is MORE:
                self._set_timeout(deadline - time.monotonic())
                count = self._recv_into(self._buffer)
                if not count:
                    raise Hangup
                self._feed(self._buffer, 0, count)
            else:
                answers.append(answer)
                if len(answers) == replies:
                    return answers[0] if replies == 1 else answers
            answer = self._gets()

    def _set_timeout(self, seconds: float) -> None:
        if seconds <= 0:
            raise Silent
        self._timeout = seconds
        self.sock.settimeout(seconds)

    def is_stale(self) -> bool:
        """Tell whether the server closed it, or sent something nobody asked for, while it was idle."""
        return bool(readable(self.sock, timeout=0.0))

    def shut(self) -> None:
        """End the connection from any thread: whoever waits on it is woken. The socket stays open.

        An `SSLSocket` would leave TLS first, and the thread that uses it would take encrypted bytes for an answer.
        """
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def drop(self) -> None:
        """End the connection and close the socket."""
        with contextlib.suppress(OSError):
            self.sock.close()


def readable(*socks: socket.socket, timeout: float) -> list[int]:
    """Wait up to `timeout` seconds; return the descriptors of sockets that can be read or were closed by their peer."""
    if not hasattr(select, "poll"):  # Windows
        return [sock.fileno() for sock in select.select(socks, [], [], timeout)[0]]
    poll = select.poll()
    for each in socks:
        poll.register(each, select.POLLIN)
    return [number for number, _ in poll.poll(timeout * 1000)]


def connect(address: Address, deadline: float, step: str) -> Wire:
    """Connect and log in until `deadline` (monotonic seconds), all of it together.

    Looking the host's name up is left to the system, which bounds it in its own way.

    Raises:
        BackendUnavailable: refused, or not in time.
        BackendUnfit: a wrong password, database or certificate, or not a Redis server.
    """
    started = time.monotonic()
    cls, options = address.sync_class()
    try:
        sock = redis_py.connect(cls, options, deadline)
    except (redis.RedisError, OSError) as error:
        raise no_connection(error, address.where, step, time.monotonic() - started) from error
    wire = Wire(sock, address, deadline)
    try:
        greeting = handshake.greeting(address, handshake.credentials(address.login))
        if greeting:
            left = deadline - time.monotonic()
            answers = wire.ask(b"".join(greeting), len(greeting), left)
            check_welcome(answers if len(greeting) > 1 else [answers], address, step)
    except BaseException as error:
        wire.drop()
        raise_at_first(error, address, step, time.monotonic() - started)
        raise
    return wire


def check_welcome(answers: list[Any], address: Address, step: str) -> None:
    """Raise the core's error when the server refused the login or the database, or is not what it should be."""
    for answer in answers:
        if isinstance(answer, ErrorReply):
            raise refusal(answer, address.where, step)
    if address.primary and answers[-1][0] != b"master":
        raise BackendUnavailable(address.where, "it is not the primary any more, or not yet", step=step)


def raise_lost(error: BaseException, where: str, step: str, waited: float) -> None:
    """Raise the core's error when `error` says that the connection failed in the middle of a step."""
    if isinstance(error, ComityError):  # BackendUnavailable is an OSError too
        return
    if isinstance(error, NotRedis):
        text = f"what it sends is not the Redis protocol ({error})"
        raise BackendUnfit(where, text, "check host and port, and whether it wants rediss://") from error
    if isinstance(error, Silent | TimeoutError):
        why = "the server is silent"
    elif isinstance(error, Hangup):
        why = "the server closed the connection"
    elif isinstance(error, OSError):
        why = f"the connection broke: {error}"
    else:
        return
    raise BackendUnavailable(where, why, step=step, waited=waited) from error


def _is_local(error: OSError) -> bool:
    """Tell whether the trouble is with files of this machine, before anything was sent."""
    return not isinstance(error, ssl.SSLError) or error.library == "PEM" or error.reason == "KEY_VALUES_MISMATCH"


def raise_at_first(error: BaseException, address: Address, step: str, waited: float) -> None:
    """Raise the core's error when `error` broke the first exchange of a connection: that may tell more."""
    if "CERTIFICATE_REQUIRED" in str(error).upper():
        raise BackendUnfit(address.where, "it wants a certificate of the client", _CERTIFICATE) from error
    if isinstance(error, Hangup | ConnectionError | ssl.SSLError) and not isinstance(error, ComityError):
        hint = f"if it wants a certificate, {_CERTIFICATE}" if address.where.startswith("rediss://") else _PERHAPS
        if "ssl_certfile" not in address.options:
            raise BackendUnavailable(address.where, f"it hung up at once; {hint}", step=step, waited=waited) from error
    raise_lost(error, address.where, step, waited)


def no_connection(error: Exception, where: str, step: str, waited: float) -> BackendUnavailable | BackendUnfit:
    """Return the core's error for a connection that could not be made."""
    if isinstance(error, redis.AuthenticationError):
        return BackendUnfit(where, f"it refused the login ({error})", "check user and password")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        fix = "give its certificate authority: ?ssl_ca_certs=PATH"
        return BackendUnfit(where, f"its certificate cannot be verified ({error})", fix)
    cause = error.__context__ if isinstance(error, redis.RedisError) and error.__context__ else error
    tls = where.startswith("rediss://")
    if tls and isinstance(cause, FileNotFoundError | PermissionError | ssl.SSLError) and _is_local(cause):
        return BackendUnfit(where, f"a file that ssl_... of the URL names cannot be used: {cause}", "check the paths")
    if isinstance(error, redis.TimeoutError | TimeoutError):
        why = "no connection in time; does it speak TLS there, else write redis://" if tls else "no connection in time"
    elif isinstance(cause, ConnectionRefusedError | FileNotFoundError):
        why = "connection refused: no server there"
    else:
        why = f"no connection: {cause}"
    return BackendUnavailable(where, why, step=step, waited=waited)
