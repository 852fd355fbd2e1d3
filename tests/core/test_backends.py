"""From a URL, a backend or a client to a backend; and no password in any text."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Any

import pytest

from comity.backends import open_backend, redact, schemes
from comity.errors import InvalidArgument, InvalidName, InvalidSetting, UnknownBackend
from comity.ports import Backend
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from tests.core.distributions import Distributions

BACKEND = '''
class Client:
    """A client of the caller's own."""

class ThirdParty:
    capabilities = frozenset()
    outages = 0
    presence = locks = pubsub = signals = state = conflicts = tasks = None

    def __init__(self, url, namespace):
        self.url, self.namespace = url, namespace

    @classmethod
    def from_url(cls, url, namespace):
        if "bad" in url:
            raise ValueError(f"cannot read {url}: port {url.rpartition('@')[0].rpartition(':')[2]!r}")
        return cls(url, namespace)

    @classmethod
    def accepts(cls, client):
        return isinstance(client, Client)

    @classmethod
    def from_client(cls, client, namespace):
        return cls("from-client", namespace)

    def now(self): return 0.0
    def listener(self, session): ...
    def diagnose(self): ...
    def drop(self): ...
    def close(self): ...
    async def aclose(self): ...
'''

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def third_party(distributions: Distributions) -> Any:
    """An installed backend for ``third://`` URLs; its module."""
    distributions.add("third_party", BACKEND, comity_backends__third="third_party:ThirdParty")
    return importlib.import_module("third_party")


def test_a_url_opens_the_backend_of_its_scheme_which_is_ours_to_close(third_party: Any) -> None:
    backend, owned = open_backend("third://host/1", "repo")
    assert isinstance(backend, third_party.ThirdParty)
    assert isinstance(backend, Backend)
    assert (backend.url, backend.namespace, owned) == ("third://host/1", "repo", True)


def test_the_scheme_is_read_in_any_case(third_party: Any) -> None:
    assert isinstance(open_backend("THIRD://host", "repo")[0], third_party.ThirdParty)


@pytest.mark.usefixtures("third_party")
def test_without_a_target_the_environment_says_which(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("COMITY_URL", "third://from-environment")
    clean_environment.setenv("COMITY_NAMESPACE", "of-environment")
    backend, owned = open_backend(None, None)
    assert (backend.url, backend.namespace, owned) == ("third://from-environment", "of-environment", True)
    assert open_backend(None, "mine")[0].namespace == "mine"


def test_a_backend_given_stays_the_callers_and_keeps_its_namespace(
    third_party: Any, clean_environment: pytest.MonkeyPatch
) -> None:
    given = third_party.ThirdParty("u", "repo")
    clean_environment.setenv("COMITY_NAMESPACE", "elsewhere")
    assert open_backend(given, None) == (given, False)
    assert open_backend(given, "repo") == (given, False)
    with pytest.raises(InvalidArgument, match="'repo'") as caught:
        open_backend(given, "other")
    assert caught.value.argument == "namespace"


def test_a_client_opens_the_backend_that_accepts_it(third_party: Any) -> None:
    backend, owned = open_backend(third_party.Client(), "repo")
    assert (backend.url, backend.namespace, owned) == ("from-client", "repo", True)


@pytest.mark.usefixtures("third_party")
def test_an_object_that_no_backend_accepts_is_refused_without_showing_it() -> None:
    class Secretive:
        def __repr__(self) -> str:
            return "password=hunter2"

    with pytest.raises(InvalidArgument, match="third") as caught:
        open_backend(Secretive(), "repo")
    assert "hunter2" not in str(caught.value)
    assert "Secretive" in str(caught.value)


def test_a_client_whose_own_backend_cannot_be_loaded_says_so(distributions: Distributions) -> None:
    distributions.add("broken", "raise RuntimeError('half installed')", comity_backends__brok="broken:Broken")
    client = type("Client", (), {"__module__": "broken.client"})()
    with pytest.raises(InvalidSetting, match="half installed"):
        open_backend(client, "repo")


@pytest.mark.usefixtures("third_party")
def test_a_bad_value_of_another_setting_is_no_matter(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("COMITY_TIER", "boss")
    assert open_backend("third://host", None)[0].namespace == "default"


@pytest.mark.usefixtures("third_party")
def test_a_client_is_offered_to_the_others_when_one_backend_cannot_be_loaded(
    third_party: Any, distributions: Distributions
) -> None:
    distributions.add("broken", "raise RuntimeError('half installed')", comity_backends__broken="broken:Broken")
    assert open_backend(third_party.Client(), "repo")[0].url == "from-client"


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(
    ("url", "hint"),
    [("thrid://h", "did you mean third://"), ("reddis://h", "did you mean redis"), ("xyzzy://h", "before ://")],
)
def test_an_unknown_scheme_names_the_known_ones_and_a_close_one(url: str, hint: str) -> None:
    with pytest.raises(UnknownBackend, match=hint) as caught:
        open_backend(url, "repo")
    assert caught.value.known == ("third",)
    assert "installed: third" in str(caught.value)


@pytest.mark.parametrize(("scheme", "extra"), [("redis", "redis"), ("rediss", "redis"), ("fakeredis", "testing")])
def test_a_scheme_of_ours_whose_package_is_missing_names_the_extra(
    distributions: Distributions, monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    find_spec = importlib.util.find_spec
    missing = ("redis", "fakeredis")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name))
    distributions.add(
        "comity_stub",
        "import no_such_package",
        **{f"comity_backends__{scheme}": "comity_stub:Stub", "comity_backends__sqlite": "comity_stub:Sqlite"},
    )
    with pytest.raises(UnknownBackend) as caught:
        open_backend(f"{scheme}://host", "repo")
    assert f"pip install 'comity[{extra}]'" in str(caught.value)
    assert caught.value.known == ("sqlite",)


def test_a_backend_that_cannot_be_loaded_is_named(distributions: Distributions) -> None:
    distributions.add("broken", "raise RuntimeError('half installed')", comity_backends__broken="broken:Broken")
    with pytest.raises(InvalidSetting, match=r"broken:Broken of broken 1\.2.*half installed"):
        open_backend("broken://h", "repo")


def test_a_class_that_is_no_backend_is_named(distributions: Distributions) -> None:
    distributions.add("empty", "class Empty: pass", comity_backends__empty="empty:Empty")
    with pytest.raises(InvalidSetting, match="no from_url"):
        open_backend("empty://h", "repo")


def test_of_two_backends_for_one_scheme_the_later_is_refused_and_named_and_ours_goes_first(
    distributions: Distributions, caplog: pytest.LogCaptureFixture
) -> None:
    distributions.add("aaa_rival", BACKEND, comity_backends__redis="aaa_rival:ThirdParty")
    distributions.add("comity_redis_stub", BACKEND, comity_backends__redis="comity_redis_stub:ThirdParty")
    with caplog.at_level(logging.WARNING, "comity"):
        assert schemes()["redis"].value == "comity_redis_stub:ThirdParty"
    assert "backend_refused" in caplog.text
    assert "aaa_rival 1.2" in caplog.text


@pytest.mark.parametrize("url", ["localhost:6379", "/var/lib/x.db", "redis", ":secret@host", "://host"])
def test_a_url_without_a_scheme_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidSetting, match="redis://localhost:6379"):
        open_backend(url, "repo")


def test_a_bad_namespace_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(InvalidName, match="namespace"):
        open_backend("third://h", "a\nb")


# Passwords

SECRET = "hun%ter2"  # noqa: S105 - no password of anything


@rule("X12")
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://:{SECRET}@host:6379/0", "redis://:***@host:6379/0"),
        (f"redis://me:{SECRET}@host", "redis://me:***@host"),
        (f"rediss://me:{SECRET}@[::1]:6379/0?x=1", "rediss://me:***@[::1]:6379/0?x=1"),
        (f"unix://me:{SECRET}@/run/redis.sock?db=1", "unix://me:***@/run/redis.sock?db=1"),
        (f"redis://h/0?password={SECRET}&db=1", "redis://h/0?password=***&db=1"),
        (f"unix:///run/r.sock?db=1&PASSWORD={SECRET}", "unix:///run/r.sock?db=1&PASSWORD=***"),
        # Malformed ones
        (f"redis://:a@{SECRET}@host", "redis://:***@host"),
        (f"redis://:a/{SECRET}@host", "redis://:***@host"),
        (f"redis://:a?{SECRET}@host", "redis://:***@host"),
        (f"redis://:a#{SECRET}@host", "redis://:***@host"),
        (f"redis://me:123/{SECRET}@host", "redis://me:***@host"),
        (f"redis://me:1@2/{SECRET}?@host", "redis://me:***@host"),
        # Nothing to hide
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://me@host", "redis://me@host"),
        ("redis://host:6379/0?client_name=a@b", "redis://host:6379/0?client_name=a@b"),
        ("sqlite:///home/me@work/a:b.db", "sqlite:///home/me@work/a:b.db"),
        ("sqlite://", "sqlite://"),
        ("", ""),
    ],
)
def test_a_password_is_taken_out_of_a_url_and_nothing_else(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert SECRET not in redact(url)


@rule("X12")
@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(
    "url",
    [
        f"third://:{SECRET}@bad",
        f"third://me:a@{SECRET}@bad",
        f"third://me:a/{SECRET}@bad",
        f"third://bad?password={SECRET}",
        f"nowhere://:{SECRET}@h",
        f":{SECRET}@host",
        f"//:{SECRET}@host",
    ],
)
def test_no_error_about_a_url_shows_its_password(url: str, clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("COMITY_URL", url)
    for target in (url, None):
        with pytest.raises((InvalidSetting, UnknownBackend)) as caught:
            open_backend(target, "repo")
        error: BaseException | None = caught.value
        while error is not None:  # with everything a traceback would show
            assert SECRET not in str(error)
            error = None if error.__suppress_context__ else error.__cause__ or error.__context__
