"""One end of a task queue, ours or a peer's, also as a process: ``python -m tests.benchmarks.working NAME URL``.

The process works until it is killed, and prints the time whenever it has done a task that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

import comity
from tests.benchmarks import peers
from tests.benchmarks.peers import EMBEDDED, OURS, SEED

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
RQ, DRAMATIQ, TASKIQ = "rq", "dramatiq", "taskiq (streams)"
MODULES = {RQ: "rq", DRAMATIQ: "dramatiq", TASKIQ: "taskiq_redis", SEED: peers.MODULES[SEED]}
QUEUE = "bench"
_LONGEST = 60.0


def installed() -> list[str]:
    """Return the peers there are here."""
    return [name for name, module in MODULES.items() if importlib.util.find_spec(module) is not None]


def tell(last: bool) -> None:
    """Do the task: nothing, but for the last one."""
    if last:
        print(time.monotonic(), flush=True)


def _dramatiq(url: str) -> Any:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    make: Any = RedisBroker
    broker = make(url=url)
    dramatiq.set_broker(broker)
    return broker, dramatiq.actor(queue_name=QUEUE, broker=broker)(tell)


def _taskiq(url: str) -> Any:
    from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

    results: Any = RedisAsyncResultBackend(url, result_ex_time=600)
    broker = RedisStreamBroker(url, queue_name=QUEUE).with_result_backend(results)

    def task(last: bool) -> None:  # a function of its own: the decorator renames it
        tell(last)

    return broker, broker.task(task_name="tell")(task)


class Pusher:
    """Pushes tasks from this process."""

    def __init__(self, kind: str, url: str) -> None:
        self.close: Callable[[], object]
        if kind in (OURS, EMBEDDED):
            me = comity.connect(url, namespace="bench-tasks")
            self.push: Callable[[bool], object] = lambda last: me.tasks.push(QUEUE, last)
            self.close = me.close
        elif kind == RQ:
            import rq

            client = redis.Redis.from_url(url)
            queue = rq.Queue(QUEUE, connection=client)
            self.push = lambda last: queue.enqueue(tell, last)
            self.close = client.close
        elif kind == SEED:
            stack = contextlib.ExitStack()
            me = stack.enter_context(peers.seed(url))
            self.push = lambda last: me._memory.queue_push(QUEUE, {"last": last}, me.credentials)
            self.close = stack.close
        elif kind == DRAMATIQ:
            broker, actor = _dramatiq(url)
            self.push, self.close = actor.send, broker.close
        else:
            loop = asyncio.new_event_loop()
            broker, task = _taskiq(url)
            loop.run_until_complete(broker.startup())
            self.push = lambda last: loop.run_until_complete(task.kiq(last))
            self.close = lambda: (loop.run_until_complete(broker.shutdown()), loop.close())


class Workshop:
    """A process that works."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.working", kind, url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def answer(self) -> float:
        """Return when it had done the last task, on the monotonic clock that all processes share."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _LONGEST)
        assert ready, f"no answer from {self.kind}"
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def main(kind: str, url: str) -> None:
    logging.disable(logging.CRITICAL)
    if kind.startswith("scaling:"):
        with comity.connect(url, namespace=kind.removeprefix("scaling:")) as me:
            start = me.tasks.claim("start")
            assert start is not None
            start.complete()
            me.tasks.worker("waits", lambda _: None).run()
    elif kind in (OURS, EMBEDDED):
        with comity.connect(url, namespace="bench-tasks") as me:
            me.tasks.worker(QUEUE, lambda claim: tell(claim.payload)).run()
    elif kind == RQ:
        import rq

        client = redis.Redis.from_url(url)
        rq.SimpleWorker([rq.Queue(QUEUE, connection=client)], connection=client).work(logging_level="CRITICAL")
    elif kind == SEED:  # what it takes is lost if it dies, and nobody is told that it is done
        with peers.seed(url) as me:
            while True:
                task = me._memory.queue_pop(QUEUE, me.credentials, timeout=5)
                if task is not None:
                    tell(task["task"]["last"])
    elif kind == DRAMATIQ:
        import dramatiq

        broker, _ = _dramatiq(url)
        dramatiq.Worker(broker, worker_threads=1).start()
        time.sleep(3600)
    else:
        from taskiq.receiver import Receiver

        async def work() -> None:
            broker, _ = _taskiq(url)
            broker.is_worker_process = True
            await broker.startup()
            await Receiver(broker, max_async_tasks=1).listen(asyncio.Event())

        asyncio.run(work())


if __name__ == "__main__":
    main(*sys.argv[1:])
