"""The event bus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, TypeVar, overload
from weakref import WeakMethod, WeakSet, ref

from greenimi.event.event import Event, NamedEvent, StopPropagation, check_name

E = TypeVar("E")
What = type[Any] | str
Listener = Callable[[Any], object]
Deliver = Callable[[], None]

KNOWN = 1024
"""For so many types and names it is remembered who hears them; then it is found out anew."""

_numbers = count()


class Subscription:
    """One listener at one event; what ``Events.on`` returns."""

    __slots__ = ("_events", "_order", "_place", "call", "function", "what")

    def __init__(self, events: Events, place: _Place, what: What, function: Listener, priority: int, once: bool) -> None:
        self._events = events
        self._place = place
        self._order = (-priority, next(_numbers))
        self.what = what
        self.function = function
        self.call: Listener | None = self._call_once if once else function
        """What a delivery calls; None once it is off."""

    def off(self) -> bool:
        """Hear no more, starting with the event that is being delivered.  False when that was done already."""
        return self._events._remove(self)

    def _call_once(self, event: Any) -> None:
        if self.off():
            self.function(event)


_Groups = dict[What, dict[Subscription, None]]
"""The subscriptions of each type and name (the inner dict is an ordered set)."""


class _Place:
    """The subscriptions without a target, or those of one target."""

    __slots__ = ("groups", "target")

    def __init__(self, target: ref[Any] | None = None) -> None:
        self.target = target
        self.groups: _Groups = {}


class Events:
    """Who hears what.

    Order      by descending priority, equal ones first come first served, whether they listen to the type, a base of it, or the name.
    Delivery   at most once, in the caller's greenlet, before ``emit`` returns.
    Errors     a listener's exception goes to the emitter; the listeners after it do not run.
    Changes    a listener removed during a delivery is not called by it any more, one added is not called by it yet.
    Hierarchy  with a ``parent`` the parent's listeners hear what is emitted here, in one order with the own ones, but not the other way.

    Safe to use from several threads; listeners run in the one that emits.
    """

    def __init__(self, parent: Events | None = None) -> None:
        self.after_commit_hook: Callable[[Deliver], bool] | None = None
        """Whoever has transactions sets it.  It is given a delivery: with a transaction open it keeps it, to call after the commit
        or to drop on rollback, and returns True; else it returns False.  A parent's hook holds here, too."""
        self._general = _Place()
        self._targets: dict[int, _Place] = {}
        self._heard: dict[object, tuple[Subscription, ...]] = {}
        self._lineage: tuple[Events, ...] = (self,) if parent is None else (self, *parent._lineage)
        self._family: WeakSet[Events] = WeakSet() if parent is None else parent._family
        self._family.add(self)
        # reentrant: a finalizer may call off() at any moment
        self._lock: threading.RLock = threading.RLock() if parent is None else parent._lock

    # -- subscribing -----------------------------------------------------------------------------------------------

    @overload
    def on(
        self, what: type[E], fn: Callable[[E], object], *, priority: int = 0, once: bool = False, target: object = None
    ) -> Subscription: ...
    @overload
    def on(
        self, what: str, fn: Callable[[NamedEvent], object], *, priority: int = 0, once: bool = False, target: object = None
    ) -> Subscription: ...
    def on(self, what: What, fn: Listener, *, priority: int = 0, once: bool = False, target: object = None) -> Subscription:
        """Call ``fn(event)`` for events of the type ``what`` (subclasses too), or named ``what``.

        ``priority``  higher is earlier.
        ``once``      only the first time; it is removed before it is called.
        ``target``    only for events emitted with this very object.  It is held weakly: with it go its subscriptions.  A method of the
                      target itself is fine; any other ``fn`` that refers to the target keeps it alive.

        TypeError for another ``what``, or a target that cannot be held weakly; ValueError for a malformed name.
        """
        if isinstance(what, str):
            check_name(what)
        elif not isinstance(what, type):
            raise TypeError(f"events are heard by class or by name, not by {what!r}")
        if not callable(fn):
            raise TypeError(f"a listener is called with the event; {fn!r} cannot be called")
        if target is not None and getattr(fn, "__self__", None) is target:
            fn = _OwnMethod(fn)
        with self._lock:
            place = self._general if target is None else self._place_of(target)
            subscription = Subscription(self, place, what, fn, priority, once)
            place.groups.setdefault(what, {})[subscription] = None
            self._forget()
        return subscription

    def off(self, what: What, fn: Listener | None = None, *, target: object = None) -> None:
        """Remove the subscriptions of ``fn`` to ``what``, or all to ``what``: those of the ``target``, or those without one.

        ``what`` means exactly this: a base class's listeners stay.  Removing what is not there does nothing.
        """
        with self._lock:
            place = self._general if target is None else self._targets.get(id(target))
            for subscription in list(place.groups.get(what, ())) if place is not None else ():
                if fn is None or subscription.function == fn:
                    self._remove(subscription)

    def _place_of(self, target: object) -> _Place:
        key = id(target)
        if key not in self._targets:
            self._targets[key] = _Place(ref(target, lambda _: self._targets.pop(key, None)))
        return self._targets[key]

    def _remove(self, subscription: Subscription) -> bool:
        with self._lock:
            if subscription.call is None:
                return False
            subscription.call = None
            place, what = subscription._place, subscription.what
            del place.groups[what][subscription]
            if not place.groups[what]:
                del place.groups[what]
            target = place.target() if place.target is not None else None
            if target is not None and not place.groups:
                del self._targets[id(target)]
            self._forget()
            return True

    def _forget(self) -> None:
        for events in self._family:
            events._heard.clear()

    # -- emitting --------------------------------------------------------------------------------------------------

    @overload
    def emit(self, event: str, *, data: Any = None, after_commit: bool = False, target: object = None) -> NamedEvent: ...
    @overload
    def emit(self, event: E, *, after_commit: bool = False, target: object = None) -> E: ...
    def emit(self, event: Any, *, data: Any = None, after_commit: bool = False, target: object = None) -> Any:
        """Call everyone who hears ``event``, any object; of a name a ``NamedEvent(name, data)`` is made.  Returns the event.

        ``target``        the object it happened to: who subscribed with that target hears it together with those who named none.
        ``after_commit``  in a database transaction: deliver after its commit, and never when it is rolled back.  Outside one: now.

        The first exception of a listener is raised, and the rest do not hear the event.
        """
        if data is None and target is None and not after_commit:
            heard = self._heard.get(type(event))
            if heard is not None:  # the usual case, and the fast one
                if heard:
                    _call(heard, event)
                return event
        if isinstance(event, str):
            event = NamedEvent(event, data)
        elif data is not None:
            raise TypeError("data belongs to an event given by its name")
        if not (after_commit and self._postponed(event, target)):
            self._deliver(event, target)
        return event

    def hears(self, what: type[Any]) -> bool:
        """Does anybody hear events of this type, without a target?  For events that cost something to make."""
        heard = self._heard.get(what)
        return bool(self._gather(what, what.__mro__, None) if heard is None else heard)

    def _postponed(self, event: Any, target: object) -> bool:
        hook = next((events.after_commit_hook for events in self._lineage if events.after_commit_hook is not None), None)
        return hook is not None and hook(partial(self._deliver, event, target))

    def _deliver(self, event: Any, target: object) -> None:
        heard = self._heard.get(self._key(event)) if target is None else None
        _call(self._find(event, target) if heard is None else heard, event)

    def _key(self, event: Any) -> object:
        """What its listeners are remembered by.  Names that nobody listens to share one key: made-up names must not pile up."""
        if not isinstance(event, NamedEvent):
            return type(event)
        for events in self._lineage:
            if event.name in events._general.groups:
                return type(event), event.name
        return type(event), None

    def _find(self, event: Any, target: object) -> tuple[Subscription, ...]:
        """Who hears it, in order."""
        return self._gather(self._key(event), _names_of(event), target)

    def _gather(self, key: object, names: tuple[What, ...], target: object) -> tuple[Subscription, ...]:
        """Who hears any of the names, in order.  Remembered under the key, unless it is a matter of the target."""
        with self._lock:
            found = [each for groups in self._all_groups(target) for what in names for each in groups.get(what, ())]
            heard = tuple(sorted(found, key=_order))
            if target is None:
                if len(self._heard) >= KNOWN:
                    self._heard.clear()
                self._heard[key] = heard
        return heard

    def _all_groups(self, target: object) -> Iterator[_Groups]:
        for events in self._lineage:
            yield events._general.groups
            if target is not None and id(target) in events._targets:
                yield events._targets[id(target)].groups


def _call(heard: tuple[Subscription, ...], event: Any) -> None:
    try:
        if isinstance(event, Event):
            for subscription in heard:
                if event.stopped:
                    return
                if (call := subscription.call) is not None:
                    call(event)
        else:
            for subscription in heard:
                if (call := subscription.call) is not None:
                    call(event)
    except StopPropagation:
        pass


def _names_of(event: object) -> tuple[What, ...]:
    """What an event is heard by."""
    return (*type(event).__mro__, event.name) if isinstance(event, NamedEvent) else type(event).__mro__


def _order(subscription: Subscription) -> tuple[int, int]:
    return subscription._order


class _OwnMethod:
    """A method of the target that is subscribed to: does not keep the target alive, and equals the method."""

    __slots__ = ("_method",)

    def __init__(self, method: Any) -> None:
        self._method = WeakMethod(method)

    def __call__(self, event: Any) -> object:
        method = self._method()
        return None if method is None else method(event)

    def __eq__(self, other: object) -> bool:
        return bool(self._method() == other)

    __hash__ = None  # type: ignore[assignment]  # never in a set
