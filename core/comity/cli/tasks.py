"""``comity task list``, ``stats`` and ``get``: what is to be done, being done, done and dead."""

import json as js
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import Cell, clean, out, span, table

if TYPE_CHECKING:
    from comity.model import Task, TaskStats

LIST_EPILOG = examples(
    "comity task list\nwhat is to be done, being done and dead, of every queue",
    "comity task list reviews --status done --json\nwith their results",
)
STATS_EPILOG = examples("comity task stats\none row for each queue", "comity task stats --batch tonight --json")
GET_EPILOG = examples("comity task get $task --json | jq .result\nwhat came of it")
TASK = Annotated[str, typer.Argument(metavar="TASK", help="Its id.", show_default=False)]
_UNFINISHED = ["claimed", "ready", "delayed", "blocked", "dead"]
_STYLES = {"claimed": "green", "dead": "red", "delayed": "dim", "blocked": "dim", "done": "dim"}


def list_(
    ctx: typer.Context,
    queues: Annotated[
        list[str] | None, typer.Argument(metavar="QUEUE...", help="Which queues; default: all.", show_default=False)
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="ready, delayed, blocked, claimed, done or dead; default: all but done."),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="NAME", help="What is done or dead of this batch, instead.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many of each queue and status.")] = 100,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show tasks: what is being done, what is ready in the order in which it will be claimed, what is dead."""
    from comity.cli.picture import now_ms

    at = target(ctx, url, namespace, json)
    if batch is not None and (queues or status):
        raise typer.BadParameter("name queues and statuses, or a batch")
    with at.reading() as me:
        if batch is not None:
            tasks = list(me.tasks.results(batch, limit=limit).tasks)
        else:
            tasks = [
                task
                for queue in queues or me.tasks.queues()
                for wanted in status or _UNFINISHED
                for task in me.tasks.list(queue, wanted, limit=limit).tasks
            ]
        now = now_ms(me)
    if at.json:
        out(js.dumps([facts(task) for task in tasks]))
    elif not tasks:
        out(f"no such tasks in namespace {clean(me.namespace)} of {clean(me.backend.url)}")
    else:
        head = ["TASK", "QUEUE", "STATUS", "FOR", "PRIORITY", "ATTEMPTS", "PUSHED BY", "SESSION", "PAYLOAD"]
        table(head, [_row(task, now) for task in tasks])


def stats(
    ctx: typer.Context,
    queues: Annotated[
        list[str] | None, typer.Argument(metavar="QUEUE...", help="Which queues; default: all.", show_default=False)
    ] = None,
    batch: Annotated[str | None, typer.Option(metavar="NAME", help="Those of this batch, instead.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show how many tasks are in which status, and how long one takes."""
    at = target(ctx, url, namespace, json)
    if batch is not None and queues:
        raise typer.BadParameter("name queues, or a batch")
    with at.reading() as me:
        if batch is not None:
            found = {batch: me.tasks.stats(batch=batch)}
        else:
            found = {queue: me.tasks.stats(queue) for queue in queues or me.tasks.queues()}
    kind = "queue" if batch is None else "batch"
    if at.json:
        out(js.dumps([{kind: name, **_counts(each)} for name, each in found.items()]))
    elif not found:
        out(f"no tasks in namespace {clean(me.namespace)} of {clean(me.backend.url)}")
    else:
        head = [kind.upper(), "READY", "DELAYED", "BLOCKED", "CLAIMED", "DONE", "DEAD", "TAKES"]
        table(head, [_counted(name, each) for name, each in found.items()])


def get(ctx: typer.Context, task: TASK, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Show a task, with its payload and what came of it, as JSON."""
    from comity.errors import NoSuchTask

    at = target(ctx, url, namespace, json)
    with at.reading() as me:
        found = me.tasks.get(task)
    if found is None:
        raise NoSuchTask(task)
    out(js.dumps(facts(found), indent=None if at.json else 2))


def _row(task: "Task", now: int) -> list[Cell]:
    said = task.error if task.status == "dead" and task.error else js.dumps(task.payload, ensure_ascii=False)
    return [
        clean(task.id, 80),
        clean(task.queue, 40),
        (task.status.value, _STYLES.get(task.status.value, "")),
        span(max(now - task.since_ms, 0) / 1000),
        str(task.priority),
        f"{task.attempts}/{task.max_attempts}",
        clean(queued_by(task), 90),
        clean(task.agent_id or "-", 80),
        clean(said, 80),
    ]


def _counted(name: str, counts: "TaskStats") -> list[Cell]:
    numbers = [counts.ready, counts.delayed, counts.blocked, counts.claimed, counts.done]
    dead: Cell = (str(counts.dead), "red") if counts.dead else "0"
    mean = counts.mean_duration
    return [clean(name, 80), *map(str, numbers), dead, "-" if mean is None else span(mean)]


def _counts(counts: "TaskStats") -> dict[str, object]:
    return {
        "ready": counts.ready,
        "delayed": counts.delayed,
        "blocked": counts.blocked,
        "claimed": counts.claimed,
        "done": counts.done,
        "dead": counts.dead,
        "mean_duration": counts.mean_duration,
    }


def queued_by(task: "Task") -> str:
    """Say whose task it is: the session that pushed it, and that a person did so if one did."""
    return f"{task.pushed_by or '-'}{' (a person)' if task.origin == 'human' else ''}"


def facts(task: "Task") -> dict[str, object]:
    """Return a task as JSON has it."""
    return {
        "id": task.id,
        "queue": task.queue,
        "status": task.status.value,
        "priority": task.priority,
        "attempts": task.attempts,
        "max_attempts": task.max_attempts,
        "batch": task.batch,
        "dedupe_key": task.dedupe_key,
        "agent_id": task.agent_id,
        "token": task.token,
        "error": task.error,
        "pushed_by": task.pushed_by,
        "origin": task.origin.value,
        "pushed": task.pushed.isoformat(),
        "since": task.since.isoformat(),
        "due": None if task.due is None else task.due.isoformat(),
        "duration": task.duration,
        "payload": task.payload,
        "result": task.result,
    }
