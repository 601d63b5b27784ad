"""Finding out who is calling: the authenticators of a server, and the layers that put to use what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import time
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.errors import Unauthorized
from greenimi.interfaces import IAuthenticator
from greenimi.message import Datagram, Identity, Message, Request, Response
from greenimi.web.files import FileBody

CHALLENGE = "WWW-Authenticate"

Until = Callable[[Iterator[Any], float], Iterator[Any]]
"""``until(parts, moment)``: the parts, cut off at that moment in seconds since the epoch."""


def has_expired(identity: Identity) -> bool:
    return identity.expires is not None and identity.expires <= time()


def caller(message: Message) -> Identity:
    """Who sent a message.  Raises Unauthorized (401) when nobody knows, or does any more."""
    identity = message.identity
    if identity is None:
        raise Unauthorized("say who you are")
    if has_expired(identity):
        raise Unauthorized("the identity has expired")
    return identity


class Authenticators:
    """Those of one server, in the order they are asked.

    challenges  the fields that a 401 tells its client what would be accepted
    """

    def __init__(self, found: Sequence[IAuthenticator]) -> None:
        self._ask = [authenticator.authenticate for authenticator in found]
        told = [str(getattr(authenticator, "challenge", "")) for authenticator in found]
        self.challenges = tuple((CHALLENGE, challenge) for challenge in dict.fromkeys(told) if challenge)

    def identify(self, message: Message) -> Identity | None:
        """What the first of them finds that finds anything.  Raises what they raise, and Unauthorized for an identity that has expired."""
        for ask in self._ask:
            identity = ask(message)
            if identity is not None:
                if has_expired(identity):
                    raise Unauthorized("the credentials have expired")
                return identity
        return None


class RequestIdentity:
    """The layer of HTTP: a request that is asked for its identity asks the authenticators, once; a 401 says what they would accept.

    A body that is made while it is sent is cut off when the identity that it is made for expires; files are sent to their end.
    """

    def __init__(self, authenticators: Authenticators, until: Until) -> None:
        self._identify = authenticators.identify
        self._challenges = authenticators.challenges
        self._until = until

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        request.identify = self._identify
        try:
            value = proceed(request)
        except Unauthorized as error:
            if not any(name.lower() == "www-authenticate" for name, _ in error.headers):
                error.headers += self._challenges
            raise
        identity = request.known_identity
        if identity is None or identity.expires is None:
            return value
        if isinstance(value, Iterator):
            return self._until(value, identity.expires)
        if isinstance(value, Response) and isinstance(value.body, Iterator) and not isinstance(value.body, FileBody):
            value.body = self._until(value.body, identity.expires)
        return value


class EachDatagram:
    """The layer of UDP, where an address proves nothing: each datagram is shown to the authenticators, then handled.

    Its sender gets the identity that it shows, so that what is pushed to a user reaches where he spoke from last.
    """

    def __init__(self, authenticators: Authenticators) -> None:
        self._identify = authenticators.identify

    def __call__(self, message: Datagram, proceed: Proceed) -> Any:
        identity = self._identify(message)
        if identity is not None:
            message.identity = message.connection.identity = identity
        return proceed(message)
