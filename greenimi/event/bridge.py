"""Notifications of ``zope.event``, which gevent and zope libraries send, reach our listeners."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import zope.event
from zope.interface import implementer

from greenimi.container.service import Tier
from greenimi.event.events import Events
from greenimi.interfaces import IService


@implementer(IService)
class Bridge:
    """A service: from ``start`` to ``stop`` every object that ``zope.event.notify`` is given is emitted as it is, heard by its class.

    ``zope.event`` keeps one list of subscribers for the process; this is in it once at most.  A listener's exception goes to the notifier.

    ``post``  for notifications from another operating-system thread than the one that called ``start`` (gevent's monitor has one): called
              there with a function without arguments; it must return at once and have it called in the application's thread, in a greenlet
              of its own.  Without it, listeners run in the thread that notifies.
    """

    tier = Tier.RESOURCES

    def __init__(self, events: Events, post: Callable[[Callable[[], object]], object] | None = None) -> None:
        self.post = post
        self._events = events
        self._thread = 0

    def start(self) -> None:
        self._thread = threading.get_native_id()  # the identity of threading.get_ident is a greenlet's once gevent patched it
        if self._hear not in zope.event.subscribers:
            zope.event.subscribers.append(self._hear)

    def drain(self) -> None:
        """Nothing to do: what others notify is told until the end."""

    def stop(self) -> None:
        if self._hear in zope.event.subscribers:
            zope.event.subscribers.remove(self._hear)

    def _hear(self, event: object) -> None:
        if self.post is None or threading.get_native_id() == self._thread:
            self._events.emit(event)
        else:
            self.post(partial(self._events.emit, event))
