"""The settings of a server, one table ``[servers.NAME]`` in conf, and of the workers."""

from __future__ import annotations

from dataclasses import dataclass

from greenimi.config import option
from greenimi.web.settings import (
    AccessLogSettings,
    CompressionSettings,
    CorsSettings,
    CsrfSettings,
    ErrorPageSettings,
    Http2Settings,
    IdentitySettings,
    RequestIdSettings,
    RoutingSettings,
    SecuritySettings,
    SessionSettings,
    StaticSettings,
    TemplateSettings,
    UploadSettings,
    ViewSettings,
)


@dataclass(frozen=True)
class CertificateSettings:
    """A certificate for some names, chosen by what the client asks for (SNI)."""

    names: list[str] = option(doc="Host names it is for; *.example.org for all of one level.")
    certificate: str = option(doc="File with the certificate and its chain, PEM.")
    key: str = option("", "File with its private key, PEM; by default it is in the certificate's file.")


@dataclass(frozen=True)
class TlsSettings:
    """TLS of a server; without a certificate there is none."""

    certificate: str = option("", "File with the certificate and its chain, PEM.  Read again when it changes.")
    key: str = option("", "File with its private key, PEM; by default it is in the certificate's file.")
    others: list[CertificateSettings] = option([], "Further certificates, by host names.")
    clients: str = option("none", "Certificates of clients: none, optional or required.")
    client_ca: str = option("", "File with the authorities that sign clients' certificates, PEM.")
    minimum: str = option("1.2", "Oldest version of TLS: 1.2 or 1.3.")
    ciphers: str = option("", "Ciphers of TLS 1.2 in OpenSSL's notation; by default those with forward secrecy.")


@dataclass(frozen=True)
class KeepaliveSettings:
    """TCP keepalive: the kernel finds out that the machine of a silent client is gone.  Its probes end no silence for ``idle``."""

    idle: int = option(0, "Seconds of silence before the first probe; 0 means none are sent.")
    interval: int = option(15, "Seconds between two probes.")
    count: int = option(4, "Unanswered probes after which the connection is lost.")


@dataclass(frozen=True)
class DeflateSettings:
    """Compression of WebSocket messages with clients that can (permessage-deflate, RFC 7692)."""

    enabled: bool = option(False, "Compress; see docs/websocket.md for what that costs, and what it may give away.")
    level: int = option(3, "From 1 (fast) to 9 (small).")
    minimum: int = option(1024, "Bytes below which a message is sent as it is.")
    window: int = option(12, "Each side looks back into 2 ** window bytes; 9 to 15.")
    context: bool = option(False, "Look back into earlier messages, too: smaller, but a connection holds some 40 KiB then, with window 12.")


@dataclass(frozen=True)
class ServerSettings:
    """``[servers.NAME]``"""

    kind: str = option("http", "What it speaks: http (WebSocket on the same port), tcp or udp.")
    bind: str = option("127.0.0.1:8000", "Address to listen on: HOST:PORT, [IPv6]:PORT or unix:PATH.")
    mode: str = option("0660", "Permissions of the file of a Unix socket; it belongs to Gunicorn's user and group.")
    payload: str = option("json", "What a message's bytes mean: json, msgpack, text, raw or package.module:Class.")
    framing: str = option(
        "line", "How TCP packets are cut: line, delimiter, length8, length16, length32, length, fixed or package.module:Class."
    )
    framing_options: dict[str, object] = option({}, "Options of the framing, such as bits, byteorder, size.")
    action_field: str = option("action", "Field of a message that names its handler.")
    id_field: str = option("id", "Field of a message that asks for an answer and is returned with it.")
    layers: list[str] = option([], "Layers around every message: package.module:name or @group.")
    message_layers: list[str] = option([], "Layers around the messages of an HTTP server's WebSockets.")
    groups: dict[str, list[str]] = option({}, "Named lists of layers, used as @name.")
    tls: TlsSettings = option(TlsSettings(), "TLS of this server; without a certificate there is none.")
    http2: Http2Settings = option(Http2Settings(), "HTTP/2.")
    proxy_protocol: bool = option(False, "Connections begin with a PROXY line (version 1 or 2) of a proxy among the trusted.")
    trusted: list[str] = option([], "Networks of the proxies that are believed: 10.0.0.0/8, ::1; unix for Unix sockets.")
    mount: dict[str, str] = option({}, "WSGI applications by the path they stand at: package.module:name.")
    routing: RoutingSettings = option(RoutingSettings(), "Paths of routes, and URLs made of them.")
    static: dict[str, StaticSettings] = option({}, "Folders of files, by the path they stand at.")
    client: str = option("", "Path at which greenimi.js is served, the client for browsers: /greenimi.js.  Empty: it is not.")
    compression: CompressionSettings = option(CompressionSettings(), "Bodies of answers in a content coding that the client takes.")
    etag: bool = option(False, "Give answers without an ETag one made of their body, and answer 304 where the client has it already.")
    views: ViewSettings = option(ViewSettings(), "What the values of handlers become.")
    templates: TemplateSettings = option(TemplateSettings(), "Templates, rendered by Jinja2.")
    heartbeat: float = option(15.0, "Seconds of silence after which an event stream says that it is alive; 0 means never.")
    slots: int = option(0, "Sockets that a UDP address is spread over, a client always on the same; 0: one for one worker, else four each.")
    peers: int = option(10_000, "Senders of datagrams that a worker of a UDP server remembers; 0 means none.")
    peer_time: float = option(60.0, "Seconds of silence after which one is forgotten; 0 means that none is remembered.")
    peer_bytes: int = option(
        65536, "Bytes pushed to one between two of its datagrams, whose address may be forged; the rest is dropped.  0 means any number."
    )
    in_order: bool = option(False, "Handle the datagrams of one sender one after the other as they came, instead of at the same time.")
    first_byte: float = option(30.0, "Seconds for the first byte of a new connection; 0 means idle.")
    handshake: float = option(10.0, "Seconds for a PROXY line and a TLS handshake.")
    head_time: float = option(20.0, "Seconds for the whole head of an HTTP request.")
    body_time: float = option(20.0, "Seconds for a body, packet or frame that has begun, and one more for each min_rate bytes.")
    write_time: float = option(20.0, "Seconds for a client to read what waits for it, and one more for each min_rate bytes.")
    min_rate: int = option(512, "Bytes a second that a client must send of a message and read of an answer.")
    handler_time: float = option(120.0, "Seconds that a handler may go without sending or receiving anything; 0 means for ever.")
    keep_alive: float = option(75.0, "Seconds that an HTTP connection may be silent between two requests.")
    idle: float = option(75.0, "Seconds of silence after which a connection is closed; 0 means never.  WebSockets are pinged instead.")
    ping_interval: float = option(25.0, "Seconds of silence after which a WebSocket client is pinged at the latest; 0: never, idle holds.")
    ping_jitter: float = option(0.4, "Part of ping_interval, its end, over which pings are spread so that not all go out at once; 0 to 1.")
    ping_timeout: float = option(20.0, "Seconds for a client to answer a ping, by whatever it sends.")
    tcp_keepalive: KeepaliveSettings = option(KeepaliveSettings(), "Probes of the kernel on silent TCP connections.")
    half_close: float = option(0.0, "Seconds that a TCP client which ended its side is kept for what is pushed to it; 0 means not at all.")
    connections: int = option(20000, "Connections a worker holds at most; further ones wait to be accepted.")
    per_address: int = option(0, "Connections of one client address a worker holds at most; 0 means as many as it likes.")
    accept_rate: int = option(0, "Connections a worker accepts in a second of its clock; further ones wait.  0 means as many as come.")
    requests: int = option(64, "Requests of the server to one client that may wait for their replies at the same time.")
    message_rate: int = option(0, "Messages of one connection handled in a second; further ones wait for the next.  0 means any number.")
    user_rate: int = option(0, "The same for all connections of one user in a worker together; 0 means any number.")
    inbox: int = option(256, "Messages of one connection that may wait for its handler before reading stops.")
    outbox: int = option(
        4 * 1024 * 1024, "Bytes that may wait for a slow client before slow says what becomes of it; more than high_water."
    )
    outbox_messages: int = option(10_000, "Messages pushed to a slow client that may wait for it.")
    slow: str = option(
        "close", "What becomes of pushes that a client does not read: close it, drop the oldest, or conflate those of one key."
    )
    high_water: int = option(256 * 1024, "Bytes waiting for a client above which a streaming handler pauses.")
    max_line: int = option(8192, "Bytes of an HTTP request line.")
    max_head: int = option(32768, "Bytes of an HTTP request's head.")
    max_fields: int = option(100, "Header fields of an HTTP request.")
    require_host: bool = option(True, "Refuse HTTP/1.1 requests without a Host field, as the standard demands.")
    max_body: int = option(16 * 1024 * 1024, "Bytes of an HTTP request's body.")
    uploads: UploadSettings = option(UploadSettings(), "Multipart forms.")
    session: SessionSettings = option(SessionSettings(), "What it remembers of a client from one request to the next.")
    csrf: CsrfSettings = option(CsrfSettings(), "Requests that pages of other sites make in the name of their visitors.")
    max_message: int = option(1024 * 1024, "Bytes of a WebSocket message, a TCP packet or a UDP datagram.")
    max_frame: int = option(0, "Bytes of a frame that comes over a WebSocket; 0 means as many as of a message.")
    deflate: DeflateSettings = option(DeflateSettings(), "Compression of WebSocket messages (permessage-deflate).")
    hosts: list[str] = option([], "Hosts that it answers for: shop.example, *.shop.example; others get 421.  Empty: any.")
    origins: list[str] = option([], "Origins that may open WebSockets besides the server's own host: https://*.shop.example; * for any.")
    max_time: float = option(0.0, "Seconds that a handler may take for its answer before it is stopped (503); 0 means as long as it likes.")
    forwarded: list[str] = option(
        [], "Fields that the trusted proxies set themselves: forwarded, or x-forwarded-for, -proto, -host, -port, -prefix."
    )
    identity: IdentitySettings = option(IdentitySettings(), "How it finds out who is calling.")
    cors: CorsSettings = option(CorsSettings(), "Which other sites' pages may use it.")
    security: SecuritySettings = option(SecuritySettings(), "Fields that tell browsers to be careful.")
    request_id: RequestIdSettings = option(RequestIdSettings(), "An id for each request.")
    access_log: AccessLogSettings = option(AccessLogSettings(), "A line for each request.")
    error_pages: ErrorPageSettings = option(ErrorPageSettings(), "Pages that browsers are shown for errors.")


@dataclass(frozen=True)
class WorkerSettings:
    """``[workers]``"""

    count: int = option(1, "Worker processes.")
    handlers: int = option(1000, "Messages a worker handles at the same time at most; further ones wait.")
    queue: int = option(2000, "Messages that may wait for a free handler; beyond, clients are told to come back later (503, 1013).")
    graceful_timeout: int = option(30, "Seconds that a stopping worker may take to finish its work.")
    drain_window: float = option(5.0, "Seconds over which the goodbyes to long connections are spread, so that not all come back at once.")
    drain_delay: float = option(
        0.0, "Seconds that a stopping worker serves on while /readyz says no, so that balancers look elsewhere first."
    )
    max_messages: int = option(0, "Messages after which a worker is replaced, give or take a tenth; 0 means never.")
    memory: int = option(0, "Bytes of resident memory above which a worker is replaced; 0 means any amount.")
    boot_timeout: int = option(60, "Seconds that a new worker may take to become ready.")
    blocked: float = option(0.1, "Seconds after which a handler that lets nobody else run is reported; 0 means never.")
    timeout: int = option(30, "Seconds after which a worker whose loop stands still is killed and replaced.")
    control: str = option("", "Folder for the socket of greenimi status, reload and drain; default: the user's run folder.")
