"""Services: things with a start and a stop, in three tiers.  Doors open last and close first."""

from __future__ import annotations

from contextlib import ExitStack
from enum import IntEnum
from typing import Any

from greenimi.errors import ConflictError


class Tier(IntEnum):
    """When a service starts: what others stand on first, what takes messages in last."""

    RESOURCES = 1
    WORK = 2
    DOORS = 3


class Services:
    """Every service of an application, by name.

    Start order: by tier, then in the order added.  Drain and stop go the other way.
    """

    def __init__(self) -> None:
        self._services: dict[str, Any] = {}
        self._started: list[Any] = []

    def add(self, service: Any, name: str) -> None:
        """Take in an IService under a name of its own.  Added after ``start``, it is not started."""
        if name in self._services:
            raise ConflictError(f"there is a service {name} already: {self._services[name]!r}")
        self._services[name] = service

    def all(self) -> dict[str, Any]:
        """The services by name, in the order they start."""
        return dict(sorted(self._services.items(), key=lambda item: item[1].tier))

    def start(self) -> None:
        """Start all, one after the other.  When one fails, those already started are stopped, and its error is raised."""
        with ExitStack() as undo:
            undo.callback(self.stop)
            for name, service in self.all().items():
                try:
                    service.start()
                except BaseException as error:
                    error.add_note(f"while starting the service {name}")
                    raise
                self._started.append(service)
            undo.pop_all()

    def drain(self) -> None:
        """Tell all started services to take no new work, doors first.  Every one is told; the last error is raised."""
        with ExitStack() as calls:
            for service in self._started:
                calls.callback(service.drain)

    def stop(self) -> None:
        """Stop all started services, the last started first.

        Every one is stopped, whatever the others raise; the last error is raised, the earlier ones are its context.  Stopping twice does
        nothing.
        """
        started, self._started = self._started, []
        with ExitStack() as calls:
            for service in started:
                calls.callback(service.stop)
