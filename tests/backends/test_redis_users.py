"""Redis users with exactly the rights that the guide gives them: they are enough, and for an OBSERVER they are few."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import comity
import comity_redis
from comity.errors import BackendUnfit
from comity.testing.kit import StepContract
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from tests.servers import REDIS_VERSIONS
from tests.topologies import GROUPS, SentinelGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Server, Servers

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/howto/redis_users_and_tls.md").read_text(encoding="utf-8")
LINES = {line.split()[2]: line.split()[3:] for line in GUIDE.splitlines() if line.startswith("ACL SETUSER")}
MORE = {
    "sentinel": "+role",
    "cluster": "+cluster|slots +asking +ssubscribe",
    "cluster 6.2": "+cluster|slots +asking",
    "waiting": "+wait",
    "": "",
}


def rights(user: str, namespace: str, more: str = "") -> list[str]:
    """Return what the guide gives to a user, for another namespace."""
    words = [word.replace("my-repo", namespace) for word in LINES[user]]
    return [*words, *MORE[more].split()]


def admit(server: Server, user: str, namespace: str, more: str = "") -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", user, *rights(user, namespace, more))


def as_user(url: str, user: str) -> str:
    return url.replace("://", f"://{user}:SECRET@", 1)


@pytest.fixture(params=REDIS_VERSIONS)
def server(request: pytest.FixtureRequest, start_redis: Callable[..., Server]) -> Server:
    server = start_redis(version=request.param)
    for user in LINES:
        admit(server, user, "repo")
    return server


@pytest.fixture
def backend(server: Server) -> Iterator[RedisBackend]:
    backend = RedisBackend.from_url(as_user(server.url, "agent"), "repo")
    yield backend
    backend.close()


def payload(event: comity.Event | comity.Gap) -> Any:
    assert isinstance(event, comity.Event)
    return event.payload


def commands_used() -> set[str]:
    """Return every command that scripts and steps contain."""
    folder = Path(comity_redis.__file__).parent
    found: set[str] = set()
    for file in folder.glob("scripts/*.lua"):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r"\bp?call\('([A-Z]+)'", text)) | set(re.findall(r"= '([XZH](?:LEN|CARD))'", text))
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r"\b(?:pack|ask)\(\s*\"([A-Z]+)\"", text))
        found |= set(re.findall(r"\bcommand\([^()]*(?:\([^()]*\)[^()]*)*?\"([A-Z]{3,})\"", text))
    return {name.lower() for name in found}


def test_the_guide_gives_every_command_that_is_used_and_no_other() -> None:
    given = {word[1:].partition("|")[0] for name in LINES for word in LINES[name] if word.startswith("+")}
    given |= {word[1:].partition("|")[0] for words in MORE.values() for word in words.split()}
    given |= {"select", "client"}  # for a database, for a name
    free = {"auth", "hello", "sentinel"}  # anybody may; of a Sentinel's own
    assert commands_used() - given - free == set(), "add it to docs/howto/redis_users_and_tls.md"
    unused = given - commands_used()
    assert unused <= {"zcard", "unsubscribe"}, "nothing uses it"
    for words in MORE.values():
        for word in words.split():
            assert word in GUIDE.replace("\\|", "|")


@rule("A2")
def test_an_agent_can_do_all_that_a_steward_does(backend: RedisBackend) -> None:
    options: dict[str, Any] = {"access_tier": "STEWARD", "session_ttl": 20.0}
    with comity.connect(backend, agent_id="ann", **options) as ann, comity.connect(backend, agent_id="bob") as bob:
        lease = ann.locks.acquire("x")
        ann.locks.break_lock("x", "to see whether it can")
        assert bob.locks.acquire("x", timeout=5).token > lease.token
        ann.locks.preempt("x", bob.locks.holders("x")[0].token)
        ann.events.publish("news", {"n": 1})
        with bob.events.subscribe("news", after="start") as events:
            assert payload(next(events)) == {"n": 1}
        ann.state.put("plan", {"a": 1})
        assert bob.state.get("plan") is not None
        ann.signals.send("bob", "hello", {})
        assert [signal.type for signal in bob.signals.receive(timeout=5)] == ["hello"]
        ann.tasks.push("work", {})
        claim = bob.tasks.claim("work", timeout=5)
        assert claim is not None
        claim.complete({})
        ann.conflicts.resolve("x", "bob")
        assert {session.agent_id for session in ann.sessions.active()} == {"ann", "bob"}
        found = {finding.what: finding.health.value for finding in backend.diagnose().run(5)}
        assert found["permissions"] == "ok"
    assert backend.drop().run(5) > 0


@rule("A2")
def test_an_observer_reads_and_follows_and_changes_nothing(server: Server, backend: RedisBackend) -> None:
    observing = RedisBackend.from_url(as_user(server.url, "observer"), "repo")
    options: dict[str, Any] = {"access_tier": "OBSERVER", "auto_announce": False}
    with comity.connect(backend, agent_id="ann") as ann, comity.connect(observing, **options) as me:
        ann.locks.acquire("x")
        ann.state.put("plan", {"a": 1})
        ann.events.publish("news", 1)
        assert [session.agent_id for session in me.sessions.active()] == ["ann"]
        assert me.sessions.get("ann") is not None
        assert [holder.agent_id for holder in me.locks.holders("x")] == ["ann"]
        assert [holder.name for holder in me.locks.held()] == ["x"]
        assert me.locks.contenders("x") == []
        entry = me.state.get("plan")
        assert entry is not None
        assert [each.key for each in me.state.list()] == ["plan"]
        with me.sessions.watch() as changes, me.events.subscribe("news", after="start") as events:
            snapshot = next(changes)
            assert isinstance(snapshot, comity.Snapshot)
            assert [session.agent_id for session in snapshot.sessions] == ["ann"]
            assert payload(next(events)) == 1
            ann.events.publish("news", 2)
            assert payload(next(events)) == 2
            with comity.connect(backend, agent_id="bob"):
                assert isinstance(next(changes), comity.Joined)
        found = {finding.what: finding for finding in observing.diagnose().run(5)}
        assert found["permissions"].health.value == "warn"
        assert "may only read" in found["permissions"].found
    with pytest.raises(BackendUnfit, match=r"it refused presence.announce: .*redis_users_and_tls"):
        comity.connect(observing, agent_id="eve")
    with server.client() as client:
        for command in ("HSET comity:{repo}:meta a b", "PUBLISH comity:{repo}:n h", "DEL comity:{repo}:meta"):
            with pytest.raises(Exception, match=r"(?i)permission"), _login(server, "observer") as plain:
                plain.execute_command(*command.split())
        assert client.exists("comity:{repo}:meta")
        assert not client.hexists("comity:{repo}:meta", "a")
    observing.close()


def _login(server: Server, user: str) -> Any:
    import redis

    return redis.Redis(port=server.port, username=user, password="SECRET", protocol=2)  # noqa: S106


def test_a_user_of_one_namespace_is_refused_in_another(server: Server) -> None:
    other = RedisBackend.from_url(as_user(server.url, "agent"), "other")
    with pytest.raises(BackendUnfit, match=r"it refused presence.announce: .*keys, channels and commands"):
        comity.connect(other)
    other.close()


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_users_behind_sentinels_and_on_a_cluster_need_what_the_guide_adds(kind: str, redis_servers: Servers) -> None:
    group = redis_servers.group(GROUPS[kind])
    for server in group.servers if isinstance(group, SentinelGroup) else group.nodes:
        admit(server, "agent", "users", kind)
        admit(server, "observer", "users", kind)
    agent = RedisBackend.from_url(as_user(group.url, "agent"), "users")
    observer = RedisBackend.from_url(as_user(group.url, "observer"), "users")
    with comity.connect(agent, agent_id="ann") as ann, comity.connect(observer, auto_announce=False) as me:
        assert ann.locks.acquire("x").release()
        assert [session.agent_id for session in me.sessions.active()] == ["ann"]
    agent.close()
    observer.close()


@pytest.mark.slow
class TestAgent(StepContract):
    """All rules about steps, as the user that the guide makes."""

    @pytest.fixture(params=REDIS_VERSIONS)
    def make_backend(self, request: pytest.FixtureRequest, start_redis: Callable[..., Server]) -> MakeBackend:
        server = start_redis(version=request.param)
        admit(server, "agent", "*")
        return lambda namespace: RedisBackend.from_url(as_user(server.url, "agent"), namespace)
