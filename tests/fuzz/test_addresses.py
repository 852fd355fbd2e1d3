"""URLs of any form: a backend that is not connected yet, or an error of the library that shows no password (X12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import assume, given
from hypothesis import strategies as st

from comity.backends import open_backend, redact
from comity.errors import ComityError
from comity.testing.kit.rules import rule
from tests.fuzz.cases import fuzzed, playing
from tests.fuzz.test_names import texts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECRET = "hunter2hunter2"  # noqa: S105 - nobody's
_SCHEMES = [
    "redis", "rediss", "unix", "sqlite", "fakeredis", "redis+sentinel", "rediss+sentinel", "redis+cluster",
    "rediss+cluster", "redi", "http", "", "REDIS", "redis+", "sqlite3",
]  # fmt: skip
_PARTS = [
    "://", ":", "/", "//", "@", "?", "#", "&", "=", "localhost", "127.0.0.1", "[::1]", "[", "]", ":6379", ":0",
    ":99999", ":-1", ":x", "/0", "/1", "/x", "/service", "a,b:2", ",", "user:", "?db=1", "?db=x", "?timeout=1",
    "?x=y", "%", "%zz", "%2F", "/none/none.sock", "memory", "?mode=ro", ":memory:", "..", "?ssl_ca_certs=/none",
    "?socket_timeout=x", "?wait_replicas=1", "?wait_replicas=x", "?protocol=9", "?ssl_cert_reqs=perhaps",
    "?max_connections=-1", "\0", "\n",
]  # fmt: skip


def urls() -> st.SearchStrategy[str]:
    """Parts of URLs in any order."""
    part = st.one_of(st.sampled_from(_PARTS), texts())
    return st.builds(
        lambda scheme, parts: scheme + "".join(parts), st.sampled_from(_SCHEMES), st.lists(part, max_size=6)
    )


@rule("X12")
@fuzzed(100, 10_000)
def test_any_url_is_opened_or_refused_by_an_error_of_the_library(
    cases: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMITY_URL", f"sqlite:///{tmp_path}/own.db")

    @playing(cases)
    @given(url=urls())
    def check(url: str) -> None:
        try:
            backend, owned = open_backend(url, "fuzz")
        except ComityError as error:
            assert str(error)
            return
        assert owned
        assert backend.namespace == "fuzz"
        repr(backend)
        backend.close()

    check()
    assert list(tmp_path.iterdir()) == []


@rule("X12")
@fuzzed(100, 5_000)
def test_no_password_of_a_url_is_shown(cases: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    option = st.sampled_from(["password", "ssl_password", "sentinel_password"])
    place = st.sampled_from(
        ["localhost", "h:6379", "h:6379/0", "h:x", "a,b:2/s", "[::1]:1/2", "h?x=1", "h/zz", "h:99999999"]
    )

    @playing(cases)
    @given(
        scheme=st.sampled_from(_SCHEMES),
        user=st.sampled_from(["", "user", "us:er", "u%40"]),
        where=place,
        option=option,
        before=texts(),
        in_query=st.booleans(),
    )
    def check(scheme: str, user: str, where: str, option: str, before: str, in_query: bool) -> None:
        assume(not set("#?/&;@[]") & set(before))  # they end the password; what must be encoded is said
        password = f"{before}{SECRET}"
        mark = "&" if "?" in where else "?"
        url = f"{scheme}://{where}{mark}{option}={password}" if in_query else f"{scheme}://{user}:{password}@{where}"
        assert SECRET not in redact(url)
        try:
            backend, _ = open_backend(url, "fuzz")
        except ComityError as error:
            assert SECRET not in f"{error}{error!r}{vars(error)}"
            return
        assert SECRET not in f"{backend.url}{backend!r}"
        backend.close()

    check()
