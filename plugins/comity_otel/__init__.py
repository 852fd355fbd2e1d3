"""What Comity does, told to OpenTelemetry: spans of steps and of waits for locks, and counters of what goes wrong.

Needs the extra ``otel`` (the API alone; the program brings the SDK it wants). It is installed with Comity, and off
until it is turned on, from outside or in code:

    COMITY_OTEL=1 opentelemetry-instrument python my_agent.py

    comity.connect(plugins=[comity_otel.Telemetry(on=True)])

Names of locks, keys, topics and queues are told to nobody, unless ``lock_names=True`` asks for those of locks on spans.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from comity import InvalidSetting, hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from comity import Backend, Probe

_VARIABLE = "COMITY_OTEL"
_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class Telemetry:
    """Reports to the providers given, else to the global ones. May be given to many coordinators.

    `on`: None leaves it to ``COMITY_OTEL``. A provider that is given turns it on. `lock_names`: put the names that
    are waited for on the spans of waits; they may be secret, and there may be very many.
    """

    name = "comity_otel"

    def __init__(
        self,
        *,
        on: bool | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        lock_names: bool = False,
    ) -> None:
        given = tracer_provider is not None or meter_provider is not None
        self._on = given or on if on is None else on
        self._providers = tracer_provider, meter_provider
        self._lock_names = lock_names

    @hookimpl
    def comity_probes(self, backend: Backend) -> Sequence[Probe]:
        """Return what reports, if it is turned on."""
        if not (_wanted() if self._on is None else self._on):
            return ()
        try:
            from comity_otel.reporting import Reporter
        except ModuleNotFoundError as error:
            raise InvalidSetting(
                f"OpenTelemetry is turned on and its package {error.name} is missing; pip install 'comity[otel]'",
                setting=_VARIABLE,
            ) from error
        return (Reporter(backend, *self._providers, lock_names=self._lock_names),)


def _wanted() -> bool:
    """Read the switch. Raises `InvalidSetting`."""
    text = os.environ.get(_VARIABLE, "")
    if text.lower() not in _ON + _OFF:
        raise InvalidSetting(f"{_VARIABLE}={text!r} cannot be used: give 1 or 0", setting=_VARIABLE)
    return text.lower() in _ON


plugin = Telemetry
"""A class, so each coordinator has an object of its own."""

__all__ = ["Telemetry", "plugin"]
