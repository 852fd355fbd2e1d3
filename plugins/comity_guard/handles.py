"""Readable names of client sessions: the same for the same session, hardly ever the same for two."""

from __future__ import annotations

import hashlib

_HOW = (  # noqa: SIM905 - a list of 64 lines says no more
    "amber ashen azure bold brisk bronze calm cedar chalk cherry civil clear cobalt copper coral crisp "
    "dapper dawn deep dusky eager early ebony even fabled fern fleet flint frank frosty gentle gilded "
    "glad golden grand green hazel hidden honest ivory jade jolly keen kind late lively lucid lunar "
    "mellow merry misty mossy neat noble northern olive opal pale patient pearl plain polar prime quiet"
).split()
_WHO = (  # noqa: SIM905 - as above
    "badger beaver bison bittern crane cricket curlew deer dingo dove dunlin eagle egret elk falcon ferret "
    "finch fox gannet gecko goose grouse hare heron hoopoe ibis jackdaw jay kestrel kite lark linnet "
    "lizard lynx magpie marten merlin mole moth newt nuthatch ocelot oriole osprey otter owl panda petrel "
    "plover puffin quail rail raven robin rook salmon seal shrike siskin sparrow stoat stork swift tern"
).split()


def handle(client: str, host: str, session: str, agent: str = "") -> str:
    """Return the name of a client session, or of its subagent: ``claude-amber-fox-3f2a``.

    Derived from what identifies it, so that every process finds the same one without being told.
    """
    digest = hashlib.sha256(f"{client}\0{host}\0{session}".encode()).digest()
    name = f"{client}-{_HOW[digest[0] % len(_HOW)]}-{_WHO[digest[1] % len(_WHO)]}-{digest[2:4].hex()}"
    return f"{name}.{hashlib.sha256(agent.encode()).hexdigest()[:4]}" if agent else name


def family(handle_of: str) -> str:
    """Return the handle of the session that a subagent belongs to; a session's own is its own."""
    return handle_of.partition(".")[0]
