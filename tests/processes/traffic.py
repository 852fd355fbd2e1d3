"""What a process does under use: runs inside workers, and writes down what happened in a `Place`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import comity

if TYPE_CHECKING:
    from tests.processes.history import Place

PATIENCE = 60.0
"""Seconds for a turn: on a machine that is busy with other things too."""


def contend(me: comity.Coordinator, place: Place, name: str, begins: float) -> dict[str, Any]:
    """Take turns on `name` from a moment of the monotonic clock until the place is stopped; tell what went wrong."""
    wrong: list[str] = []
    count = 0
    time.sleep(max(begins - time.monotonic(), 0))
    while not place.is_stopped:
        try:
            lease = me.locks.acquire(name, timeout=PATIENCE)
        except comity.ComityError as error:
            wrong.append(f"acquire: {error!r}")
            break
        place.enter(lease.token, me.agent_id)
        ended = place.leave()
        try:
            place.note_end(lease.token, ended, kept=lease.release())
        except comity.ComityError as error:
            wrong.append(f"release: {error!r}")
            break
        count += 1
    return {"turns": count, "wrong": wrong, "liveness": str(me.liveness)}


async def acontend(me: comity.AsyncCoordinator, place: Place, name: str, begins: float) -> dict[str, Any]:
    """Do the same in asyncio."""
    import asyncio

    wrong: list[str] = []
    count = 0
    await asyncio.sleep(max(begins - time.monotonic(), 0))
    while not place.is_stopped:
        try:
            lease = await me.locks.acquire(name, timeout=PATIENCE)
        except comity.ComityError as error:
            wrong.append(f"acquire: {error!r}")
            break
        place.enter(lease.token, me.agent_id)
        ended = place.leave()
        try:
            place.note_end(lease.token, ended, kept=await lease.release())
        except comity.ComityError as error:
            wrong.append(f"release: {error!r}")
            break
        count += 1
    return {"turns": count, "wrong": wrong, "liveness": str(me.liveness)}


def publish(me: comity.Coordinator, place: Place, topic: str) -> None:
    """Publish 1, 2, 3 ... until killed; each number is written down before it is sent and after it is stored."""
    sent_book, stored_book = place.folder / "sent", place.folder / "stored"
    with sent_book.open("a", buffering=1) as sent, stored_book.open("a", buffering=1) as stored:
        number = 0
        while True:
            number += 1
            sent.write(f"{number}\n")
            me.events.publish(topic, number)
            stored.write(f"{number}\n")


def handle(me: comity.Coordinator, place: Place) -> None:
    """Deal with the signals of the inbox until killed; each is written down when it was dealt with."""
    with (place.folder / "handled").open("a", buffering=1) as handled, me.signals.listen() as inbox:
        for signal in inbox:
            handled.write(f"{signal.sender} {signal.data}\n")
