"""Requests from the server to a client, and the replies to them.

A reply is a message with the id of a request that waits, and a ``result`` or an ``error``.  It is taken out of what was read before any
handler sees it, so a handler may wait for a reply of its own client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import inf
from secrets import token_hex
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from gevent import getcurrent
from gevent.event import Event

from greenimi.codec.deflate import PackedMessage
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import ConnectionClosed, NoReply, Overloaded, PeerFailed, ProtocolError
from greenimi.message import Message
from greenimi.message_stream import StreamedMessage
from greenimi.servers.client import Client

if TYPE_CHECKING:
    from greenimi.interfaces import IPayload
    from greenimi.servers.endpoint import Endpoint
    from greenimi.servers.messages import MessageEndpoint
    from greenimi.servers.settings import ServerSettings

READ = 65536
"""Bytes that are read of a client at once."""

_LATE = 60.0
"""Seconds for which a reply that comes too late is known for one."""

_FURTHER = 8
"""So many times as many bytes as one message may have may wait for a handler; and, while a reply is waited for, so many times as many
messages as otherwise, as it may be behind them."""


class Asker(Protocol):
    """What ``Calls`` needs of a server.  ``late_replies``: how many came when nobody waited for them any more."""

    settings: ServerSettings
    late_replies: int


class _Call:
    """A request that waits.  ``reply`` stays None when none will come."""

    __slots__ = ("over", "reply")

    def __init__(self) -> None:
        self.over = Event()
        self.reply: Mapping[str, Any] | None = None


class Calls:
    """The requests to one client that wait for their replies, and those that were given up within the last minute."""

    __slots__ = ("_given_up", "_server", "_waiting")

    def __init__(self, server: Asker) -> None:
        self._server = server
        self._waiting: dict[str, _Call] = {}
        self._given_up: dict[str, float] = {}  # until when their replies are late ones

    @property
    def idle(self) -> bool:
        """No message of the client can be a reply."""
        return not self._waiting and not self._given_up

    def call(self, ask: Callable[[str], bool], seconds: float) -> Any:
        """Have ``ask(id)`` send a request, and wait for its result.  See IConnection.request for what it raises."""
        most = self._server.settings.requests
        if len(self._waiting) >= most:
            raise Overloaded(f"{most} requests to this client wait for their replies already")
        number = token_hex(8)  # nobody else comes upon it, so it is none of the client's own
        call = self._waiting[number] = _Call()
        asked = False
        try:
            asked = ask(number)
            if asked:
                call.over.wait(seconds)
        finally:
            if self._waiting.pop(number, None) is not None and asked:
                self._give_up(number, most)
        if call.reply is None:
            if asked and not call.over.is_set():
                raise NoReply(f"the client did not reply within {seconds:g} seconds")
            raise ConnectionClosed("the client left before it replied")
        error = call.reply.get("error")
        if error is not None:
            raise PeerFailed(error)
        return call.reply.get("result")

    def _give_up(self, number: str, most: int) -> None:
        if len(self._given_up) >= most:
            del self._given_up[next(iter(self._given_up))]
        self._given_up[number] = monotonic() + _LATE

    def take(self, data: Any, id_field: str) -> bool:
        """Whether a message of the client is a reply, which is dealt with then."""
        if not isinstance(data, dict) or ("result" not in data and "error" not in data):
            return False
        number = data.get(id_field)
        if type(number) is not str:
            return False
        call = self._waiting.pop(number, None)
        if call is not None:
            call.reply = data
            call.over.set()
            return True
        if self._given_up.pop(number, None) is None:
            return False
        self._server.late_replies += 1
        return True

    def forget_late(self) -> None:
        """Forget those that were given up long ago."""
        now = monotonic()
        self._given_up = {number: until for number, until in self._given_up.items() if until > now}

    def lose(self) -> None:
        """No reply will come any more."""
        for call in self._waiting.values():
            call.over.set()
        self._waiting.clear()
        self._given_up.clear()


def size_of(item: Any) -> int:
    """Bytes that something which waits for the handler takes, as far as it has come."""
    kind = type(item)
    if kind is Message:
        return len(item.raw)
    if kind is PackedMessage:
        return item.size  # type: ignore[no-any-return]
    return item.stream.size if kind is StreamedMessage else 0


def is_large(message: Any) -> bool:
    """Whether a message took more than one read, or may do so yet."""
    return type(message) is StreamedMessage or size_of(message) > READ


def _unpacked(message: Any) -> Any:
    """A message in its real size, or the ProtocolError that it is."""
    if type(message) is PackedMessage:
        try:
            message.unpack()
        except ProtocolError as error:
            return error
    return message


class Talker(Client):
    """The part of ``StreamConnection`` for those that speak in messages: their payload, and requests to the client.

    A connection without requests under way has no Calls.
    """

    __slots__ = ("_calls",)

    endpoint: Endpoint

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._calls: Calls | None = None

    @property
    def payload(self) -> IPayload:
        """See IConnection."""
        return self._pipeline().payload

    @payload.setter
    def payload(self, payload: str | IPayload) -> None:
        self._pipeline()
        endpoint: MessageEndpoint = self.endpoint  # type: ignore[assignment]  # nothing else has a pipeline of messages
        endpoint.change_payload(self, payload)  # type: ignore[arg-type]  # this is a part of it

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> Any:
        """See IConnection."""
        pipeline = self._pipeline()
        if pipeline.streams:
            raise TypeError(f"the messages of {self!r} are handled while they arrive, so that no reply is found among them")
        id_field = pipeline.id_field
        if not self.is_open or self.codec.ended:
            raise ConnectionClosed("the client cannot reply any more")
        if self._calls is None:
            self._calls = Calls(self.server)
        calls = self._calls
        own = self.handler is getcurrent()

        def ask(number: str) -> bool:
            sent = self.send({**data, id_field: number})
            if not self._read_on:
                self._read_again()
            if own:
                self.began = inf  # the client's time, not the handler's
            return sent

        try:
            return calls.call(ask, timeout)
        finally:
            if own:
                self.began = monotonic_ns()
            self._forget_calls()

    def _pipeline(self) -> MessagePipeline:
        pipeline = getattr(self.endpoint, "pipeline", None)
        if not isinstance(pipeline, MessagePipeline):
            raise TypeError(f"{self!r} does not speak in messages")
        return pipeline

    def _forget_calls(self) -> None:
        if self._calls is not None and self._calls.idle:
            self._calls = None

    def _without_replies(self, messages: Sequence[Any]) -> Sequence[Any]:
        """Give the replies among ``messages`` to those who wait for them.  In the hub; only while there are Calls."""
        calls = self._calls
        assert calls is not None
        pipeline = self._pipeline()
        others: list[Any] = []
        for message in self._unpacked(messages):
            try:
                reply = isinstance(message, Message) and calls.take(pipeline.payload.decode(message.raw), pipeline.id_field)
            except Exception:  # whoever handles it will say so
                reply = False
            if not reply:
                others.append(message)
        if self.codec.ended:
            calls.lose()
        calls.forget_late()
        self._forget_calls()
        if not self._has_room(others):
            self._pause()
        return others

    def _unpacked(self, messages: Sequence[Any]) -> list[Any]:
        """``messages``, those that came compressed inflated, but before them the ones that wait already, as that must be done in order."""
        self._front[:] = reversed([_unpacked(message) for message in reversed(self._front)])
        self._inbox[:] = [_unpacked(message) for message in self._inbox]
        return [_unpacked(message) for message in messages]

    def _waits_for_reply(self) -> bool:
        """A reply may be among what was not read yet, so read on although the inbox is full."""
        return self._calls is not None and len(self._inbox) + len(self._front) <= _FURTHER * self.server.inbox_limit and self._has_room()

    def _has_room(self, more: Sequence[Any] = ()) -> bool:
        """What waits is not too large to read on."""
        return sum(map(size_of, chain(self._front, self._inbox, more))) <= _FURTHER * self.server.settings.max_message

    def _read_again(self) -> None:
        raise NotImplementedError

    def _forget_waiting(self) -> None:
        super()._forget_waiting()
        if self._calls is not None:
            self._calls.lose()
            self._calls = None

    def send(self, data: Any) -> bool:
        raise NotImplementedError
