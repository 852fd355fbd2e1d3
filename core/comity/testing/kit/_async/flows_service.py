"""The background service: elected, fenced, asked to stop; its jobs and its status (rules B1-B3)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from comity import AccessDenied, AsyncBackgroundService, LockLost, NameTaken, NoSuchSession, SessionLost, hookimpl
from comity._async.service.records import AsyncRecords
from comity.model.service import SERVICE_NAME
from comity.stop_requests import StopRequest, ask
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comity import AsyncCoordinator, SessionInfo
    from comity.jobs import Job, Turn


class Chore:
    """A job of a test's: counts its runs, and does what it is told to."""

    interval = 0.05

    def __init__(self, name: str = "chore", do: Callable[[Turn], object] = lambda turn: turn.count("chores")) -> None:
        self.name, self._do = name, do
        self.runs = 0

    def run(self, turn: Turn) -> None:
        self.runs += 1
        self._do(turn)


class Told:
    """A plugin that offers jobs and takes down what the hooks tell."""

    name = "told"

    def __init__(self, *jobs: Any) -> None:
        self._jobs = jobs
        self.seen: list[tuple[str, str, int, str]] = []

    @hookimpl
    def comity_service_jobs(self) -> Sequence[Job]:
        return self._jobs

    @hookimpl
    def comity_service_started(self, info: SessionInfo, token: int) -> None:
        self.seen.append(("started", info.agent_id, token, ""))

    @hookimpl
    def comity_service_deposed(self, info: SessionInfo, token: int, reason: str) -> None:
        self.seen.append(("deposed", info.agent_id, token, reason))

    @hookimpl
    def comity_service_stopped(self, info: SessionInfo, token: int, reason: str) -> None:
        self.seen.append(("stopped", info.agent_id, token, reason))


def fail(turn: Turn) -> None:
    raise ValueError(f"boom {turn.ensure_held()}")


async def line(me: AsyncCoordinator) -> list[str]:
    """Return who leads and who stands by, in order."""
    status = await me.service.get_status()
    return [each for each in (status.leader, *status.standbys) if each is not None]


class AsyncServiceFlows(AsyncFlowTests):
    """One leader per namespace, and what it does."""

    # The election (B1)

    @rule("B1")
    async def test_one_leads_and_the_others_stand_by_in_line(self, stage: AsyncFlowStage) -> None:
        names = ["ann", "bob", "eve"]
        sessions = [await stage.join(name) for name in names]
        assert [await me.service.start() for me in sessions] == [True, False, False]
        assert [me.service.is_running for me in sessions] == [True, False, False]
        assert [me.service.is_standing_by for me in sessions] == [False, True, True]
        assert await line(sessions[2]) == names
        assert await sessions[0].service.start()  # harmless

    @rule("B1")
    async def test_who_may_do_more_of_the_jobs_stands_further_ahead(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        eve = await stage.join("eve", access_tier="VALIDATOR")
        for me in (ann, bob, eve):
            await me.service.start()
        assert await line(ann) == ["ann", "eve", "bob"]

    @rule("B1")
    async def test_the_next_one_leads_at_once_after_a_clean_stop(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.service.start()
        await bob.service.start()
        before = await bob.service.get_status()
        await ann.service.stop()
        assert await until(lambda: bob.service.is_running) < 0.1
        after = await bob.service.get_status()
        assert (after.leader, after.standbys) == ("bob", ())
        assert after.token is not None
        assert before.token is not None
        assert after.token > before.token
        assert await stage.told("lock.lost") == []
        assert not ann.service.is_running

    @rule("B1")
    async def test_the_next_one_leads_within_a_tenth_of_a_second_of_a_dead_leaders_deadline(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", **SHORT), await stage.join("bob")
        await ann.service.start()
        await bob.service.start()
        stage.kill(ann)
        deadline = ann._session.deadline  # noqa: SLF001
        await until(lambda: bob.service.is_running, 3.0)
        assert -0.05 < bob._session.now() - deadline < 0.15  # noqa: SLF001

    @rule("B1")
    async def test_a_standby_that_stops_leaves_the_line(self, stage: AsyncFlowStage) -> None:
        ann, bob, eve = await stage.join("ann"), await stage.join("bob"), await stage.join("eve")
        for me in (ann, bob, eve):
            await me.service.start()
        await bob.service.stop()
        assert await line(ann) == ["ann", "eve"]
        assert await bob.service.start() is False
        assert await line(ann) == ["ann", "eve", "bob"]

    @rule("B1")
    async def test_closing_the_leader_hands_the_lead_on(self, stage: AsyncFlowStage) -> None:
        bob, told = await stage.join("bob"), Told()
        ann = await stage.join("ann", plugins=[told], service=True)
        await bob.service.start()
        assert ann.service.is_running
        await ann.close()
        assert await until(lambda: bob.service.is_running) < 0.1
        assert [(what, why) for what, _, _, why in told.seen] == [("started", ""), ("stopped", "its program closed it")]

    @rule("B1", "X9")
    async def test_a_service_leaves_no_thread_behind(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", service=True), await stage.join("bob", service=True)
        await bob.close()
        await ann.close()
        await until(lambda: not {"comity-service", "comity-heart", "comity-ear", "comity-dispatch"} & {*stage.mine()})

    @rule("B1", "L8")
    async def test_a_write_of_who_was_deposed_is_refused_and_says_why(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", session_ttl=60.0, heartbeat_interval=20.0)
        bob = await stage.join("bob", access_tier="STEWARD")
        lease = await ann.locks.acquire("lead")
        ann._ear.close()  # noqa: SLF001 - it hears of nothing
        await bob.locks.break_lock("lead", "it hangs")
        with pytest.raises(LockLost, match=r"refused: its lease is over .*it hangs"):
            await AsyncRecords(ann._space, lease).write("key", b"1")  # noqa: SLF001
        assert lease.lost
        assert await ann.state.get("key") is None

    @rule("B1")
    async def test_a_deposed_leader_stops_and_stands_in_line_again(self, stage: AsyncFlowStage) -> None:
        told, chore = Told(), Chore()
        ann, bob = await stage.join("ann", plugins=[told]), await stage.join("bob", access_tier="STEWARD")
        service = AsyncBackgroundService(ann, jobs=[chore])
        await service.start()
        await bob.service.start()
        await until(lambda: chore.runs)
        await bob.locks.break_lock(SERVICE_NAME, "it hangs")
        await until(lambda: bob.service.is_running)
        await until(lambda: service.is_standing_by)
        runs = chore.runs
        await pause(0.15)
        assert chore.runs == runs
        assert [what for what, _, _, _ in told.seen] == ["started", "deposed"]
        assert "it hangs" in told.seen[1][3]  # by its news, or by a write that is refused
        assert await line(bob) == ["bob", "ann"]

    @rule("B1")
    async def test_what_a_deposed_leader_still_writes_is_refused(self, stage: AsyncFlowStage) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        lease = await ann.locks._stand_for(SERVICE_NAME, 0, "leader", lambda _: None)  # noqa: SLF001
        ann._ear.close()  # noqa: SLF001 - it hears of nothing
        await eve.locks.break_lock(SERVICE_NAME, "paused for too long")
        heard_of_it = lease.lost
        assert not heard_of_it
        records = AsyncRecords(ann._space, lease)  # noqa: SLF001
        with pytest.raises(LockLost, match=r"paused for too long|was refused"):
            await records.write(f"{SERVICE_NAME}/probe", b"1")
        assert lease.lost
        assert await records.read(f"{SERVICE_NAME}/probe") is None

    @rule("B1", "S6")
    async def test_a_lost_session_ends_its_service_unless_it_joins_again(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", **SHORT)
        bob = await stage.join("bob", on_lost="rejoin", **SHORT)
        await ann.service.start()
        await bob.service.start()
        for me in (ann, bob):
            stage.faults(me).cut()
        await until(lambda: not ann.service.is_running and not bob.service.is_standing_by, 3.0)
        used = time.process_time()
        await pause(0.3)
        assert time.process_time() - used < 0.2  # nobody spins
        for me in (ann, bob):
            stage.faults(me).mend()
        await until(lambda: bob.service.is_running, 5.0)
        with pytest.raises(SessionLost):
            await ann.service.start()

    @rule("B1")
    async def test_two_services_of_one_session_stand_in_line_like_any_other_two(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        first, second = ann.service, AsyncBackgroundService(ann)
        assert await first.start()
        assert await second.start() is False
        assert await line(ann) == ["ann", "ann"]
        await first.stop()
        await until(lambda: second.is_running)
        await ann.depart()
        assert not second.is_running
        assert await second.wait(1.0)

    @rule("A1")
    async def test_an_observer_may_look_but_not_lead(self, stage: AsyncFlowStage) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="OBSERVER")
        await ann.service.start()
        assert (await eve.service.get_status()).leader == "ann"
        with pytest.raises(AccessDenied):
            await eve.service.start()

    # The status, and requests to stop (B2)

    @rule("B2", "X7")
    async def test_a_report_that_cannot_be_read_hides_nothing_else(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.service.start()
        lease = ann.service._lease  # noqa: SLF001
        assert lease is not None
        records = AsyncRecords(ann._space, lease)  # noqa: SLF001

        async def hidden() -> bool:  # again if the leader's own report came in between
            await records.write(f"{SERVICE_NAME}/report", b'{"jobs":"none"}')
            status = await ann.service.get_status()
            return (status.leader, status.report) == ("ann", None)

        await until(hidden)
        await ann.service.stop()
        await ann.service.start()

        async def reported() -> bool:
            return bool((await ann.service.get_status()).jobs)

        await until(reported)

    @rule("B2")
    async def test_any_session_sees_who_leads_and_how_the_jobs_fare_in_two_round_trips(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        service = AsyncBackgroundService(ann, jobs=[Chore(), Chore("broken", fail)])
        nobody = await bob.service.get_status()
        assert (nobody.leader, nobody.is_led, nobody.trouble) == (None, False, "")
        await service.start()

        async def reported() -> bool:
            return (await bob.service.get_status()).counts.get("chores", 0) > 0

        await until(reported)
        sent = stage.faults(bob).sent
        status = await bob.service.get_status()
        assert stage.faults(bob).sent - sent <= 2
        assert (status.leader, status.standbys, status.trouble) == ("ann", (), "")
        assert status.since is not None
        assert status.held_for < 30
        jobs = {job.name: job for job in status.jobs}
        assert {"reap", "chore", "broken"} <= set(jobs)
        assert jobs["chore"].last_run is not None
        assert abs((jobs["chore"].last_run - status.since).total_seconds()) < 30
        assert list(status.errors) == ["broken"]
        assert status.to_dict()["jobs"][-1]["error"].startswith("ValueError: boom")

    @rule("B2")
    async def test_a_leader_is_asked_to_stop_by_a_steward_and_lets_go_itself(self, stage: AsyncFlowStage) -> None:
        told = Told()
        ann, bob = await stage.join("ann", plugins=[told]), await stage.join("bob")
        eve = await stage.join("eve", access_tier="STEWARD")
        await ann.service.start()
        await bob.service.start()
        with pytest.raises(AccessDenied):
            await bob.service.ask_to_stop(reason="why not")
        assert await eve.service.ask_to_stop(reason="an upgrade")
        await until(lambda: bob.service.is_running)
        assert not ann.service.is_running
        assert not ann.service.is_standing_by
        await until(lambda: len(told.seen) == 2)
        assert told.seen[1][3] == "asked to by eve: an upgrade"
        assert await stage.told("lock.lost") == []  # nobody took anything from anybody
        assert await eve.service.ask_to_stop("bob", reason="the same")
        assert (await eve.service.get_status()).to_dict()["ended"] == "asked to by eve: the same"
        with pytest.raises(NoSuchSession):
            await eve.service.ask_to_stop(reason="again")

    @rule("B2")
    async def test_a_standby_is_asked_to_stop_and_leaves_the_line(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        eve = await stage.join("eve", access_tier="STEWARD")
        await ann.service.start()
        await bob.service.start()
        assert await eve.service.ask_to_stop("bob", reason="not needed")
        assert await line(eve) == ["ann"]
        assert ann.service.is_running

    @rule("B2")
    async def test_a_request_for_an_earlier_lead_stops_nobody(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.service.start()
        lease = ann.service._lease  # noqa: SLF001
        assert lease is not None
        space = ann._space  # noqa: SLF001
        for token, agent_id in ((lease.token - 1, "ann"), (None, "somebody")):
            request = StopRequest(agent_id, token, "eve", "late")
            await space.seam.arun(ask(space.backend.pubsub, space.ids(), request))
        await space.seam.arun(
            space.backend.pubsub.publish(None, space.ids(), SERVICE_NAME, "stop", b"[]", max_events=9, max_age_ms=9999)
        )
        await pause(0.1)
        assert ann.service.is_running

    # Its jobs (B3)

    @rule("B3")
    async def test_a_job_that_raises_is_reported_and_runs_again_and_the_others_go_on(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        broken, chore = Chore("broken", fail), Chore()
        service = AsyncBackgroundService(ann, jobs=[broken, chore])
        await service.start()
        await until(lambda: broken.runs >= 3 and chore.runs >= 3)
        await service.stop()
        (report,) = [job for job in (await bob.service.get_status()).jobs if job.name == "broken"]
        assert report.failures == report.runs == broken.runs
        assert "boom" in report.error
        # The next leader goes on with the counts.
        successor = AsyncBackgroundService(bob, jobs=[Chore("broken"), chore])
        await successor.start()
        await until(lambda: chore.runs > 5)
        await successor.stop()
        (after,) = [job for job in (await bob.service.get_status()).jobs if job.name == "broken"]
        assert after.failures == report.failures
        assert after.runs > report.runs
        assert after.error == ""

    @rule("B3", "H2")
    async def test_plugins_offer_jobs_and_unusable_ones_are_refused(self, stage: AsyncFlowStage) -> None:
        chore = Chore("tidy")
        ann = await stage.join("ann", plugins=[Told(chore, Chore("reap"), "no job", Chore("tidy"))])
        await ann.service.start()
        await until(lambda: chore.runs >= 2)
        refused = [row.error.partition(":")[0] for row in ann.plugins.report()]
        assert sorted(refused) == ["job 'no job'", "job 'reap'", "job 'tidy'"]
        with pytest.raises(NameTaken):
            AsyncBackgroundService(ann, jobs=[Chore("reap")])

    @rule("B1")
    async def test_a_stop_does_not_wait_for_ever_for_a_job(self, stage: AsyncFlowStage) -> None:
        go, in_it = threading.Event(), threading.Event()

        def hang(turn: Turn) -> None:
            in_it.set()
            go.wait(10)
            assert turn.stopping

        ann, bob = await stage.join("ann"), await stage.join("bob")
        service = AsyncBackgroundService(ann, jobs=[Chore("hung", hang)])
        await service.start()
        await bob.service.start()
        await until(in_it.is_set)
        await service.stop(timeout=0.1)
        await until(lambda: bob.service.is_running)
        go.set()

    @rule("B1")
    async def test_a_job_runs_again_when_it_says_so(self, stage: AsyncFlowStage) -> None:
        often = Chore("often", lambda turn: turn.again())
        often.interval = 60.0
        soon = Chore("soon", lambda turn: turn.again(0.05))
        soon.interval = 60.0
        ann = await stage.join("ann")
        service = AsyncBackgroundService(ann, jobs=[often, soon])
        await service.start()
        await until(lambda: often.runs > 10 and soon.runs > 2)
