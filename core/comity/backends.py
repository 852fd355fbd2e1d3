"""From what a caller gives to a backend: a URL, a backend, a client of their own, or nothing."""

from __future__ import annotations

import difflib
import importlib.util
import logging
import re
from typing import TYPE_CHECKING, Any, Protocol

from comity import installed
from comity.errors import ComityError, InvalidArgument, InvalidSetting, UnknownBackend
from comity.logs import log
from comity.names import check_name
from comity.ports import Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class BackendClass(Protocol):
    """What an entry point of ``comity.backends`` names. The name of the entry point is the URL's scheme."""

    def from_url(self, url: str, namespace: str) -> Backend:
        """Make a backend. Connects at its first step, not here. Raises ValueError for a URL it cannot read."""

    def from_client(self, client: object, namespace: str) -> Backend:
        """Make a backend from the address and credentials of `client` (optional)."""

    def accepts(self, client: object) -> bool:
        """Tell whether `from_client` takes `client` (optional, with it)."""


_OURS = {
    **dict.fromkeys(("redis", "rediss", "unix"), "redis"),
    **dict.fromkeys(("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"), "redis"),
    "fakeredis": "testing",
    "sqlite": "",
}
"""Our schemes, and the extra that brings what each needs."""
_NEEDED = {"redis": ("redis", "hiredis"), "testing": ("redis", "fakeredis", "lupa")}
"""What must be importable for each extra."""
_PLAIN_AUTHORITY = re.compile(r"(\[[^\]@]*\]|[^:@]*)(:\d*)?")
_SECRET_OPTION = re.compile(r"([?&;](?:\w+_)?(?:password|passwd|pwd|pass|secret|token|auth)=)[^&;#]*", re.IGNORECASE)


def redact(url: str) -> str:
    """Return `url` with ``***`` in place of its password, for errors, logs and the doctor.

    Also right for malformed URLs with an unquoted ``@``, ``/`` or ``?`` in the password; in doubt it hides
    too much.
    """
    scheme, mark, rest = url.partition("://")
    if not mark and "@" in url:
        scheme = f"***@{url.rpartition('@')[2]}"
    elif mark and not rest.startswith("/"):
        before_query = rest.partition("?")[0]
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if "@" in before_query or ("@" in rest and not _PLAIN_AUTHORITY.fullmatch(authority)):
            userinfo, _, place = rest.rpartition("@")
            user, colon, _ = userinfo.partition(":")
            rest = f"{user}{colon}***@{place}" if colon else f"{user}@{place}"
    return _SECRET_OPTION.sub(r"\1***", f"{scheme}{mark}{rest}")


def schemes() -> dict[str, EntryPoint]:
    """Return the installed backends by URL scheme; the first one of a scheme, our own before others."""
    found: dict[str, EntryPoint] = {}
    points = installed.entry_points(installed.BACKENDS)
    for point in sorted(points, key=lambda each: not (each.name in _OURS and each.module.startswith("comity_"))):
        owner = found.setdefault(point.name, point)
        if owner.value != point.value:
            log(
                logging.WARNING,
                "backend_refused",
                scheme=point.name,
                owner=installed.origin(owner),
                refused=installed.origin(point),
            )
    return found


def open_backend(target: object, namespace: str | None) -> tuple[Backend, bool]:
    """Return the backend that `target` means, and whether it was made here and is to be closed by us.

    `target` is a URL, a `Backend` (which stays the caller's), a client that an installed backend accepts
    (gives the address; its connections stay the caller's), or None for the settings' URL. `namespace`
    None means a given backend's own, else the settings'. Nothing is connected yet.

    Raises `UnknownBackend`, `InvalidSetting` for a URL that cannot be read, `InvalidArgument` for anything
    else, and for a `namespace` that is not the given backend's. No password is shown.
    """
    from comity.config import environment_of, resolve

    environ = environment_of("url", "namespace")

    if target is not None and not isinstance(target, str):
        if isinstance(target, Backend):
            return _given(target, namespace), False
        settings = resolve(environ, namespace=namespace)
        return _from_client(target, settings.namespace), True
    settings = resolve(environ, url=target, namespace=namespace)
    return _from_url(settings.url, settings.namespace), True


def _given(backend: Backend, namespace: str | None) -> Backend:
    if namespace is not None and check_name("namespace", namespace) != backend.namespace:
        raise InvalidArgument(
            "namespace",
            namespace,
            f"the backend given is for namespace {backend.namespace!r}; leave namespace out, or give its URL",
        )
    return backend


def _from_url(url: str, namespace: str) -> Backend:
    scheme, mark, _ = url.partition("://")
    if not mark or not scheme:
        raise InvalidSetting(
            f"URL {redact(url)!r} has no scheme; write it like redis://localhost:6379 or sqlite:///path/to/file.db"
        )
    known = schemes()
    point = known.get(scheme.lower())
    if point is None:
        raise UnknownBackend(scheme, known, _hint(scheme.lower(), known))
    try:
        made: Backend = _load(point, known).from_url(url, namespace)
    except ComityError:
        raise
    except ValueError as error:
        raise InvalidSetting(f"URL {redact(url)!r} cannot be used: {_without_secrets(str(error), url)}") from None
    return made


def _from_client(client: object, namespace: str) -> Backend:
    root = type(client).__module__.partition(".")[0]
    known = schemes()
    # The one named like the client's package first: it spares the import of the others.
    for point in sorted({p.value: p for p in known.values()}.values(), key=lambda p: not root.startswith(p.name)):
        try:
            cls: Any = _load(point, known)
        except ComityError:
            if root.startswith(point.name):
                raise  # this one would have taken it
            continue
        accepts = getattr(cls, "accepts", None)
        if accepts is not None and accepts(client):
            made: Backend = cls.from_client(client, namespace)
            return made
    raise InvalidArgument(
        "target",
        type(client),
        "give a URL, a backend, or a client of one of the installed backends: " + (", ".join(sorted(known)) or "none"),
    )


def _load(point: EntryPoint, known: dict[str, EntryPoint]) -> BackendClass:
    """Import a backend's class, or say what to install."""
    try:
        loaded: BackendClass = point.load()
    except Exception as error:
        lacking = _lacking(point.name)
        if lacking and isinstance(error, ImportError):
            unusable = {scheme for scheme in known if _lacking(scheme)}
            raise UnknownBackend(point.name, known.keys() - unusable, _install(lacking)) from None
        raise InvalidSetting(
            f"the backend for {point.name!r} URLs ({point.value} of {installed.origin(point)}) cannot be loaded: "
            f"{error!r}; repair or uninstall it"
        ) from error
    if not callable(getattr(loaded, "from_url", None)):
        raise InvalidSetting(f"the backend for {point.name!r} URLs ({point.value}) has no from_url(url, namespace)")
    return loaded


def _lacking(scheme: str) -> str:
    """Return the extra whose packages our backend for `scheme` lacks, "" when it lacks none."""
    extra = _OURS.get(scheme, "")
    missing = any(importlib.util.find_spec(package) is None for package in _NEEDED.get(extra, ()))
    return extra if missing else ""


def _install(extra: str) -> str:
    return f"install what it needs: pip install 'comity[{extra}]'"


def _hint(scheme: str, known: dict[str, EntryPoint]) -> str:
    if scheme in _OURS:
        return _install(_OURS[scheme] or "all")
    close = difflib.get_close_matches(scheme, {*known, *_OURS}, n=1)
    return f"did you mean {close[0]}://...?" if close else "the part before :// names the backend"


def _without_secrets(text: str, url: str) -> str:
    """Take the password of `url` out of an adapter's message."""
    hidden = redact(url)
    text = text.replace(url, hidden)
    userinfo = url.partition("://")[2].rpartition("@")[0]
    password = userinfo.partition(":")[2]
    for piece in (password, *re.split(r"[/?#@]", password)):
        if piece:
            text = text.replace(piece, "***")
    return text
