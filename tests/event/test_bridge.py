from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.events
import gevent.thread
import pytest
import zope.event
from zope.interface.verify import verifyObject

from greenimi.container import Services, Setup
from greenimi.event import Bridge, Events
from greenimi.interfaces import IService


class Notified:
    pass


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def bridge(events: Events) -> Iterator[Bridge]:
    bridge = Bridge(events)
    yield bridge
    bridge.stop()


def in_native_thread(function: Callable[[], object]) -> None:
    gevent.get_hub().threadpool.apply(function)


def test_zope_events_reach_listeners_between_start_and_stop(events: Events, bridge: Bridge) -> None:
    before = list(zope.event.subscribers)
    seen: list[Any] = []
    events.on(Notified, seen.append)
    one = Notified()
    zope.event.notify(one)
    bridge.start()
    bridge.start()
    assert len(zope.event.subscribers) == len(before) + 1
    zope.event.notify(one)
    bridge.drain()
    assert seen == [one]
    bridge.stop()
    bridge.stop()
    zope.event.notify(one)
    assert seen == [one]
    assert zope.event.subscribers == before


def test_gevent_events_are_heard_by_their_class(events: Events, bridge: Bridge) -> None:
    seen: list[Any] = []
    events.on(gevent.events.MemoryUsageThresholdExceeded, seen.append)
    bridge.start()
    event = gevent.events.MemoryUsageThresholdExceeded(2, 1, None)
    gevent.events.notify(event)
    assert seen == [event]


def test_a_listeners_exception_goes_to_the_notifier(events: Events, bridge: Bridge) -> None:
    def fail(event: object) -> None:
        raise KeyError

    events.on(Notified, fail)
    bridge.start()
    with pytest.raises(KeyError):
        zope.event.notify(Notified())


def test_other_threads_are_posted_and_other_greenlets_are_not(events: Events, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "get_ident", gevent.thread.get_ident)  # as it is once gevent patched it
    seen: list[Any] = []
    posted: list[Callable[[], object]] = []
    events.on(Notified, seen.append)
    bridge.post = posted.append
    bridge.start()
    one, other = Notified(), Notified()
    gevent.spawn(zope.event.notify, one).get()
    assert (seen, posted) == ([one], [])
    in_native_thread(lambda: zope.event.notify(other))
    assert (seen, len(posted)) == ([one], 1)
    posted[0]()
    assert seen == [one, other]


def test_without_post_other_threads_call_directly(events: Events, bridge: Bridge) -> None:
    seen: list[Any] = []
    events.on(Notified, seen.append)
    bridge.start()
    one = Notified()
    in_native_thread(lambda: zope.event.notify(one))
    assert seen == [one]


def test_it_is_a_service_of_the_application(setup: Setup) -> None:
    seen: list[Any] = []
    container = setup.commit()
    bridge = container.get(Bridge)
    assert verifyObject(IService, bridge)
    container.get(Events).on(Notified, seen.append)
    services = container.get(Services)
    services.start()
    zope.event.notify(Notified())
    services.stop()
    zope.event.notify(Notified())
    assert len(seen) == 1
