"""Events: say what happened; whoever listens hears it, in order, before ``emit`` returns.

``@listener`` marks functions and methods of beans, ``Events.on`` subscribes while running, ``Events.emit`` tells.  What happens in the life
of the application is in :mod:`greenimi.event.lifecycle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.event.bridge import Bridge
from greenimi.event.event import Event, NamedEvent, StopPropagation
from greenimi.event.events import Events, Subscription
from greenimi.event.listeners import Listeners

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

__all__ = ["Bridge", "Event", "Events", "NamedEvent", "StopPropagation", "Subscription", "includeme"]

LATE = 1000
"""Listeners are subscribed when the other rooms have made their servers' containers."""


def includeme(setup: Setup) -> None:
    """Bring the Events bean (each server's container gets its own, which also hears the application's), ``@listener`` and the bridge.

    Marked listeners are subscribed during commit, after the beans were checked; what is emitted earlier only reaches ``Events.on``.
    """
    events = Events()
    bridge = Bridge(events)
    setup.container.add(Events, events)
    setup.container.add(Bridge, bridge)
    setup.add_service(bridge, "zope.event")
    listeners = Listeners(setup)
    setup.on_mark("listener", listeners.handle)
    setup.on_commit(listeners.subscribe, order=LATE)
