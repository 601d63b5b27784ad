"""The one table that turns errors into answers.

| error | HTTP | message protocols | WebSocket close |
|---|---|---|---|
| Refusal (BadMessage, Invalid, NotFound, ...) | its status, problem+json with its text | error reply with its status | — |
| TimeoutError | 504 | error reply 504 | — |
| anything else | 500, text only in debug | error reply 500 | — |
| ProtocolError | 400, 413, 414, 417, 431, 501, 505 | closes | 1002, 1003, 1007, 1009 |
| an error in ``opened`` | — | closes | 1011, a Refusal 4000 + its status |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from greenimi.container.registry import current_container
from greenimi.errors import ConnectionClosed, GreenimiError, NoReply, PeerFailed, ProtocolError, Refusal
from greenimi.log import ErrorHandlers
from greenimi.message import Response

log = logging.getLogger("greenimi.dispatch")

PROBLEM_JSON = "application/problem+json"

ErrorHandler = Callable[[BaseException, Any], Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What may be told about an error."""

    status: int
    text: str
    details: Mapping[str, object]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return "Error"

    def response(self) -> Response:
        """As RFC 9457 problem+json."""
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.text, **self.details}
        return Response(msgspec.json.encode(body, enc_hook=str), self.status, PROBLEM_JSON, self.headers)

    def as_error(self) -> dict[str, object]:
        """As the error of a message protocol's reply."""
        return {"code": self.status, "message": self.text, **self.details}

    @property
    def close_code(self) -> int:
        """The WebSocket close code when it ends the connection: 1011, or 4000 + the status of a Refusal (4403 for Refused)."""
        return 1011 if self.status >= 500 else 4000 + self.status


def describe(error: BaseException, *, debug: bool) -> Problem:
    """What the client learns.  Texts of unexpected errors are shown in debug only."""
    if isinstance(error, Refusal):
        return Problem(error.status, error.text, error.details, error.headers)
    if isinstance(error, ProtocolError):
        return Problem(error.status, error.text, {})
    status = error.status if isinstance(error, GreenimiError) else 504 if isinstance(error, TimeoutError) else 500
    text = f"{type(error).__name__}: {error}" if debug else ("the server took too long" if status == 504 else "the server failed")
    return Problem(status, text, {})


def report(error: BaseException, what: Any) -> None:
    """Log an error of a handler: a refusal in a line at debug level, what is not there or too busy in a line, everything else through the
    global error handlers."""
    if isinstance(error, Refusal):
        log.debug("%r: %s %s", what, error.status, error.text)
    elif isinstance(error, ProtocolError | ConnectionClosed | NoReply | PeerFailed):  # the peer's fault, whom a handler waited for
        log.info("%r: %s %s", getattr(what, "connection", what), error.status, error.text)
    elif isinstance(error, GreenimiError) and error.status == 503:  # a pool, a lock: many of them come at once, and all say what to look at
        log.warning("%r: %s: %s", what, type(error).__name__, error.text)
    else:
        current_container().get(ErrorHandlers).handle(error, repr(what))


def ask_handlers(handlers: Sequence[tuple[tuple[type[BaseException], ...], ErrorHandler]], error: BaseException, message: Any) -> Any:
    """The first answer that is not None of the application's error handlers for this error; None when all pass."""
    for kinds, handler in handlers:
        if isinstance(error, kinds):
            answer = handler(error, message)
            if answer is not None:
                return answer
    return None
