"""TLS between a socket and a connection: the handshake, then something that looks like a raw non-blocking socket.

OpenSSL works on memory only; whoever owns the socket says when it reads and writes.  16 KiB at a time go through OpenSSL's buffers, which
grow to what was put into them once and never shrink.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from contextlib import suppress
from typing import Any

from greenimi.codec.client_hello import offered_protocols
from greenimi.servers.entrance.tls import TlsContexts, TlsFacts

_RECORD = 16384  # bytes of plaintext a record holds at most
_TURN = 4 * _RECORD  # bytes encrypted by one send
_CONTROL = 16384  # bytes of alerts and key updates that may wait for a peer that does not read them

_NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
"""A record with the fatal alert no_application_protocol (RFC 7301 section 3.2)."""

_TEXT = b"this port speaks TLS: use https://\n"
_PLAIN = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_TEXT),
    _TEXT,
)


class HandshakeFailed(Exception):
    """The peer cannot be talked to; ``last_words`` are for it: an alert, or plain HTTP for who speaks plain HTTP."""

    def __init__(self, reason: str, last_words: bytes = b"") -> None:
        super().__init__(reason)
        self.last_words = last_words


class Handshake:
    """The server's side of a TLS handshake, without I/O.  Costs next to nothing until the client's whole first message is there."""

    __slots__ = ("_contexts", "_hello", "_incoming", "_outgoing", "_session")

    def __init__(self, contexts: TlsContexts) -> None:
        self._contexts = contexts
        self._hello = bytearray()
        self._incoming: Any = None
        self._outgoing: Any = None
        self._session: Any = None

    def feed(self, data: bytes) -> bool:
        """Take what came from the peer; True when the handshake is done.  Then, and before, ``outgoing`` is to be sent.

        Raises HandshakeFailed.
        """
        if self._session is None:
            self._hello += data
            if not self._begin():
                return False
        else:
            self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise HandshakeFailed(_reason(error), self._outgoing.read()) from None
        return True

    def outgoing(self) -> bytes:
        """Take what is to be sent to the peer."""
        data: bytes = b"" if self._session is None else self._outgoing.read()
        return data

    def _begin(self) -> bool:
        """Look at the client's first message; once it is complete, hand it to OpenSSL."""
        hello = self._hello
        protocols = self._contexts.protocols
        if protocols and hello[:1].isalpha():
            raise HandshakeFailed("plain text instead of TLS", _PLAIN)
        offered = offered_protocols(hello)
        if offered is None:
            return False
        if protocols and offered and not any(name.encode() in offered for name in protocols):
            raise HandshakeFailed("no application protocol in common", _NO_PROTOCOL)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = self._contexts.wrap(self._incoming, self._outgoing)
        self._incoming.write(hello)
        self._hello = bytearray()
        return True

    def facts(self) -> TlsFacts:
        """What was agreed on.  Only after the handshake.  Raises HandshakeFailed for a session whose client's certificate has expired."""
        session = self._session
        peer = session.getpeercert()
        if peer and session.session_reused and ssl.cert_time_to_seconds(peer["notAfter"]) < time.time():
            raise HandshakeFailed("the client's certificate has expired")  # OpenSSL looks at it in full handshakes only
        return TlsFacts(
            sys.intern(session.version()),  # one string for all connections, not one for each
            sys.intern(session.cipher()[0]),
            session.selected_alpn_protocol(),
            session.server_name,
            peer or None,
            session.getpeercert(True),
        )

    def socket(self, raw: Any, unsent: bytes) -> TlsSocket:
        """``raw``, speaking TLS from now on.  ``unsent``: what of ``outgoing`` it did not take."""
        return TlsSocket(raw, self._session, self._incoming, self._outgoing, unsent)


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()


class TlsSocket:
    """Looks like a raw non-blocking socket to ``StreamConnection``; BlockingIOError when nothing can be done now.

    No plaintext stays inside between two calls of ``recv``, so the readiness of the socket below is this one's, too.
    """

    __slots__ = ("_ended", "_incoming", "_outgoing", "_raw", "_said_goodbye", "_session", "_stands_for", "_unsent")

    def __init__(self, raw: Any, session: Any, incoming: Any, outgoing: Any, unsent: bytes = b"") -> None:
        self._raw = raw
        self._session = session
        self._incoming = incoming
        self._outgoing = outgoing
        self._unsent = unsent  # ciphertext that the socket did not take
        self._stands_for = 0  # bytes of plaintext in it that `send` has not reported yet
        self._ended = False  # the peer said goodbye, or broke the protocol
        self._said_goodbye = False

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def setsockopt(self, *option: Any) -> None:
        self._raw.setsockopt(*option)

    def recv(self, size: int) -> bytes:
        """Read the socket once, at most ``size`` bytes, and return all plaintext there is: it may be a record more than ``size``.

        b"" when the peer said goodbye (close_notify), left, or broke the protocol.  After ``shutdown`` nothing is deciphered any more: the
        caller only reads away what still comes.
        """
        if self._ended:
            return b""
        data: bytes = self._raw.recv(size)
        if not data or self._said_goodbye:
            return data
        plain = self.decrypt(data)
        if not plain and not self._ended:
            raise BlockingIOError
        return plain

    def decrypt(self, data: bytes = b"") -> bytes:
        """The plaintext of what the socket gave and of what came behind the handshake; b"" when no record is complete."""
        parts: list[bytes] = []
        if len(data) <= _RECORD:
            self._incoming.write(data)
            self._read_records(parts)
        else:
            with memoryview(data) as view:
                for start in range(0, len(data), _RECORD):
                    self._incoming.write(view[start : start + _RECORD])
                    self._read_records(parts)
        if self._outgoing.pending:
            self._send_control()
        if self._ended:  # the caller must learn of it after what was said before: an ended side is readable
            with suppress(OSError):
                self._raw.shutdown(socket.SHUT_RD)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_records(self, parts: list[bytes]) -> None:
        session, incoming = self._session, self._incoming
        try:
            while (incoming.pending or session.pending()) and not self._ended:
                plain = session.read(_RECORD)
                if plain:
                    parts.append(plain)
                else:
                    self._ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # OpenSSL has queued the alert
            self._ended = True

    def _send_control(self) -> None:
        """Send what OpenSSL answered by itself: alerts, key updates."""
        if not self._unsent:
            with suppress(OSError):  # what the peer sent before it left still counts
                self._push(0)
        elif self._outgoing.pending > _CONTROL:
            self._ended = True

    def send(self, data: Any) -> int:
        """Encrypt and send some of the front of ``data``; the number of its bytes that are gone.

        What was encrypted and not taken by the socket is kept, and counted as not sent: BlockingIOError.  The next ``data`` must
        begin with the same bytes; they are not encrypted again.
        """
        done = 0
        if self._unsent:
            done = self._stands_for
            if not self._push_unsent():
                raise BlockingIOError
            if done:
                return done
        size = len(data)
        if size <= _RECORD:
            self._session.write(data)
            if self._push(size):
                return size
            raise BlockingIOError
        with memoryview(data) as view:
            while done < size and done < _TURN:
                piece = min(_RECORD, size - done)
                self._session.write(view[done : done + piece])
                if not self._push(piece):
                    break
                done += piece
        if not done:
            raise BlockingIOError
        return done

    def _push(self, stands_for: int) -> bool:
        """Send what OpenSSL has put out.  Whether the socket took all of it."""
        self._unsent = self._outgoing.read()
        self._stands_for = stands_for
        return self._push_unsent()

    def _push_unsent(self) -> bool:
        unsent = self._unsent
        try:
            sent = self._raw.send(unsent)
        except BlockingIOError:
            return False
        if sent < len(unsent):
            self._unsent = unsent[sent:]
            return False
        self._unsent = b""
        self._stands_for = 0
        return True

    def shutdown(self, how: int) -> None:
        """Say goodbye (close_notify) before the writing side is shut.  Raises OSError like a socket."""
        if how != socket.SHUT_RD and not self._said_goodbye:
            self._said_goodbye = True
            with suppress(ssl.SSLError):  # that the peer has not said goodbye yet, or has broken the protocol
                self._session.unwrap()
            if not self._unsent or self._push_unsent():
                self._push(0)
        self._raw.shutdown(how)

    def close(self) -> None:
        """Close the socket, without goodbye.  OpenSSL's memory is given back even while somebody holds on to this."""
        self._raw.close()
        self._session = self._incoming = self._outgoing = None
