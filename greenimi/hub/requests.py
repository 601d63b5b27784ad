"""Requests to clients of other processes: the process that has the connection asks, and passes the reply or the error on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any

from greenimi.errors import ConnectionClosed, GreenimiError, NoReply, Overloaded, PeerFailed
from greenimi.green import spawn
from greenimi.hub import packets
from greenimi.hub.contexts import Unreachable
from greenimi.hub.ids import process_of
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

_ERRORS: dict[str, type[GreenimiError]] = {kind.__name__: kind for kind in (ConnectionClosed, NoReply, Overloaded)}


class Requests:
    """For the connections of this process, and of others."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def ask(self, number: int, data: Mapping[str, Any], timeout: float) -> Any:
        """See ``IConnection.request``.  Raises Unreachable too, when the process that has the connection does not answer."""
        hub = self._hub
        connection = hub.connections.get(number)
        if connection is not None:
            return connection.request(data, timeout)
        calls = hub.relay.call([process_of(number)], packets.encode(packets.Request(number, dict(data), timeout)))
        answers = calls.wait(timeout + hub.settings.wait) if calls.number else ()
        if not answers:
            if calls.number:
                raise Unreachable(f"the process that has the connection {number} does not answer")
            raise ConnectionClosed(f"there is no connection {number}")
        kind, result = packets.decode_value(answers[0][1])
        if not kind:
            return result
        if kind == PeerFailed.__name__:
            raise PeerFailed(result)
        raise _ERRORS.get(kind, GreenimiError)(result)

    def called(self, packet: packets.Request, answer: Callable[[bytes], None]) -> None:
        """In the hub; a greenlet waits for the reply."""
        connection = self._hub.connections.get(packet.number)
        if connection is None:
            answer(packets.encode_value([ConnectionClosed.__name__, f"there is no connection {packet.number}"]))
        else:
            Context().run(spawn, _ask, connection, packet, answer)


def _ask(connection: IConnection, packet: packets.Request, answer: Callable[[bytes], None]) -> None:
    told: list[Any]
    try:
        told = ["", connection.request(packet.data, packet.timeout)]
    except PeerFailed as error:
        told = [PeerFailed.__name__, error.error]
    except GreenimiError as error:
        told = [type(error).__name__, error.text]
    except Exception as error:
        told = [GreenimiError.__name__, f"{type(error).__name__}: {error}"]
    answer(packets.encode_value(told))
