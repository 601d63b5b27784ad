"""What flows between a codec and a handler: :class:`Message` and :class:`Request` in, :class:`Response` and :class:`Reply` out.

Plain data.  Nothing here knows a socket, a container or a greenlet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import parse_qsl

from greenimi.cookies import CookieAttributes, parse_cookies, render_cookie, render_deletion
from greenimi.errors import BadMessage, ProtocolError, TooLarge
from greenimi.located import Located, Told

if TYPE_CHECKING:
    from greenimi.interfaces import IConnection


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling, as an authenticator found out.

    ``id``       unique among the callers: an account, a device, a service
    ``roles``    what ``@requires`` asks for
    ``expires``  seconds since the epoch after which it is not valid any more; None: as long as its connection lives
    ``claims``   what else is known, such as the claims of a token
    """

    id: str
    roles: frozenset[str] = frozenset()
    expires: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)


class Message:
    """One message of a client.

    ``raw``     what the codec cut out of the stream: ``bytes``, or ``str`` for a WebSocket text message.
    ``data``    the decoded payload; set by the pipeline before any layer runs.
    ``params``  named values taken from the address of the message (path or topic placeholders).
    ``connection`` the link it came by.
    """

    __slots__ = ("connection", "data", "params", "raw")

    def __init__(self, raw: bytes | str, connection: IConnection | None = None) -> None:
        self.raw = raw
        self.data: Any = None
        self.params: Mapping[str, Any] = _NOTHING
        self.connection: IConnection = connection  # type: ignore[assignment]  # set by the server before dispatch

    @property
    def identity(self) -> Identity | None:
        """Who sent it; None when nobody asked, or the client did not say."""
        return self.connection.identity

    def __repr__(self) -> str:
        begins = repr(self.raw[:40])  # which goes into logs
        return f"<{type(self).__name__} {f'of {len(self.raw)}' if _names_secret(begins) else begins}>"


_names_secret = re.compile("passw|secret|token", re.IGNORECASE).search
_NOTHING: Mapping[str, Any] = {}


class Datagram(Message):
    """One UDP datagram; ``connection`` is its sender, as far as an address tells who that is.

    ``identity`` is what this datagram itself has shown: an address can be forged, so what was shown before proves nothing.
    """

    __slots__ = ("identity",)

    def __init__(self, raw: bytes | str, connection: IConnection | None = None) -> None:
        self.raw = raw
        self.data = None
        self.params = _NOTHING
        self.connection = connection  # type: ignore[assignment]
        self.identity: Identity | None = None


class Headers(Mapping[str, str]):
    """Header fields: case-insensitive names, order and repeats kept.

    ``headers["name"]`` joins repeated fields with ", " (RFC 9110 section 5.3); ``get_all`` keeps them apart.
    """

    __slots__ = ("_fields", "_index")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = list(fields)
        index: dict[str, list[str]] = {}
        for name, value in self._fields:
            index.setdefault(name.lower(), []).append(value)
        self._index = index

    @classmethod
    def from_head(cls, head: str) -> Headers:
        """From the head of an HTTP/1 message, request line included, whose syntax was already checked."""
        fields = []
        for line in head.split("\r\n")[1:]:
            if line:
                name, _, value = line.partition(":")
                fields.append((name, value.strip(" \t")))
        return cls(fields)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._index[name.lower()])

    def get_all(self, name: str) -> list[str]:
        return list(self._index.get(name.lower(), ()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._index

    def items_raw(self) -> list[tuple[str, str]]:
        """Every field as it was sent, in order."""
        return list(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class Body:
    """A request body as it arrives.  A codec feeds it, a handler reads it.

    The codec side (``feed``, ``finish``, ``abort``) never blocks.  The reading side calls ``pull`` when it needs more than has arrived;
    the server sets ``pull`` to something that parks the calling greenlet until the codec was fed again.  Bounded: the server stops
    reading the socket while ``size`` is over its limit.
    """

    __slots__ = ("chunks", "error", "finished", "limit", "most", "pull", "received", "size", "trailers", "wanted")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0  # bytes waiting to be read
        self.received = 0  # bytes that arrived so far
        self.finished = False
        self.error: Exception | None = None
        self.trailers: list[tuple[str, str]] = []
        self.pull: Callable[[], None] | None = None
        self.wanted: Callable[[], None] | None = None  # called once before the first wait (sends 100 Continue)
        self.most: int | None = None  # bytes that its route takes: reading on raises TooLarge once more have arrived
        self.limit: int | None = None  # bytes that ``read`` gives at most where its caller does not say

    def feed(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)
        self.received += len(data)

    def finish(self) -> None:
        self.finished = True

    def abort(self, error: Exception) -> None:
        """The rest will never come: readers get ``error``."""
        self.error = error

    def read_chunk(self) -> bytes:
        """The next bytes, as soon as there are some; ``b""`` at the end.  Blocks the calling greenlet.

        Raises ProtocolError when the rest is malformed or never comes, ConnectionClosed when the connection is lost meanwhile, TooLarge
        (413) when more has arrived than its route takes.
        """
        while not self.chunks:
            if self.finished:
                return b""
            if self.error is not None:
                raise self.error
            if self.pull is None:
                raise ProtocolError("the body is incomplete")
            if self.wanted is not None:
                self.wanted()
                self.wanted = None
            self.pull()
        if self.most is not None:
            self.check_size(self.received)
        data = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        self.size = 0
        return data

    def check_size(self, size: int) -> None:
        """Raise TooLarge (413) when ``size`` bytes are more than its route takes."""
        if self.most is not None and size > self.most:
            raise TooLarge(f"the body is over {self.most} bytes")

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read_chunk():
            yield data

    def read(self, limit: int | None = None) -> bytes:
        """Everything.  Raises TooLarge (413) when it is more than ``limit`` bytes, by default as many as the server takes."""
        limit = self.limit if limit is None else limit
        parts = []
        total = 0
        for data in self:
            total += len(data)
            if limit is not None and total > limit:
                raise TooLarge(f"the body is over {limit} bytes")
            parts.append(data)
        return b"".join(parts)


class Request(Located, Message):
    """One HTTP request.  Header fields, query and cookies are taken apart when first asked for.

    ``raw``      the whole body once ``body()`` was called, else ``b""``
    ``stream``   the body as it arrives, ``None`` when the request has none
    ``keep_alive`` the connection stays open after the answer
    ``upgrade``  the client asks to change the protocol
    ``form``     the decoded body came from a form, so its values are texts
    ``told``     what trusted proxies say about where it came from; None: nothing, so the connection tells
    ``identify`` finds out who is calling, once ``identity`` is asked for; None: nobody can
    """

    __slots__ = (
        "_cookies",
        "_extra",
        "_headers",
        "_identity",
        "_query",
        "form",
        "head",
        "identify",
        "keep_alive",
        "method",
        "path",
        "query_string",
        "stream",
        "target",
        "told",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query_string: str,
        head: str,
        version: str = "1.1",
        stream: Body | None = None,
        connection: IConnection | None = None,
    ) -> None:
        self.raw = b""
        self.data = None
        self.params = _NOTHING
        self.connection = connection  # type: ignore[assignment]
        self.method = method
        self.target = target
        self.path = path
        self.query_string = query_string
        self.head = head
        self.version = version
        self.stream = stream
        self.keep_alive = True
        self.upgrade = False
        self.form = False
        self._headers: Headers | None = None
        self._query: dict[str, list[str]] | None = None
        self._cookies: dict[str, str] | None = None
        self._identity: Identity | None = None
        self._extra: dict[str, Any] | None = None
        self.told: Told | None = None
        self.identify: Callable[[Request], Identity | None] | None = None

    @property
    def identity(self) -> Identity | None:
        """Who sent it; None when the client did not say, or the server has no authenticator.  Those are asked when this is first read.

        Raises what they raise: Unauthorized (401) for credentials that are wrong, Refused (403), Refusal (429) for too many guesses.
        """
        if self.identify is not None:
            self._identity = self.identify(self)
            self.identify = None
        return self._identity

    @identity.setter
    def identity(self, identity: Identity | None) -> None:
        self._identity = identity
        self.identify = None

    @property
    def known_identity(self) -> Identity | None:
        """Who sent it, as far as that was asked for already.  For those who only tell of it, such as logs."""
        return self._identity

    @property
    def id(self) -> str:
        """What its server calls it, in its answer and in the log; "" where the server gives no ids."""
        return str(self._extra.get("request_id", "")) if self._extra else ""

    @property
    def extra(self) -> dict[str, Any]:
        """What layers leave for those inside of them: a session, a request id."""
        extra = self._extra
        if extra is None:
            extra = self._extra = {}
        return extra

    @property
    def headers(self) -> Headers:
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers.from_head(self.head)
        return headers

    @property
    def query(self) -> dict[str, list[str]]:
        """Query parameters, every value of each name in order."""
        query = self._query
        if query is None:
            query = {}
            if self.query_string:
                try:
                    pairs = parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=1000, errors="strict")
                except (ValueError, UnicodeDecodeError) as error:
                    raise BadMessage(f"the query string cannot be read: {error}") from None
                for name, value in pairs:
                    query.setdefault(name, []).append(value)
            self._query = query
        return query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that came, read when first asked for.  What must not be forged is signed, or in the session: clients send any."""
        cookies = self._cookies
        if cookies is None:
            cookies = parse_cookies("; ".join(self.headers.get_all("cookie")))  # several where a proxy made HTTP/1 of HTTP/2
            self._cookies = cookies
        return cookies

    def body(self, limit: int | None = None) -> bytes:
        """The whole body.  Blocks the calling greenlet until it arrived; kept, so that it may be read again.

        Raises TooLarge (413) over ``limit`` bytes, ConnectionClosed when the peer leaves in the middle.
        """
        stream = self.stream
        if stream is not None:
            self.raw = stream.read(limit)
            self.stream = None
        return self.raw  # type: ignore[return-value]

    def __repr__(self) -> str:
        path, mark, _ = self.target.partition("?")
        return f"<Request {self.method} {path}{mark and '?...'}>"  # it goes to logs, and queries may hold secrets


Trailers = Iterable[tuple[str, str]]


class Response:
    """An HTTP answer.  ``body`` is bytes, text, or an iterable of either (sent as it comes, chunked).

    A mapping, list, dataclass or ``msgspec.Struct`` returned by a handler becomes JSON before it gets here.

    ``trailers``  fields behind a body that is sent as it comes, or a function that gives them when its last part is out; for clients that
                  take trailers (``TE: trailers``), all others do without
    """

    __slots__ = ("body", "content_type", "headers", "status", "trailers")

    def __init__(
        self,
        body: bytes | str | Iterable[bytes | str] = b"",
        status: int = 200,
        content_type: str = "text/plain; charset=utf-8",
        headers: Iterable[tuple[str, str]] = (),
        trailers: Trailers | Callable[[], Trailers] = (),
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = tuple(headers)
        self.trailers = trailers
        if self.headers:
            self._take_content_type()

    def _take_content_type(self) -> None:
        """There is one: where it is among the fields, that."""
        found = [value for name, value in self.headers if name.lower() == "content-type"]
        if found:
            self.content_type = found[-1]
            self.headers = tuple(field for field in self.headers if field[0].lower() != "content-type")

    def answer(self, request: Request) -> Response:
        """What is sent to ``request``.  Asked of subclasses once, behind all layers but those that also see the answers to errors."""
        return self

    def set_cookie(self, name: str, value: str, **attributes: Unpack[CookieAttributes]) -> None:
        """Give the client a cookie; see :func:`greenimi.cookies.render_cookie` for ``max_age``, ``path``, ``same_site``, ...

        By default for encrypted connections only, hidden from scripts, not sent along with what other sites cause but links (lax), and gone
        with the browser.  Raises ValueError for what cannot be a cookie.
        """
        self.headers += (("Set-Cookie", render_cookie(name, value, **attributes)),)

    def delete_cookie(self, name: str, *, domain: str = "", path: str = "/", secure: bool = True) -> None:
        """Have the client forget a cookie, which was set with this domain and path."""
        self.headers += (("Set-Cookie", render_deletion(name, domain=domain, path=path, secure=secure)),)

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


class Upgrade(Response):
    """An HTTP answer after which the connection speaks another protocol: ``switch(response, connection)`` makes it so."""

    __slots__ = ("switch",)

    def __init__(self, switch: Callable[[Upgrade, Any], None], headers: Iterable[tuple[str, str]]) -> None:
        super().__init__(b"", 101, "", headers)
        self.switch = switch


class Reply:
    """A payload a handler sends explicitly where returning a plain value does not say enough.

    ``raw`` is already encoded: ``str`` leaves a WebSocket as text, ``bytes`` as binary.  An iterable of either is one message that is sent
    as it is made, on a WebSocket.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes | str | Iterable[bytes | str]) -> None:
        self.raw: Any = raw
