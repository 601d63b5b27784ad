"""A client that comes back: greenimi.js in Python, for tests and for load.  Its protocol is that of docs/client-protocol.md.

One greenlet a client reads, answers and reconnects; a thousand of them fit into a process.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from greenimi import green
from greenimi.errors import ConnectionClosed, GreenimiError
from greenimi.hub.links import comes_back
from greenimi.testing.messages import RequestFailed, StreamMessages
from greenimi.testing.support import PATIENCE, wait_until

ABNORMAL = 1006
_HURRY = 0.25
_HURRIES = 4
_GOODBYE = 2.0  # seconds for the server's own


def _cut(link: StreamMessages) -> None:
    with suppress(OSError):
        link._sock.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Heard:
    """A push.  Without an event, ``data`` is all of it, or that of a message of a group with history."""

    data: Any
    event: str | None = None
    group: str | None = None
    offset: int | None = None


@dataclass(slots=True)
class Absence:
    """A loss of the connection.  ``seconds`` from then on until it was open again, after so many ``attempts``; None: it is not."""

    code: int
    reason: str
    since: float
    attempts: int = 0
    seconds: float | None = None
    restored: bool = False


class _Place:
    """Where a client is in a group with history."""

    __slots__ = ("asking", "epoch", "offset", "replay", "until")

    def __init__(self, offset: int, epoch: str) -> None:
        self.offset = offset
        self.epoch = epoch
        self.asking = False  # an answer to $recover is on its way
        self.replay = 0  # so many messages that come next are those that the server promised,
        self.until = 0  # up to this offset


class Places:
    """What a client knows of groups with history, and what it makes of their messages.  No I/O.

    known  the places by group
    gaps   the groups of which messages are lost, each as often as that happened
    """

    def __init__(self) -> None:
        self.known: dict[str, _Place] = {}
        self.gaps: list[str] = []

    def positions(self) -> dict[str, dict[str, Any]]:
        """For the server to go on from."""
        return {group: {"offset": place.offset, "epoch": place.epoch} for group, place in self.known.items()}

    def ask(self) -> None:
        """The server is asked for all of them."""
        for place in self.known.values():
            place.asking, place.replay = True, 0

    def asked(self) -> None:
        """It answered: what it says nothing of is as it was."""
        for place in self.known.values():
            place.asking = False

    def take(self, group: str, offset: int) -> tuple[bool, bool]:
        """Whether a message is the one to be told now, and whether the server is to be asked for what is missing."""
        place = self.known.get(group)
        if place is None or not place.epoch:  # the server has not said yet where we are
            self.known[group] = _Place(offset, "")
            return True, False
        replayed = place.replay > 0
        if replayed:
            place.replay = place.replay - 1 if offset < place.until else 0
        if offset == place.offset + 1 or (replayed and offset > place.offset):
            place.offset = offset  # a hole among those that were promised is not for us
            return True, False
        return False, not place.asking and not replayed

    def recovered(self, group: str, answer: Mapping[str, Any]) -> None:
        """The server's word on a group; what it says was missed comes next."""
        place = self.known.get(group)
        if place is None or not answer["recovered"]:
            place = self.known[group] = _Place(answer["offset"] - answer["missed"], answer["epoch"])
        place.epoch, place.asking = answer["epoch"], False
        place.replay, place.until = answer["missed"], answer["offset"]
        if not answer["recovered"]:
            self.gaps.append(group)

    def joined(self, group: str, told: Mapping[str, Any]) -> bool:
        """The server says where a group is.  True: it is to be asked for what was said while we were not in it."""
        place = self.known.get(group)
        offset, epoch, recovered = told["offset"], told["epoch"], told.get("recovered", True)
        if place is not None and recovered:
            if place.epoch == epoch and place.offset < offset:
                return True
            if not place.epoch:
                offset = max(offset, place.offset)
        if not recovered or (place is not None and place.epoch not in ("", epoch)):
            self.gaps.append(group)
        self.known[group] = _Place(offset, epoch)
        return False


class _Call:
    __slots__ = ("answer", "done", "over")

    def __init__(self, done: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self.done = done  # called at once, before the next message is looked at
        self.over = green.Event()
        self.answer: Mapping[str, Any] | None = None

    def settle(self, answer: Mapping[str, Any] | None) -> None:
        self.answer = answer
        if answer is not None and self.done is not None:
            self.done(answer)
        self.over.set()


class ResumingClient:
    """``ResumingClient(lambda: WebSocketClient(address, "/chat"))``; a MessageClient of a TCP server does as well.

    heard     what was pushed, in order; with ``hear`` that is called instead, and nothing is kept
    absences  how often, why and how long there was no connection
    gaps      groups of which messages are lost
    problems  errors of the server that nobody asked for
    id, restored, recovered   what the server said when the connection was opened last
    answers   by action: a function of the message that gives the result, for requests of the server
    """

    def __init__(
        self,
        connect: Callable[[], StreamMessages],
        *,
        hear: Callable[[Heard], object] | None = None,
        timeout: float = 10.0,
        first: float = 0.25,
        most: float = 30.0,
        stable: float = 10.0,
        action_field: str = "action",
        id_field: str = "id",
    ) -> None:
        self.heard: list[Heard] = []
        self.absences: list[Absence] = []
        self.problems: list[Any] = []
        self.places = Places()
        self.answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self.token: str | None = None
        self.id = ""
        self.restored = False
        self.recovered: Mapping[str, Any] = {}
        self.closed: tuple[int, str] | None = None  # why there will be no further attempt
        self._connect = connect
        self._hear = hear or self.heard.append
        self._timeout, self._first, self._most, self._stable = timeout, first, most, stable
        self._action, self._id = action_field, id_field
        self._link: StreamMessages | None = None
        self._calls: dict[Any, _Call] = {}
        self._last_id = 0
        self._ping = 0.0
        self._open = green.Event()
        self._over = green.Event()
        green.require_patched()  # else its greenlet would wait in a system call, and everybody with it
        self._greenlet = green.spawn(self._run)

    # -- for tests -----------------------------------------------------------------------------------------------------
    @property
    def gaps(self) -> list[str]:
        return self.places.gaps

    @property
    def is_open(self) -> bool:
        return bool(self._open.is_set())

    def wait_open(self, seconds: float = PATIENCE) -> Self:
        """Until it is ready for calls.  AssertionError after that time."""
        wait_until(self._open.is_set, seconds)
        return self

    def call(self, action: str, /, **fields: Any) -> Any:
        """The result of an action.  RequestFailed for an error, ConnectionClosed when there is no connection (any more), TimeoutError."""
        if not self._open.is_set():
            raise ConnectionClosed("not connected")
        call = self._request(action, fields)
        if not call.over.wait(self._timeout):
            raise TimeoutError(f"no answer to {action} within {self._timeout} s")
        if call.answer is None:
            raise ConnectionClosed("the connection is lost")
        if "error" in call.answer:
            raise RequestFailed(call.answer["error"])
        return call.answer["result"]

    def send(self, action: str, /, **fields: Any) -> None:
        """Tell the server something.  ConnectionClosed when there is no connection."""
        if not self._open.is_set():
            raise ConnectionClosed("not connected")
        self._write({**fields, self._action: action})

    def offsets(self, group: str) -> list[int]:
        """Of the messages of a group with history that were heard."""
        return [heard.offset for heard in self.heard if heard.group == group and heard.offset is not None]

    def cut(self) -> None:
        """Lose the connection without a word."""
        if self._link is not None:
            _cut(self._link)

    def close(self) -> None:
        """Leave for good."""
        self.closed = self.closed or (1000, "")
        self._over.set()
        link = self._link
        if link is not None:
            with suppress(OSError, ConnectionClosed):
                self.send("$bye")
                link._codec.close(1000, "")
                link._flush()
                link.end()
        self._greenlet.join(_GOODBYE)
        self._greenlet.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- the connection ------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        attempts = 0
        while not self._over.is_set():
            code, reason, lasted = self._live()
            if self.closed is not None:
                return
            if not comes_back(code):
                self.closed = code, reason
                return
            if lasted >= self._stable:
                attempts = 0
            hurry = lasted > 0 and code == 1012 and attempts < _HURRIES
            delay = min(self._most, _HURRY if hurry else self._first * 2**attempts)
            attempts = min(attempts + 1, 30)
            if not self.absences or self.absences[-1].seconds is not None:
                self.absences.append(Absence(code, reason, time.monotonic()))
            self.absences[-1].attempts += 1
            self._over.wait(random.random() * delay)  # noqa: S311 - nobody gains from guessing it

    def _live(self) -> tuple[int, str, float]:
        """Connect and take what comes; why the connection ended, and for how long it had been open."""
        began = 0.0
        try:
            link = self._link = self._connect()
        except (OSError, GreenimiError) as error:  # nobody there, or no time for us
            return ABNORMAL, str(error), 0.0
        reason = ""
        try:
            self._hello()
            until = time.monotonic() + self._timeout
            while not self.is_open:
                self._take(link.receive(max(0.0, until - time.monotonic())))
            began = time.monotonic()
            while True:
                self._take(self._next(link))
        except (OSError, GreenimiError) as error:
            reason = str(error)
        finally:
            self._open.clear()
            self._link = None
            _cut(link)
            link._sock.close()
            calls, self._calls = self._calls, {}
            for call in calls.values():
                call.settle(None)
        lasted = time.monotonic() - began if began else 0.0
        code = getattr(link, "close_code", ABNORMAL)
        return (ABNORMAL, reason, lasted) if code == ABNORMAL else (code, getattr(link, "close_reason", ""), lasted)

    def _next(self, link: StreamMessages) -> Any:
        """The next message; a server that was silent for as long as it said is asked whether it is there."""
        if self._ping:
            with suppress(TimeoutError):
                return link.receive(self._ping)
            self._request("$ping", {})
            return link.receive(self._timeout)
        while True:
            with suppress(TimeoutError):
                return link.receive(60.0)

    def _hello(self) -> None:
        fields: dict[str, Any] = {"positions": self.places.positions()}
        if self.token is not None:
            fields["token"] = self.token
        self.places.ask()
        self._request("$hello", fields, self._greeted)

    def _greeted(self, answer: Mapping[str, Any]) -> None:
        error = answer.get("error")
        if error is not None and error.get("code") != 404:
            if 400 <= error.get("code", 0) < 500:
                self.token = None  # what the server knows of us does not fit any more
            raise RequestFailed(error)
        told: Mapping[str, Any] = answer.get("result") or {}  # nothing: the server keeps nobody
        self.id, self.token = told.get("id", ""), told.get("token")
        self._ping = told.get("ping", 0.0)
        self.restored, self.recovered = told.get("restored", False), told.get("recovered", {})
        self.places.asked()
        for group, found in self.recovered.items():
            self.places.recovered(group, found)
        for group, place in told.get("positions", {}).items():
            if self.places.joined(group, place):
                self._recover(group)
        if self.absences and self.absences[-1].seconds is None:
            absence = self.absences[-1]
            absence.seconds, absence.restored = time.monotonic() - absence.since, self.restored
        self._open.set()

    # -- messages ------------------------------------------------------------------------------------------------------
    def _write(self, value: Any) -> None:
        if self._link is None:
            raise ConnectionClosed("not connected")
        self._link.send(value)

    def _request(self, action: str, fields: Mapping[str, Any], done: Callable[[Mapping[str, Any]], None] | None = None) -> _Call:
        self._last_id += 1
        call = self._calls[self._last_id] = _Call(done)
        self._write({**fields, self._action: action, self._id: self._last_id})
        return call

    def _recover(self, group: str) -> None:
        place = self.places.known[group]
        place.asking = True

        def done(answer: Mapping[str, Any]) -> None:
            if "error" in answer:
                place.asking = False
            else:
                self.places.recovered(group, answer["result"])

        self._request("$recover", {"group": group, "offset": place.offset, "epoch": place.epoch}, done)

    def _take(self, message: Any) -> None:
        if not isinstance(message, Mapping):
            self._hear(Heard(message))
            return
        number, group, offset = message.get(self._id), message.get("group"), message.get("offset")
        if number is not None and ("result" in message or "error" in message):
            call = self._calls.pop(number, None)
            if call is not None:  # else it was not waited for any longer
                call.settle(message)
        elif isinstance(number, str) and self._action in message:
            self._reply(number, message)
        elif message.get("event") == "$position" and group is not None:
            if self.places.joined(group, message["data"]):
                self._recover(group)
        elif group is not None and type(offset) is int:
            told, ask = self.places.take(group, offset)
            if told and "data" in message:
                self._hear(Heard(message["data"], message.get("event"), group, offset))
            if ask:
                self._recover(group)
        elif "event" in message and "data" in message:
            self._hear(Heard(message["data"], message["event"], group))
        elif "error" in message:
            self.problems.append(message["error"])
        else:
            self._hear(Heard(message))

    def _reply(self, number: str, message: Mapping[str, Any]) -> None:
        answer = self.answers.get(message[self._action])
        if answer is None:
            self._write({self._id: number, "error": {"code": 404, "message": f"this client knows no {message[self._action]}"}})
        else:
            self._write({self._id: number, "result": answer(message)})
