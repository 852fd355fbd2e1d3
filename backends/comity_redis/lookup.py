"""Asking servers one after another, until one tells what is wanted: written once for both colours.

A plan is a generator: it yields a `Question` for one server and is sent the answer, or the core's error
in its place, which it may catch. What it returns is the result.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from comity.errors import BackendUnavailable, BackendUnfit
from comity_redis.async_wire import aconnect
from comity_redis.replies import ErrorReply, refusal
from comity_redis.wire import connect, raise_lost

if TYPE_CHECKING:
    from collections.abc import Generator

    from comity_redis.address import Address

T = TypeVar("T")


class Question(NamedTuple):
    """One command for one server, which has so many seconds to answer, connection included."""

    address: Address
    data: bytes
    seconds: float


Plan: TypeAlias = "Generator[Question, Any, T]"


def perform(plan: Plan[T], deadline: float, step: str) -> T:
    """Ask as `plan` says, until `deadline` (monotonic), on connections that are dropped again."""
    try:
        question = next(plan)
        while True:
            try:
                answer = _ask(question, deadline, step)
            except (BackendUnavailable, BackendUnfit) as error:
                question = plan.throw(error)
            else:
                question = plan.send(answer)
    except StopIteration as stop:
        told: T = stop.value
        return told
    finally:
        plan.close()


def _ask(question: Question, deadline: float, step: str) -> Any:
    started = time.monotonic()
    until = min(deadline, started + question.seconds)
    wire = connect(question.address, until, step)
    try:
        answer = wire.ask(question.data, 1, until - time.monotonic())
    except Exception as error:
        raise_lost(error, question.address.where, step, time.monotonic() - started)
        raise
    finally:
        wire.drop()
    return _told(answer, question.address, step)


async def aperform(plan: Plan[T], deadline: float, step: str) -> T:
    """Ask like `perform` without blocking the event loop."""
    try:
        question = next(plan)
        while True:
            try:
                answer = await _aask(question, deadline, step)
            except (BackendUnavailable, BackendUnfit) as error:
                question = plan.throw(error)
            else:
                question = plan.send(answer)
    except StopIteration as stop:
        told: T = stop.value
        return told
    finally:
        plan.close()


async def _aask(question: Question, deadline: float, step: str) -> Any:
    started = time.monotonic()
    until = min(deadline, started + question.seconds)
    wire = await aconnect(question.address, until - started, step)
    try:
        answer = await wire.ask(question.data, 1, until - time.monotonic())
    except Exception as error:
        raise_lost(error, question.address.where, step, time.monotonic() - started)
        raise
    finally:
        wire.drop()
    return _told(answer, question.address, step)


def _told(answer: Any, address: Address, step: str) -> Any:
    if isinstance(answer, ErrorReply):
        raise refusal(answer, address.where, step)
    return answer
