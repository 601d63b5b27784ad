"""What ``@listener`` means."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenimi.container.inject import evaluate
from greenimi.container.scan import Marked
from greenimi.errors import StartError
from greenimi.event.event import check_name
from greenimi.event.events import Events
from greenimi.marks import Mark

if TYPE_CHECKING:
    from greenimi.container.registry import Container
    from greenimi.container.setup import Setup


class Listeners:
    """Collects the marks of one setup and subscribes them at commit, in the order they were found.

    A function listens to the application's Events.  A method listens where its bean lives: a bean of some servers hears the events of these
    servers.  The bean is asked for when the event happens.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._found: list[tuple[type | str, Marked]] = []

    def handle(self, setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
        """Take in one mark.  StartError with its place when it does not say what it hears."""
        try:
            what = mark.options["name"] or heard_type(owner, name, target)
            if isinstance(what, str):
                check_name(what)
        except (TypeError, ValueError) as error:
            label = f"{owner.__name__}.{name}" if owner else name
            raise StartError(
                f"{mark.where}: the listener {label}: {error}",
                hint="annotate its first parameter with the class of the events, or say @listener(name=...)",
            ) from None
        self._found.append((what, Marked(owner, name, target, mark)))

    def subscribe(self) -> None:
        """Give every server's container its Events, then subscribe."""
        for container in self._setup.container.family():
            if container.parent is not None:
                container.add(Events, Events(container.parent.get(Events)))
        for what, found in self._found:
            options = found.mark.options
            for container, function in self._places(found):
                container.get(Events).on(what, function, priority=options["priority"], once=options["once"])

    def _places(self, found: Marked) -> list[tuple[Container, Callable[[Any], object]]]:
        if found.owner is None:
            return [(self._setup.container, found.target)]
        homes = [c for c in self._setup.container.family() if any(b.container is c for b in c.candidates(found.owner))]
        if not homes and all(bean.target is not found.owner for bean in self._setup.marked("bean")):  # marked: not in this environment
            raise StartError(
                f"{found.mark.where}: @listener stands on {found.owner.__name__}.{found.name}, and {found.owner.__name__} is no bean",
                hint="mark the class with @bean, or make the listener a function",
            )
        return [(home, _on_bean(home, found.owner, found.name)) for home in homes]


def _on_bean(container: Container, owner: type, name: str) -> Callable[[Any], object]:
    def hear(event: Any) -> object:
        return getattr(container.get(owner), name)(event)

    return hear


def heard_type(owner: type | None, name: str, target: Any) -> type:
    """The class that the first parameter (after ``self``) is annotated with.  TypeError where that is none."""
    if isinstance(target, type) or not callable(target):
        raise TypeError("@listener is for functions and methods")
    parameters = list(inspect.signature(target).parameters.values())
    if owner is not None and not isinstance(inspect.getattr_static(owner, name, None), staticmethod):
        parameters = parameters[1:]
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        raise TypeError("it says neither by an annotation nor by name= what it hears")
    try:
        found = evaluate(parameters[0].annotation, getattr(inspect.unwrap(target), "__globals__", {}))
    except NameError as error:
        raise TypeError(f"the annotation of {parameters[0].name} cannot be read: {error}") from None
    if not isinstance(found, type):
        raise TypeError(f"events are heard by class, and {parameters[0].name} is annotated with {found}")
    return found
