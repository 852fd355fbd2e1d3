"""``comity task``: push work, claim it for the session of COMITY_SESSION, and say what came of it."""

import json as js
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.exits import Exit, tell
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.payload import GIVEN, AsText, payload
from comity.cli.screen import clean, err, out
from comity.cli.session import seconds
from comity.cli.tasks import TASK, facts, queued_by

if TYPE_CHECKING:
    from comity import Claim, Coordinator

PUSH_EPILOG = examples(
    'comity task push reviews \'{"branch": "fix/login"}\' --priority 5\nits id; some session will claim it',
    "comity task push deploy --depends-on $build --dedupe-key nightly --batch tonight",
)
CLAIM_EPILOG = examples(
    "comity task claim reviews --timeout 60\nthe best that is ready, or wait for one: status 75 when there was none",
    "comity task claim reviews chores --max-runtime 30m --json\nof two queues; it goes back after half an hour",
)
COMPLETE_EPILOG = examples("comity task complete $task '{\"ok\": true}'\nthe result is kept with the task")
FAIL_EPILOG = examples(
    'comity task fail $task "the tests need a database" --retry-in 10m\nanother attempt, if any are left',
    'comity task fail $task "no such branch" --final\nnever again',
)
RETRY_EPILOG = examples("comity task retry $task\na dead task begins anew, with all its attempts")
REMOVE_EPILOG = examples("comity task remove $task\none that nobody works on; those that depend on it are dead")
_SAY_AFTER = 1.0
_KEPT = "a claim is kept by a session that outlives the command"
_TOKEN = Annotated[
    int | None, typer.Option(metavar="N", help="Only if the claim has this token: no later attempt is meant.")
]


def push(
    ctx: typer.Context,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Which queue.", show_default=False)],
    given: Annotated[
        str | None, typer.Argument(metavar="PAYLOAD", help=f"What is to be done: {GIVEN}", show_default=False)
    ] = None,
    text: AsText = False,
    priority: Annotated[int, typer.Option(help="Larger is claimed first.")] = 0,
    delay: Annotated[float, typer.Option(metavar="TIME", parser=seconds, help="Not to be claimed before.")] = "0",  # type: ignore[assignment]  # read by the parser
    max_attempts: Annotated[int, typer.Option(min=1, help="Claimed so often before it is dead.")] = 3,
    dedupe_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="While a task with this key is unfinished, none is added.")
    ] = None,
    depends_on: Annotated[
        list[str] | None, typer.Option(metavar="TASK", help="Done before it; may be repeated.")
    ] = None,
    batch: Annotated[str | None, typer.Option(metavar="NAME", help="A name to find results by.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Put a task into a queue, and show its id."""
    from comity.origin import at_terminal

    at = target(ctx, url, namespace, json)
    value = payload(given, as_text=text)
    with at.acting() as me:
        task = me.tasks.push(
            queue,
            value,
            priority=priority,
            delay=delay,
            max_attempts=max_attempts,
            dedupe_key=dedupe_key,
            depends_on=depends_on or (),
            batch=batch,
            by_hand=at_terminal(),
        )
    out(js.dumps(facts(task)) if at.json else clean(task.id))


def claim(
    ctx: typer.Context,
    queues: Annotated[list[str], typer.Argument(metavar="QUEUE...", help="Of which queues.", show_default=False)],
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Wait at most S seconds; 0: not at all; default: for ever.")
    ] = None,
    max_runtime: Annotated[
        float | None, typer.Option(metavar="TIME", parser=seconds, help="It goes back to its queue after that.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not tell of waiting.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Claim a task for the session of COMITY_SESSION: it is that one's until it is ended, or the session is."""
    from comity.cli.child import Interrupted, Signals

    at = target(ctx, url, namespace, json)
    with Signals():
        try:
            with at.acting(needs=_KEPT) as me:
                claimed = _claim(me, queues, timeout, max_runtime, quiet=quiet or at.json)
        except Interrupted as interrupted:
            raise typer.Exit(Exit.SIGNALLED + interrupted.number) from None
    if claimed is None:
        named = " or ".join(clean(queue) for queue in queues)
        raise typer.Exit(tell("NoTask", f"no task of {named} is ready", Exit.NOT_HAD, as_json=at.json))
    told = {"id": claimed.id, "queue": claimed.queue, "token": claimed.token, "payload": claimed.payload}
    if at.json:
        told |= {"pushed_by": claimed.task.pushed_by, "origin": claimed.task.origin.value}
        out(js.dumps({**told, "attempt": claimed.task.attempts, "max_attempts": claimed.task.max_attempts}))
        return
    by = clean(queued_by(claimed.task), 90)
    attempt = f"attempt {claimed.task.attempts} of {claimed.task.max_attempts}"
    out(f"claimed {clean(claimed.id)} of {clean(claimed.queue)} ({attempt}, token {claimed.token}), pushed by {by}")
    out(js.dumps(claimed.payload))


def _claim(
    me: "Coordinator", queues: list[str], timeout: float | None, max_runtime: float | None, *, quiet: bool
) -> "Claim | None":
    late = threading.Timer(_SAY_AFTER, err, (f"comity: waiting for a task of {' or '.join(map(clean, queues))}",))
    late.daemon = True
    if not quiet and timeout != 0:
        late.start()
    try:
        return me.tasks.claim(queues, timeout=timeout, max_runtime=max_runtime)
    finally:
        late.cancel()


def complete(
    ctx: typer.Context,
    task: TASK,
    given: Annotated[
        str | None, typer.Argument(metavar="RESULT", help=f"What came of it: {GIVEN}", show_default=False)
    ] = None,
    text: AsText = False,
    token: _TOKEN = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """End a claim of the session: the task is done."""
    at = target(ctx, url, namespace, json)
    result = payload(given, as_text=text)
    with at.acting(needs=_KEPT) as me:
        _claim_on(me, task, token).complete(result)
    _ended(at, task, "done")


def fail(
    ctx: typer.Context,
    task: TASK,
    error: Annotated[str, typer.Argument(metavar="ERROR", help="Why.", show_default=False)],
    retry_in: Annotated[
        float, typer.Option(metavar="TIME", parser=seconds, help="It may be claimed again after that.")
    ] = "0",  # type: ignore[assignment]  # read by the parser
    final: Annotated[bool, typer.Option("--final", help="It is not to be tried again.")] = False,
    token: _TOKEN = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """End a claim of the session: this attempt failed."""
    at = target(ctx, url, namespace, json)
    with at.acting(needs=_KEPT) as me:
        status = _claim_on(me, task, token).fail(error, retry_in=None if final else retry_in)
    _ended(at, task, status.value)


def _claim_on(me: "Coordinator", task_id: str, token: int | None) -> "Claim":
    """Return the session's claim on a task. Raises `ClaimLost`, `NoSuchTask`."""
    from comity.errors import ClaimLost, NoSuchTask

    for claimed in me.tasks.mine():
        if claimed.id == task_id and token in (None, claimed.token):
            return claimed
    task = me.tasks.get(task_id)
    if task is None:
        raise NoSuchTask(task_id)
    holder = f"{task.agent_id} has it" if task.status == "claimed" else f"it is {task.status}"
    raise ClaimLost(task_id, task.queue, token or task.token, f"this session has no such claim, {holder}")


def _ended(at: Target, task_id: str, status: str) -> None:
    out(js.dumps({"id": task_id, "status": status}) if at.json else f"{clean(task_id)} is {status}")


def retry(ctx: typer.Context, task: TASK, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Let a dead task begin anew."""
    at = target(ctx, url, namespace, json)
    with at.acting() as me:
        found = me.tasks.retry(task)
    _ended(at, task, found.status.value)


def remove(ctx: typer.Context, task: TASK, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Delete a task that nobody works on."""
    from comity.errors import NoSuchTask

    at = target(ctx, url, namespace, json)
    with at.acting() as me:
        removed = me.tasks.remove(task)
    if not removed:
        raise NoSuchTask(task)
    _ended(at, task, "removed")
