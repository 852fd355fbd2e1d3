"""The command line put together: our commands, those of plugins, and how every error ends."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from comity.cli import (
    doctor,
    events,
    locking,
    locks,
    patterns,
    plugins,
    session,
    sessions,
    signals,
    state,
    tasks,
    working,
)
from comity.cli import run as running
from comity.cli.demo import command as demo
from comity.cli.exits import Exit, status_of, tell
from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import PipeClosed, clean, err
from comity.cli.service import command as service
from comity.errors import ComityError

EPILOG = examples(
    "comity demo\nsee it work on the files of this folder",
    "comity run --lock db -- make migrate\none at a time, whoever asks",
    "comity sessions --json | jq -r '.[].agent_id'\nfor scripts",
) + (
    "\n\nExit statuses: 0 done; 1 failed, or found something wrong; 2 wrong usage; 69 store not reachable; "
    "75 lease, task or room not had; 76 lease or claim lost; 77 tier too low; 126, 127 command cannot run, not found; "
    "128+N ended by signal N. Colours: not in pipes, nor with NO_COLOR."
)
_Command = tuple[Callable[..., None], str, str]
"""What it does, in one line for the list, and the end of its help."""


class _Group(NamedTuple):
    """Commands of two words, by the second; `alone` is the first word by itself."""

    summary: str
    commands: dict[str, _Command]
    alone: Callable[..., None] | None = None
    epilog: str = ""


_OURS: dict[str, _Command | _Group] = {
    "demo": (demo.demo, "See it work, with a verdict.", demo.EPILOG),
    "sessions": _Group(
        "Who is there, in which state.",
        {"evict": (sessions.evict, "End another session.", sessions.EVICT_EPILOG)},
        sessions.sessions,
        sessions.EPILOG,
    ),
    "locks": (locks.locks, "Who holds what, who waits.", locks.EPILOG),
    "events": (events.events, "What happened, what happens.", events.EPILOG),
    "run": (running.run, "Hold a lock around a command.", running.EPILOG),
    "session": _Group(
        "A session for many commands.",
        {
            "start": (session.start, "Begin one.", session.START_EPILOG),
            "end": (session.end, "End it.", session.END_EPILOG),
        },
    ),
    "lock": (locking.lock, "Lock names for the session.", locking.LOCK_EPILOG),
    "unlock": (locking.unlock, "Unlock what the session holds.", locking.UNLOCK_EPILOG),
    "send": (signals.send, "Signal another session.", signals.SEND_EPILOG),
    "broadcast": (signals.broadcast, "Signal all others.", signals.BROADCAST_EPILOG),
    "inbox": (signals.inbox, "The session's signals.", signals.INBOX_EPILOG),
    "state": _Group(
        "Values that all sessions share.",
        {
            "get": (state.get, "One of them.", state.GET_EPILOG),
            "put": (state.put, "Store one.", state.PUT_EPILOG),
            "delete": (state.delete, "Take one away.", state.DELETE_EPILOG),
            "list": (state.list_, "All of them.", state.LIST_EPILOG),
            "watch": (state.watch, "And what changes.", state.WATCH_EPILOG),
        },
    ),
    "task": _Group(
        "Work that is handed over.",
        {
            "push": (working.push, "Put one into a queue.", working.PUSH_EPILOG),
            "claim": (working.claim, "Take one.", working.CLAIM_EPILOG),
            "complete": (working.complete, "It is done.", working.COMPLETE_EPILOG),
            "fail": (working.fail, "It failed.", working.FAIL_EPILOG),
            "list": (tasks.list_, "What there is.", tasks.LIST_EPILOG),
            "stats": (tasks.stats, "How many of which.", tasks.STATS_EPILOG),
            "get": (tasks.get, "One with all its facts.", tasks.GET_EPILOG),
            "retry": (working.retry, "A dead one begins anew.", working.RETRY_EPILOG),
            "remove": (working.remove, "Delete one.", working.REMOVE_EPILOG),
        },
    ),
    "patterns": _Group(
        "What sessions learnt.",
        {
            "list": (patterns.list_, "What is staged or decided.", patterns.LIST_EPILOG),
            "stage": (patterns.stage, "Stage one.", patterns.STAGE_EPILOG),
            "promote": (patterns.promote, "Have it kept.", patterns.PROMOTE_EPILOG),
            "reject": (patterns.reject, "Do not.", patterns.REJECT_EPILOG),
        },
    ),
    "service": _Group(
        "The background service.",
        {
            "start": (service.start, "Make sure that it runs.", service.START_EPILOG),
            "stop": (service.stop, "Ask it to stop.", service.STOP_EPILOG),
            "status": (service.status, "Who leads, how jobs fare.", service.STATUS_EPILOG),
            "logs": (service.logs, "What it wrote.", service.LOGS_EPILOG),
        },
    ),
    "doctor": (doctor.doctor, "What is wrong, and the fix.", doctor.EPILOG),
    "plugins": (plugins.plugins, "What is installed and in use.", plugins.EPILOG),
}
_STOPS_AT_COMMAND = {"allow_interspersed_args": False}
"""What follows the first word that is no option is the command's, with or without ``--`` before it."""
_WITH_VALUE = {"--url", "--namespace"}
_HELP = ("-h", "--help")


def _show_version(value: bool) -> None:
    if value:
        import comity

        typer.echo(f"comity {comity.__version__}")
        raise typer.Exit


def common(
    ctx: typer.Context,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """See and use what concurrent agent sessions share: who is there, who holds what, what happens."""
    del version
    ctx.obj = target(ctx, url, namespace, json)


def build(argv: Sequence[str]) -> typer.Typer:
    """Make the application: of one command, when it is known which, for each takes its time to put together.

    Plugins are looked for only when what is asked for may be theirs.
    """
    asked = _asked_for(argv)
    app = typer.Typer(
        name="comity",
        add_completion=False,
        rich_markup_mode=None,  # plain help: the same in a pipe, and no import of rich
        pretty_exceptions_enable=False,
        epilog=EPILOG,
        context_settings={"help_option_names": [*_HELP]},
    )
    app.callback(epilog=EPILOG)(common)
    for name, ours in {asked: _OURS[asked]}.items() if asked in _OURS else _OURS.items():
        if isinstance(ours, _Group):
            app.add_typer(_grouped(ours), name=name, short_help=ours.summary)
        else:
            function, summary, epilog = ours
            settings = _STOPS_AT_COMMAND if name == "run" else None
            app.command(name, short_help=summary, epilog=epilog, context_settings=settings)(function)
    if asked not in _OURS:
        for name, command in _of_plugins().items():
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name)
            else:
                app.command(name, help=inspect.getdoc(command) or "Offered by a plugin.")(command)
    return app


def _grouped(ours: _Group) -> typer.Typer:
    """Make the commands of two words."""
    group = typer.Typer(rich_markup_mode=None, help=ours.summary)
    if ours.alone is not None:
        group.callback(invoke_without_command=True, epilog=ours.epilog, help=inspect.getdoc(ours.alone))(ours.alone)
    for word, (function, summary, epilog) in ours.commands.items():
        group.command(word, short_help=summary, epilog=epilog)(function)
    return group


def _asked_for(argv: Sequence[str]) -> str:
    """Return the name of the command in `argv`, "" when there is none, or help on all is wanted."""
    words = iter(argv)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word in _HELP:
            return ""
        elif not word.startswith("-"):
            return word
    return ""


def _of_plugins() -> dict[str, Callable[..., Any]]:
    from comity.config import resolve
    from comity.plugins import PluginHost

    try:
        host = PluginHost(settings=resolve())
    except ComityError as error:  # help is still to be had with a wrong setting
        err(f"comity: plugins are left out: {clean(error)}")
        return {}
    return host.cli_commands(reserved=_OURS)


def _wants_json(argv: Sequence[str]) -> bool:
    own = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in own


def run(argv: Sequence[str]) -> int:
    """Run the command line on `argv` and return the exit status; nothing but bugs of ours raises."""
    argv, as_json = list(argv) or ["--help"], _wants_json(argv)
    try:
        status = typer.main.get_command(build(argv)).main(args=argv, prog_name="comity", standalone_mode=False)
    except ComityError as error:
        return tell(type(error).__name__, str(error), status_of(error), as_json=as_json)
    except PipeClosed:
        return Exit.PIPE_CLOSED
    except (KeyboardInterrupt, typer.Abort):
        return Exit.SIGNALLED + 2
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _misused(error, as_json=as_json)
    return status if isinstance(status, int) else Exit.OK


def _misused(error: Any, *, as_json: bool) -> int:
    """Tell of an option or argument that cannot be used; the parser's own error has no common root to catch."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "comity"
    return tell("UsageError", f"{error.format_message()} See `{command} --help`.", Exit.USAGE, as_json=as_json)
