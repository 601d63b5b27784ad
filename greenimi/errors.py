"""One exception tree.  Every error knows the HTTP status it maps to and, where it can, what to do about it.

``dispatch/failure.py`` is the only place that turns an error into an answer on the wire; here an error only carries the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class GreenimiError(Exception):
    """Root of the tree.  ``status`` is the HTTP status a client sees, ``hint`` tells the developer what to do."""

    status: int = 500
    hint: str = ""

    def __init__(self, text: str = "", *, hint: str = "") -> None:
        super().__init__(text)
        if hint:
            self.hint = hint

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n  hint: {self.hint}" if self.hint else text

    @property
    def text(self) -> str:
        """The sentence without the hint."""
        return super().__str__()


# -- start-up: found before a door opens ---------------------------------------------------------------------------


class StartError(GreenimiError):
    """The application cannot start; the text says where and why."""


class ConfigError(StartError):
    """A configuration key is unknown, missing or of the wrong type; the text names file, key and line where known."""


class ConflictError(StartError):
    """Two registrations claim the same discriminator; the text names both places."""


class MissingBean(StartError, LookupError):
    """Nothing in the container provides what was asked for."""


class AmbiguousBean(StartError, LookupError):
    """More than one bean provides what was asked for and no name was given."""


class CircularBean(StartError):
    """Beans need each other in a circle; the text shows the chain."""


class PointcutError(StartError):
    """An advice pattern matches no method of any bean."""


class MissingExtra(StartError, ImportError):
    """An optional library is not installed; the hint names the extra to install."""


class PortInUse(StartError):
    """The address of a server is taken by another process."""


class NoScope(GreenimiError, RuntimeError):
    """A request-context proxy was used outside the handling of a message."""


class Frozen(GreenimiError, RuntimeError):
    """The container was changed after commit."""


# -- answers to a peer ---------------------------------------------------------------------------------------------


class Refusal(GreenimiError):
    """An error meant for the client: its text is safe to show.  Subclasses fix the status.

    ``details`` is a plain mapping merged into the error's body (for example the allowed methods or the bad field).
    """

    status = 400

    def __init__(
        self,
        text: str = "",
        *,
        hint: str = "",
        status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(text, hint=hint)
        if status is not None:
            self.status = status
        self.headers = tuple(headers)
        self.details = dict(details) if details else {}


class BadMessage(Refusal):
    """The message cannot be understood: malformed payload, missing or ill-typed argument."""


class Unauthorized(Refusal):
    """Who the client is must be shown first."""

    status = 401


class Refused(Refusal):
    """The client may not do this."""

    status = 403


class NotFound(Refusal):
    """No route, action or object of that name."""

    status = 404


class MethodNotAllowed(Refusal):
    """The path exists, the method does not.  ``allow`` lists those that do."""

    status = 405

    def __init__(self, text: str, allow: Sequence[str]) -> None:
        super().__init__(text, headers=(("Allow", ", ".join(allow)),), details={"allow": list(allow)})
        self.allow = tuple(allow)


class TooLarge(Refusal):
    """The message is larger than the server's limit; the text names the limit."""

    status = 413


class Invalid(Refusal):
    """The message parses but breaks a type or a rule; ``details["errors"]`` lists every bad field with ``source`` and ``text``."""

    status = 422


class Overloaded(Refusal):
    """The server takes no more work now; try again later."""

    status = 503


class HandlerTimeout(BaseException):
    """A handler was over its limit; thrown into it at its next switch.

    Not an Exception, so that a handler's ``except Exception`` does not swallow it.
    """


# -- the wire ------------------------------------------------------------------------------------------------------


class ProtocolError(GreenimiError):
    """The peer broke the protocol.  A codec puts it last in what ``receive`` returns, after the messages before it.

    ``status`` is the HTTP answer (400, 413, 414, 417, 431, 501, 505), ``code`` the WebSocket close code (RFC 6455 section 7.4.1).
    """

    status = 400

    def __init__(self, text: str, *, status: int = 400, code: int = 1002) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class ConnectionClosed(GreenimiError, ConnectionError):
    """The connection ended while somebody waited on it."""


class NoReply(GreenimiError, TimeoutError):
    """A client did not reply in time to a request of the server."""

    status = 504


class PeerFailed(GreenimiError):
    """A client replied to a request of the server with an error: ``error`` is what it told, which is not to be trusted."""

    status = 502

    def __init__(self, error: object) -> None:
        super().__init__(f"the client replied with the error {str(error)[:200]}")
        self.error = error


class SlowConsumer(ConnectionClosed):
    """The peer reads too slowly: its outbox went over the limit and the connection was closed."""
