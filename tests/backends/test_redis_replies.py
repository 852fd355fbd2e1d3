"""Answers: parsed alike with and without hiredis, and what error answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from comity.errors import BackendFull, BackendUnavailable, BackendUnfit, ComityError
from comity.testing.kit.rules import rule
from comity_redis.packing import pack
from comity_redis.redis_py import ParserReader
from comity_redis.replies import MORE, ErrorReply, NotRedis, Reader, new_reader, refusal

SENT = b"+OK\r\n:17\r\n$5\r\na\r\nb!\r\n$-1\r\n*3\r\n$1\r\nx\r\n*-1\r\n-ERR no\r\n*0\r\n-OOM x\r\n"
MEANT: list[Any] = [b"OK", 17, b"a\r\nb!", None, [b"x", None, "ERR no"], [], "OOM x"]

IN_SCRIPT = "ERR Error running script (call to f_ab): @user_script:1: @user_script: 1: "  # as 6.2 says it


def plain(answer: Any) -> Any:
    if isinstance(answer, list):
        return [plain(each) for each in answer]
    return str(answer) if isinstance(answer, ErrorReply) else answer


@pytest.mark.parametrize("make", [new_reader, ParserReader])
@pytest.mark.parametrize("size", [1, 2, 7, len(SENT)])
def test_answers_in_any_pieces_are_the_same_with_and_without_hiredis(make: Any, size: int) -> None:
    reader: Reader = make()
    read = []
    for start in range(0, len(SENT), size):
        buffer = bytearray(b"before" + SENT[start : start + size] + b"after")
        reader.feed(buffer, 6, len(buffer) - 11)
        while (answer := reader.gets()) is not MORE:
            read.append(plain(answer))
    assert read == MEANT


@pytest.mark.parametrize("make", [new_reader, ParserReader])
def test_something_else_than_redis_is_recognised(make: Any) -> None:
    reader: Reader = make()
    reader.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(NotRedis):
        reader.gets()


def test_commands_are_packed_as_redis_py_packs_them() -> None:
    long = "ü" * 600
    assert pack("SET", b"k\r\n", 17, long) == (
        b"*4\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$2\r\n17\r\n$1200\r\n" + long.encode() + b"\r\n"
    )


@rule("X12")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("LOADING Redis is loading the dataset in memory", BackendUnavailable),
        ("BUSY Redis is busy running a script.", BackendUnavailable),
        ("READONLY You can't write against a read only replica.", BackendUnavailable),
        (IN_SCRIPT + "-READONLY You can't write against a read only replica.", BackendUnavailable),
        ("MASTERDOWN Link with MASTER is down", BackendUnavailable),
        ("NOSCRIPT No matching script. Please use EVAL.", BackendUnavailable),
        ("TRYAGAIN Multiple keys request during rehashing of slot", BackendUnavailable),
        ("CLUSTERDOWN The cluster is down", BackendUnavailable),
        ("ERR max number of clients reached", BackendUnavailable),
        ("OOM command not allowed when used memory > 'maxmemory'.", BackendFull),
        (IN_SCRIPT + "-OOM command not allowed when used memory > 'maxmemory'.", BackendFull),
        ("NOAUTH Authentication required.", BackendUnfit),
        ("WRONGPASS invalid username-password pair or user is disabled.", BackendUnfit),
        ("NOPERM this user has no permissions to run the 'evalsha' command", BackendUnfit),
        ("ERR unknown command 'EVALSHA'", BackendUnfit),
        ("ERR DB index is out of range", BackendUnfit),
        ("ERR user_script:1: comity: a rule of ours", BackendUnfit),
    ],
)
def test_each_error_answer_becomes_the_error_that_says_what_to_do(text: str, kind: type[ComityError]) -> None:
    error = refusal(ErrorReply(text), "redis://h:1/0", "locks.acquire")
    assert type(error) is kind
    assert text in str(error)
    assert "redis://h:1/0" in str(error)
    assert "locks.acquire" in str(error)
