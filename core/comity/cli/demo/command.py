"""``comity demo``: the whole of it on real files with real processes, ended by a verdict."""

import contextlib
import enum
import json as js
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comity.cli.exits import Exit
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.screen import Cell, clean, err, is_terminal, out, paint, table

if TYPE_CHECKING:
    from comity.cli.demo.director import Plan, Show
    from comity.cli.demo.verdict import Verdict

EPILOG = (
    examples(
        "comity demo\non the files of this folder, with a SQLite file of its own",
        "comity demo ~/src/app --url redis://localhost:6379 --sessions 12\non a server, in a namespace of its own",
        "comity demo --json --keep | tail -1\nthe verdict for a script; the journal stays",
    )
    + "\n\nNothing under PATH is changed: files are opened for reading. One session is killed and one is stopped while "
    "it holds a lease. The status is 0 only when all that was asked held, else 1."
)


class Sabotage(enum.StrEnum):
    """A rule broken on purpose, to see the verdict fail."""

    IGNORE_LOCK = "ignore-lock"
    BLIND_REGISTER = "blind-register"


def demo(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Whose files; default: this folder.", show_default=False)
    ] = Path(),
    sessions: Annotated[int, typer.Option(min=4, max=64, metavar="N", help="How many processes.")] = 6,
    seconds: Annotated[float, typer.Option(min=2, max=3600, metavar="S", help="How long they work.")] = 10.0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the journal and say where it is.")] = False,
    sabotage: Annotated[Sabotage | None, typer.Option(help="Break a rule on purpose, to see the verdict fail.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Let real processes contend for real files, kill one, stop one, and prove what came of it."""
    from comity.cli.demo.director import Plan
    from comity.cli.demo.targets import choose
    from comity.cli.demo.verdict import judge
    from comity.config import resolve

    at = target(ctx, url, namespace, json)
    root = _existing(path)
    with _folder(keep) as folder, _signals_end_it():
        given = at.url or resolve().url if at.url or _is_set("COMITY_URL") else None
        where = given or f"sqlite:///{(folder / 'comity.db').as_posix()}"
        plan = Plan(
            url=where,
            # never the user's own namespace: it is dropped in the end
            namespace=f"{at.namespace or 'demo'}-{secrets.token_hex(4)}",
            sessions=sessions,
            seconds=seconds,
            targets=choose(root, folder / "files"),
            journal=folder / "journal.db",
            sabotage=sabotage.value if sabotage else "",
        )
        journal = _perform(plan, at, root)
        verdict = judge(journal)
        _report(verdict, at, folder if keep else None)
    if not verdict.held:
        raise typer.Exit(Exit.FAILED)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise typer.BadParameter(f"there is no {clean(path)}", param_hint="PATH")
    return path.absolute()


def _is_set(name: str) -> bool:
    import os

    return bool(os.environ.get(name))


@contextlib.contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    """Make the demo's own folder and remove it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="comity-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end it as Ctrl-C does, so that nothing is left behind."""

    def end(number: int, frame: object) -> None:
        del frame
        raise SystemExit(Exit.SIGNALLED + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _perform(plan: "Plan", at: Target, root: Path) -> Any:
    """Run the demo and return its journal; no process, thread or record of it stays."""
    import comity
    from comity.cli.demo.counting import Counting
    from comity.cli.demo.crew import Crew
    from comity.cli.demo.director import Director
    from comity.cli.demo.register import Register
    from comity.errors import BadInput, ComityError
    from comity.ports import Capability
    from comity.seam import Seam

    crew = Crew()
    with (
        Register(plan.journal) as register,
        comity.connect(plan.url, namespace=plan.namespace, auto_announce=False) as me,
    ):
        if Capability.MULTI_PROCESS not in me.capabilities:
            raise BadInput(f"{me.backend.url} lives in one process; the demo needs processes: use sqlite or redis")
        try:
            with (
                _show(plan, at, root, me.backend.url) as show,
                Counting(plan.url, plan.namespace, plan.targets.files, register) as counting,
            ):
                Director(plan, crew, me, register, show, counting).run()
        finally:
            crew.end()
            try:
                Seam(5.0).run(me.backend.drop())
            except ComityError as error:
                err(f"comity: namespace {plan.namespace} could not be removed: {clean(error)}")
        return register.read()


@contextlib.contextmanager
def _show(plan: "Plan", at: Target, root: Path, where: str) -> "Iterator[Show]":
    from comity.cli.demo.crew import names, tier
    from comity.cli.demo.lines import JsonLines, Lines

    agents = names(plan.sessions)
    title = f"comity demo: {plan.sessions} sessions, {len(plan.targets)} files"
    on = f"files of {root} on {where}, namespace {plan.namespace}"
    if at.json:
        show = JsonLines()
        show.say("plan", title, sessions=agents, files=[each.name for each in plan.targets.hot], url=where)
        yield show
    elif is_terminal():
        from comity.cli.demo.live import LiveShow

        out(paint(clean(on), "dim"))
        with LiveShow(title, agents, {agent: tier(i) for i, agent in enumerate(agents)}, plan.seconds) as live:
            yield live
    else:
        out(clean(f"{title}; {on}"))
        yield Lines()


def _report(verdict: "Verdict", at: Target, kept: Path | None) -> None:
    """Write the verdict and the figures."""
    if at.json:
        facts = [{"name": each.name, "held": each.held, "found": each.found, **each.values} for each in verdict.checks]
        place = {} if kept is None else {"journal": str(kept)}
        out(js.dumps({"event": "verdict", "held": verdict.held, "checks": facts, **place}))
        return
    marks: dict[bool | None, Cell] = {True: ("held", "green"), False: ("FAILED", "bold red"), None: ("", "")}
    out("")
    table(["VERDICT", "WHAT", "FOUND"], [[marks[each.held], each.name, clean(each.found)] for each in verdict.checks])
    out("")
    failed = sum(each.held is False for each in verdict.checks)
    out(paint("All held.", "bold green") if verdict.held else paint(f"{failed} did not hold.", "bold red"))
    if kept is not None:
        out(f"the journal is {clean(kept / 'journal.db')}")
    if not verdict.held and not kept:
        out("run it with --keep to look at the journal")
