"""Certificates and the TLS contexts made of them: chosen by host name, read again when their files change."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent.ssl

from greenimi.errors import ConfigError
from greenimi.servers.entrance.trusted import Trusted
from greenimi.servers.settings import ServerSettings, TlsSettings

log = logging.getLogger("greenimi.servers")

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are OpenSSL's
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_MISMATCH = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a handshake agreed on.

    ``version`` and ``cipher`` are OpenSSL's names; ``alpn`` is the application protocol; ``server_name`` is the host that the client asked
    for (SNI); ``peer_certificate`` is the client's verified certificate as ``ssl.SSLSocket.getpeercert`` tells it, ``peer_der`` the same
    in DER.  None: there was none.
    """

    version: str
    cipher: str
    alpn: str | None = None
    server_name: str | None = None
    peer_certificate: Mapping[str, Any] | None = None
    peer_der: bytes | None = None


class Session(ssl.SSLObject):
    """One connection's TLS; remembers which host the client asked for."""

    server_name: str | None = None


class _Context(gevent.ssl.SSLContext):
    """The standard library's context.  gevent's mends setters that patching breaks, but wants gevent's own sockets in the SNI callback;
    this one gives the callback what it was given."""

    sni_callback = gevent.ssl.orig_SSLContext.sni_callback


@dataclass(frozen=True, slots=True)
class _Certificates:
    """What a set of files held: a context for every name."""

    default: ssl.SSLContext
    exact: Mapping[str, ssl.SSLContext]
    wild: Mapping[str, ssl.SSLContext]  # by what follows "*."

    def find(self, name: str | None) -> ssl.SSLContext:
        if name is None:
            return self.default
        name = name.lower().rstrip(".")
        return self.exact.get(name) or self.wild.get(name.partition(".")[2]) or self.default


class TlsContexts:
    """The TLS of one server.

    Made in the master before it forks, all workers share the keys of session tickets, so that a client resumes its session on any of
    them.  Certificates are read again without that: the context that begins every handshake, and owns the ticket keys, stays.  It is made
    anew with other authorities: a session that is resumed is not verified, so clients that are trusted no longer could go on for ever.
    Raises ConfigError naming key and file.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.protocols = _protocols(settings)
        self._files = _files(settings.tls)
        self._loaded = self._seen = self._signature()
        self._authorities = _signature(settings.tls.client_ca)
        self._certificates = self._load()
        self._front = self._new_front()

    def fit(self, settings: ServerSettings) -> bool:
        """Whether they are what a server with these settings needs."""
        return (settings.kind, settings.tls, _protocols(settings)) == (self.settings.kind, self.settings.tls, self.protocols)

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> Session:
        """The server's side of a new connection."""
        session: Session = self._front.wrap_bio(incoming, outgoing, server_side=True)
        return session

    def reload_if_changed(self) -> bool:
        """Look at the files, and read them again when they changed and then stayed as they are until the next look.

        Meant to be called every few seconds.  Whether new certificates are used from now on; see ``reload``.
        """
        found = self._signature()
        if found == self._loaded:
            return False
        if found != self._seen:  # certificate and key are two files: wait until whoever writes them is done
            self._seen = found
            return False
        return self.reload()

    def reload(self) -> bool:
        """Read the files now.  When something is wrong with them, say so in the log, keep the old certificates, and return False."""
        self._loaded = self._seen = self._signature()
        authorities = _signature(self.settings.tls.client_ca)
        try:
            self._certificates = self._load()
        except ConfigError as error:
            log.error("the old certificates stay in use: %s", error.text)
            return False
        if authorities != self._authorities:
            self._authorities = authorities
            self._front = self._new_front()
        log.info("certificates read again: %s", ", ".join(self._files))
        return True

    def _new_front(self) -> Any:
        front = self._new_context()
        front.sni_callback = self._choose
        return front

    def _choose(self, session: Session, name: str | None, context: ssl.SSLContext) -> None:
        """OpenSSL's SNI callback; it comes for clients that name no host, too."""
        session.server_name = name
        session.context = self._certificates.find(name)

    def _signature(self) -> list[tuple[int, int, int] | None]:
        return [_signature(file) for file in self._files]

    def _load(self) -> _Certificates:
        tls = self.settings.tls
        exact: dict[str, ssl.SSLContext] = {}
        wild: dict[str, ssl.SSLContext] = {}
        for index, other in enumerate(tls.others):
            context = self._new_context()
            _load_chain(context, other.certificate, other.key, f"tls.others.{index}.")
            if not other.names:
                raise ConfigError(f"tls.others.{index}.names: there are none")
            for name in other.names:
                _add_name(name, context, exact, wild, f"tls.others.{index}.names")
        default = self._new_context()
        _load_chain(default, tls.certificate, tls.key, "tls.")
        return _Certificates(default, exact, wild)

    def _new_context(self) -> Any:
        tls = self.settings.tls
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _known("tls.minimum", tls.minimum, _VERSIONS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.sslobject_class = Session
        try:
            context.set_ciphers(tls.ciphers or _CIPHERS)
        except ssl.SSLError:
            hint = "write them as `openssl ciphers` understands them, or nothing"
            raise ConfigError(f"tls.ciphers: OpenSSL knows no cipher by {tls.ciphers!r}", hint=hint) from None
        if self.protocols:
            context.set_alpn_protocols(self.protocols)
        context.verify_mode = _known("tls.clients", tls.clients, _CLIENTS)
        if tls.client_ca:
            _load_authorities(context, tls.client_ca)
        return context


def _protocols(settings: ServerSettings) -> Sequence[str]:
    """What a server offers by ALPN (RFC 7301), best first; one that offers nothing ignores what clients offer."""
    if settings.kind != "http":
        return ()
    return ("h2", "http/1.1") if settings.http2.enabled else ("http/1.1",)


_prepared: list[TlsContexts] = []


def prepare(servers: Iterable[ServerSettings]) -> None:
    """Make the contexts of all servers that have TLS: to be called in the master before it forks workers, and again before it forks
    others.

    Contexts whose settings did not change keep their ticket keys and read their certificates again.  Raises ConfigError, and leaves
    everything as it was.
    """
    found: list[TlsContexts] = []
    for settings in servers:
        if settings.tls.certificate and not any(contexts.fit(settings) for contexts in found):
            found.append(contexts_for(settings))
    for contexts in found:
        if contexts in _prepared:
            contexts.reload()
    _prepared[:] = found


def contexts_for(settings: ServerSettings) -> TlsContexts:
    """Those that were prepared for such a server, or new ones.  Raises ConfigError."""
    for contexts in _prepared:
        if contexts.fit(settings):
            return contexts
    return TlsContexts(settings)


def check_entrance(settings: ServerSettings) -> None:
    """Whether TLS and the PROXY protocol can work as conf says.  Raises ConfigError; its text begins with the key below the server's."""
    tls = settings.tls
    if settings.kind == "udp" and (tls.certificate or settings.proxy_protocol):
        key = "tls.certificate" if tls.certificate else "proxy_protocol"
        raise ConfigError(f"{key}: a udp server has no connections to use it for")
    if settings.handshake <= 0:
        raise ConfigError(f"handshake: {settings.handshake} must be more than 0 seconds")
    Trusted(settings.trusted)
    if settings.proxy_protocol and not settings.trusted:
        raise ConfigError("trusted: nobody may send PROXY lines", hint='name the proxies, for example trusted = ["10.0.0.0/8"]')
    if tls.certificate:
        _check_clients(tls)
        contexts_for(settings)  # a worker may not be allowed to read what the master has read
    elif tls != TlsSettings():
        raise ConfigError("tls.certificate: there is none, so the other settings of tls do nothing")


def _check_clients(tls: TlsSettings) -> None:
    if _known("tls.clients", tls.clients, _CLIENTS) != ssl.CERT_NONE and not tls.client_ca:
        raise ConfigError(f"tls.client_ca: clients = {tls.clients!r} needs the authorities that sign their certificates")
    if tls.client_ca and tls.clients == "none":
        raise ConfigError("tls.client_ca: with clients = 'none' nobody is asked for a certificate", hint="say optional or required")


def _known(key: str, value: str, table: Mapping[str, Any]) -> Any:
    if value not in table:
        raise ConfigError(f"{key}: {value!r} is not one of {', '.join(table)}")
    return table[value]


def _add_name(name: str, context: Any, exact: dict[str, Any], wild: dict[str, Any], key: str) -> None:
    host = name.lower().rstrip(".")
    table, host = (wild, host[2:]) if host.startswith("*.") else (exact, host)
    if not host or "*" in host:
        raise ConfigError(f"{key}: {name!r} is no host name", hint="* may stand for the first label alone: *.example.org")
    if host in table:
        raise ConfigError(f"{key}: {name!r} has a certificate already")
    table[host] = context


# -- files ---------------------------------------------------------------------------------------------------------


def _files(tls: TlsSettings) -> list[str]:
    named = [tls.certificate, tls.key, tls.client_ca]
    for other in tls.others:
        named += [other.certificate, other.key]
    return list(dict.fromkeys(file for file in named if file))


def _signature(file: str) -> tuple[int, int, int] | None:
    if not file:
        return None
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(key: str, file: str, mark: bytes, what: str) -> None:
    """OpenSSL names neither file nor mistake: look first."""
    try:
        text = Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{key}: {file} cannot be read: {error.strerror}") from None
    if mark not in text:
        raise ConfigError(f"{key}: {file} holds no {what} in PEM")


def _load_chain(context: Any, certificate: str, key: str, path: str) -> None:
    key_path = f"{path}key" if key else f"{path}certificate"
    _read(f"{path}certificate", certificate, b"-----BEGIN CERTIFICATE-----", "certificate")
    _read(key_path, key or certificate, b"PRIVATE KEY-----", "private key")

    def no_password() -> str:
        hint = "store it without one, readable by the server's user alone"
        raise ConfigError(f"{key_path}: {key or certificate} is protected by a password", hint=hint)

    try:
        context.load_cert_chain(certificate, key or None, no_password)
    except ssl.SSLError as error:
        if error.reason in _MISMATCH:
            raise ConfigError(f"{key_path}: {key or certificate} is not the key of {certificate}") from None
        files = certificate if not key else f"{certificate} with {key}"
        raise ConfigError(f"{path}certificate: {files} cannot be used: {error.reason or error}") from None


def _load_authorities(context: Any, file: str) -> None:
    _read("tls.client_ca", file, b"-----BEGIN CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise ConfigError(f"tls.client_ca: {file} cannot be used: {error.reason or error}") from None
